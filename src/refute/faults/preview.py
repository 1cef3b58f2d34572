"""What a fault does to a sample exchange, without a network, and where it applies at all."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from http import HTTPStatus

from refute.core.system import ComponentKind
from refute.faults.spec import Awaits, Fault
from refute.wire.codec import PROTOCOLS, Codec, codec_of
from refute.wire.events import StreamEvent
from refute.wire.exchange import FRAMING, Call, Failure, Headers, Pause, Reply, Request, Step, Strike, without
from refute.wire.request import with_body
from refute.wire.samples import CONTENTS, STREAMED, sample

_KINDS: dict[str, frozenset[ComponentKind]] = {
    "openai.embeddings": frozenset({"embedder"}),
    "mcp": frozenset({"mcp_server"}),
    "mcp.stdio": frozenset({"mcp_server"}),
    "http": frozenset(
        {"service", "retriever", "vector_store", "tool", "agent", "model_server", "feature_store", "datastore", "cache", "guardrail_model"}
    ),
}
_MODELS: frozenset[ComponentKind] = frozenset({"llm", "guardrail_model"})
_EARLIER = {"order_id": "B7", "status": "delivered", "parcels": 1}
"""What a sample tool has answered before, for faults that remember."""
_METHODS = ("tools/call", "tools/list", "initialize")


@dataclass(frozen=True, slots=True)
class Preview:
    """A fault on one sample exchange.

    Attributes:
        sample: which sample it is: what the model says, the method over MCP, or HTTP's.
        call: what was asked.
        effect: what was done, as counted in the landing.
        request: what goes on to upstream; None where nothing does.
        steps: what the client sees in the end.
    """

    sample: str
    call: Call
    effect: str
    request: Request | None
    steps: tuple[Step | Reply, ...]


def kinds_over(fault: Fault, protocol: str) -> frozenset[ComponentKind]:
    """Return the kinds of components to which a fault applies and that are reached over a protocol."""
    return fault.kinds & _KINDS.get(protocol, _MODELS)


def protocols_of(fault: Fault) -> tuple[str, ...]:
    """Return the protocols over which a fault can do anything, in the order of the codecs."""
    return tuple(protocol for protocol in PROTOCOLS if any(preview(fault, protocol, stream=stream) for stream in (False, True)))


def preview(fault: Fault, protocol: str, *, stream: bool, seed: int | str = 0) -> Preview | None:
    """Return what a fault does to a sample exchange of a protocol; None where it does nothing to any.

    Args:
        fault: of the catalogue.
        protocol: name of a codec.
        stream: whether the sample is streamed.
        seed: for what the fault draws.
    """
    if fault.strike_exchange is None or not kinds_over(fault, protocol) or (stream and protocol not in STREAMED):
        return None
    for name, (call, good) in _samples(protocol, stream=stream).items():
        if fault.matches_exchange is not None and not fault.matches_exchange(call):
            continue
        if (struck := _struck(fault, call, good, seed, stream=stream)) is not None:
            return replace(struck, sample=name)
    return None


def _samples(protocol: str, *, stream: bool) -> dict[str, tuple[Call, Reply]]:
    """Return the samples of a protocol: of models by what they say, of MCP by what is asked, of plain HTTP by method."""
    if protocol.startswith("mcp"):
        return {method: _asking(protocol, method, stream=stream) for method in _METHODS}
    if protocol == "http":
        call, good = sample(protocol)
        return {"POST": (call, good), "GET": (replace(call, request=replace(call.request, method="GET", body=b"")), good)}
    if protocol == "openai.embeddings":
        return {"vectors": sample(protocol)}
    return {content: sample(protocol, content, stream=stream) for content in CONTENTS}


def _asking(protocol: str, method: str, *, stream: bool) -> tuple[Call, Reply]:
    call, good = sample(protocol, stream=stream)
    request = with_body(call.request, {"jsonrpc": "2.0", "id": 2, "method": method, "params": {}})
    if method == "tools/call":
        return call, good
    tools = [{"name": name, "description": f"{name} an order.", "inputSchema": {"type": "object"}} for name in ("lookup", "cancel")]
    codec = codec_of(call)
    asked = replace(call, operation=method, request=request)
    if not stream:
        return asked, codec.with_data(replace(call, operation="tools/list"), good, tools)
    body = codec.with_event_data(replace(call, operation="tools/list"), codec.event(good.body), tools)
    return asked, Reply(200, good.headers, body)


def _struck(fault: Fault, call: Call, good: Reply, seed: int | str, *, stream: bool) -> Preview | None:
    assert fault.strike_exchange is not None
    codec = codec_of(call)
    if fault.remembers:
        call = replace(call, earlier=(_EARLIER,), first=(_EARLIER,))
    if fault.awaits is not None:
        events = map(codec.event, codec.splitter().feed(good.body) if stream else ())
        begins = any(_has(fault.awaits, codec, call, event) for event in events)
        if (stream and not begins) or (not stream and not fault.awaits.has(codec, call, good)):
            return None
    strike = fault.strike_exchange(call, None, random.Random(seed))
    if (steps := _steps(strike, good, stream=stream)) is None:
        return None
    return Preview("", call, strike.effect, None if strike.instead is not None else strike.request or call.request, steps)


def _has(awaits: Awaits, codec: Codec, call: Call, event: StreamEvent) -> bool:
    if awaits.data is None:
        return awaits.event is not None and awaits.event(event)
    data = codec.event_data(call, event) if event.terminal else None
    return data is not None and awaits.data(call, data)


def _steps(strike: Strike, good: Reply, *, stream: bool) -> tuple[Step | Reply, ...] | None:
    """Return what the client sees; None where it sees nothing unusual."""
    pause: tuple[Step, ...] = (Pause(strike.hold_s),) if strike.hold_s else ()
    if strike.instead is not None:
        return (*pause, strike.instead)
    if strike.rewrite_stream is not None and (stream or strike.rewrite_reply is None):
        rewriter = strike.rewrite_stream()
        steps = rewriter.feed(good.body)
        steps += [] if rewriter.done else rewriter.finish()
        return (Reply(200, without(good.headers, *FRAMING)), *steps) if rewriter.struck or strike.request else None
    if strike.rewrite_reply is not None and (not stream or strike.gather):
        changed = strike.rewrite_reply(good)
        return None if changed is good and strike.request is None else (*pause, changed)
    return (*pause, good)


def shown(struck: Preview) -> str:
    """Return a preview as text: the request where it is not the client's own, and what comes back, byte for byte.

    Args:
        struck: from `preview`.
    """
    parts = []
    if struck.request is not None and struck.request is not struck.call.request:
        parts.append("upstream is asked:\n" + _message(f"{struck.request.method} {struck.request.url}", (), struck.request.body))
    elif struck.request is None:
        parts.append("upstream is not asked")
    streamed = "".join(_shown(step) + ("" if isinstance(step, bytes) else "\n") for step in struck.steps)
    return "\n".join([*parts, streamed.rstrip("\n")])


def _shown(step: Step | Reply) -> str:
    if isinstance(step, Reply):
        return _message(f"HTTP/1.1 {step.status} {_phrase(step.status)}", step.headers, step.body)
    if isinstance(step, Pause):
        return f"… {step.seconds:g} s of silence"
    return f"… {step.value}" if isinstance(step, Failure) else step.decode(errors="backslashreplace")


def _message(first: str, headers: Headers, body: bytes) -> str:
    head = "\n".join([first, *(f"{name}: {value}" for name, value in headers)])
    return f"{head}\n\n{_text(body)}" if body else f"{head}\n"


def _text(body: bytes) -> str:
    return body.decode(errors="backslashreplace").rstrip("\n")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Overloaded" if status == 529 else ""
