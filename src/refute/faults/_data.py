"""Changes of plain data, written once: what a function returns, a JSON body says, or a tool answers over MCP."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from refute.faults.spec import Awaits
from refute.wire.codec import Codec, codec_of
from refute.wire.events import StreamEvent
from refute.wire.exchange import UNCHANGED, Call, PythonCall, PythonStrike, Reply, Step, Strike
from refute.wire.rewriting import EventRewriter, EventStrike

Change = Callable[[Any, float | None, random.Random], Any]
"""Takes data, a magnitude and a source of chance; returns other data, or `UNCHANGED`; never touches what it was given."""

ExchangeStrike = Callable[[Call, float | None, random.Random], Strike]
PythonStriker = Callable[[PythonCall, float | None, random.Random], PythonStrike]


def on_exchange(effect: str, change: Change) -> ExchangeStrike:
    """Return what strikes the data of a reply.

    Args:
        effect: as counted in the landing.
        change: what happens to the data.
    """

    def strike(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
        codec, seed = codec_of(call), rng.random()

        def altered(data: Any) -> Any:
            return _changed(change, data, magnitude, random.Random(seed))

        def whole(reply: Reply) -> Reply:
            data = altered(codec.data(call, reply)) if 200 <= reply.status < 300 else UNCHANGED
            return reply if data is UNCHANGED else codec.with_data(call, reply, data)

        return Strike(effect, rewrite_reply=whole, rewrite_stream=lambda: EventRewriter(codec, _DataEvents(codec, call, altered)))

    return strike


def on_python(effect: str, change: Change) -> PythonStriker:
    """Return what strikes the result of a function; arguments as in `on_exchange`."""

    def strike(_call: PythonCall, magnitude: float | None, rng: random.Random) -> PythonStrike:
        return PythonStrike(effect, rewrite=lambda result: change(result, magnitude, rng))

    return strike


def awaits_change(change: Change) -> Awaits:
    """Return what makes a reply eligible: it has data that the change would change."""

    def reply(call: Call, reply: Reply) -> bool:
        data = codec_of(call).data(call, reply)
        return _changed(change, data, None, random.Random(0)) is not UNCHANGED

    return Awaits(reply=reply, event=_is_result)


def _changed(change: Change, data: Any, magnitude: float | None, rng: random.Random) -> Any:
    """Return other data; data of a shape that the change cannot bear reach the client as they were."""
    try:
        return UNCHANGED if data is None else change(data, magnitude, rng)
    except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError):
        return UNCHANGED


def is_work(call: Call) -> bool:
    """Say whether a call asks for work: over MCP, only the call of a tool does; nothing else is about a tool's result."""
    return call.protocol not in {"mcp", "mcp.stdio"} or call.operation == "tools/call"


def changes(did: str, change: Change) -> dict[str, Any]:
    """Return the fields of a fault that changes what comes back, from a function and over HTTP alike.

    Args:
        did: the effect, as counted in the landing.
        change: what happens to the data.
    """
    return {
        "landing": "counted as the changed result is returned or handed to the client; one with nothing to change is left alone",
        "strike_exchange": on_exchange(did, change),
        "strike_python": on_python(did, change),
        "awaits": awaits_change(change),
        "matches_exchange": is_work,
    }


def _is_result(event: StreamEvent) -> bool:
    return event.terminal and not event.error


class _DataEvents(EventStrike):
    """Changes the one event of a stream that carries data: the response among MCP's messages."""

    def __init__(self, codec: Codec, call: Call, altered: Callable[[Any], Any]) -> None:
        self._codec = codec
        self._call = call
        self._altered = altered

    def see(self, event: StreamEvent) -> list[Step]:
        data = self._altered(self._codec.event_data(self._call, event)) if _is_result(event) else UNCHANGED
        if data is UNCHANGED:
            return [event.raw]
        self.struck = True
        return [self._codec.with_event_data(self._call, event, data)]
