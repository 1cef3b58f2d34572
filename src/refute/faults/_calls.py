"""What faults of tools, stores, agents and guardrails have in common: they wait, fail, or answer from memory, over HTTP and in Python."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

from refute.faults._data import ExchangeStrike, PythonStriker, is_work, on_exchange
from refute.faults.spec import Awaits, Magnitude
from refute.wire.codec import codec_of
from refute.wire.events import ErrorKind
from refute.wire.exchange import UNCHANGED, Call, Failure, Pause, PythonCall, PythonStrike, Reply, Step, Strike
from refute.wire.mcp import refused
from refute.wire.request import json_object

REMEMBERED = 32
"""Answers to other arguments that a fault from memory knows at most."""


def waits(scale: Magnitude) -> tuple[ExchangeStrike, PythonStriker]:
    """Return strikes that only wait: the call goes through after it."""

    def exchange(_call: Call, magnitude: float | None, _rng: random.Random) -> Strike:
        return Strike("delay", hold_s=scale.or_typical(magnitude))

    def python(_call: PythonCall, magnitude: float | None, _rng: random.Random) -> PythonStrike:
        return PythonStrike("delay", hold_s=scale.or_typical(magnitude))

    return exchange, python


def times_out(scale: Magnitude) -> tuple[ExchangeStrike, PythonStriker]:
    """Return strikes that wait and then tell of a time-out, without doing the work."""

    def exchange(_call: Call, magnitude: float | None, _rng: random.Random) -> Strike:
        return Strike("time-out", hold_s=scale.or_typical(magnitude), instead=Failure.READ_TIMEOUT)

    def python(call: PythonCall, magnitude: float | None, _rng: random.Random) -> PythonStrike:
        seconds = scale.or_typical(magnitude)
        raised = TimeoutError(f"timed out after {seconds:g} s")
        raised.add_note(f"injected by Refute into {call.name}")
        return PythonStrike("TimeoutError", hold_s=seconds, raises=raised)

    return exchange, python


def fails(
    status: int, code: str, message: str, error: Callable[[str], Exception] = ConnectionError
) -> tuple[ExchangeStrike, PythonStriker]:
    """Return strikes that fail at once, without doing the work.

    Args:
        status: HTTP status.
        code: short name of the error, for a JSON body.
        message: in words.
        error: makes the exception that a Python function raises.
    """

    def exchange(call: Call, _magnitude: float | None, _rng: random.Random) -> Strike:
        if call.protocol.startswith("mcp"):
            return Strike("tool error", instead=tool_error(call, message))
        return Strike(f"status {status}", instead=json_reply(status, {"error": {"code": code, "message": message}}))

    def python(call: PythonCall, _magnitude: float | None, _rng: random.Random) -> PythonStrike:
        raised = error(message)
        raised.add_note(f"injected by Refute into {call.name}")
        return PythonStrike(type(raised).__name__, raises=raised)

    return exchange, python


def provider_fails(kind: ErrorKind, error: Callable[[str], Exception]) -> tuple[ExchangeStrike, PythonStriker]:
    """Return strikes that fail with the provider's own error of a kind, or an exception in a function.

    Args:
        kind: of the provider's error.
        error: makes the exception.
    """
    from refute.faults.llm import detail_of

    def exchange(call: Call, _magnitude: float | None, rng: random.Random) -> Strike:
        reply = codec_of(call).error(detail_of(kind, rng))
        return Strike(f"status {reply.status}", instead=reply)

    def python(call: PythonCall, _magnitude: float | None, _rng: random.Random) -> PythonStrike:
        raised = error(kind.replace("_", " "))
        raised.add_note(f"injected by Refute into {call.name}")
        return PythonStrike(type(raised).__name__, raises=raised)

    return exchange, python


def recalls(did: str, *, another: bool) -> dict[str, Any]:
    """Return the fields of a fault that answers from memory, from a function and over HTTP alike.

    Args:
        did: the effect, as counted in the landing.
        another: what was answered to something else; otherwise what was answered to the same thing first.
    """

    def answers(call: Call, data: Any) -> list[Any]:
        return [answer for answer in (call.earlier if another else call.first) if not same(answer, data)]

    def exchange(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
        def change(data: Any, _magnitude: float | None, rng: random.Random) -> Any:
            others = answers(call, data)
            return copy.deepcopy(rng.choice(others)) if others else UNCHANGED

        return on_exchange(did, change)(call, magnitude, rng)

    return {
        "strike_exchange": exchange,
        "strike_python": another_answer(did) if another else first_answer(did),
        "matches_exchange": is_work,
        "matches_python": knows_another if another else knows_first,
        "awaits": Awaits(data=lambda call, data: bool(answers(call, data))),
        "remembers": REMEMBERED,
    }


def another_answer(did: str) -> PythonStriker:
    """Return a strike that replaces a result by one that was really given to other arguments."""

    def python(call: PythonCall, _magnitude: float | None, rng: random.Random) -> PythonStrike:
        def rewrite(result: Any) -> Any:
            others = [answer for answer in call.earlier if not same(answer, result)]
            return copy.deepcopy(rng.choice(others)) if others else UNCHANGED

        return PythonStrike(did, rewrite=rewrite)

    return python


def first_answer(did: str) -> PythonStriker:
    """Return a strike that replaces a result by the first one that was given to the same arguments."""

    def python(call: PythonCall, _magnitude: float | None, _rng: random.Random) -> PythonStrike:
        def rewrite(result: Any) -> Any:
            return UNCHANGED if same(call.first[0], result) else copy.deepcopy(call.first[0])

        return PythonStrike(did, rewrite=rewrite)

    return python


def knows_another(call: PythonCall) -> bool:
    """Say whether an answer to other arguments is known."""
    return bool(call.earlier)


def knows_first(call: PythonCall) -> bool:
    """Say whether an earlier answer to the same arguments is known."""
    return bool(call.first)


def same(one: Any, other: Any) -> bool:
    """Compare as far as the types allow; arrays and the like, whose comparison is no boolean, count as different."""
    try:
        return bool(one == other)
    except (TypeError, ValueError):
        return False


def json_reply(status: int, body: Any) -> Reply:
    """Return a JSON reply."""
    encoded = json.dumps(body).encode()
    return Reply(status, (("content-type", "application/json"), ("content-length", str(len(encoded)))), encoded)


def mcp_reply(call: Call, **said: Any) -> Reply:
    """Return a JSON-RPC response to a call over MCP.

    Args:
        call: the call.
        **said: `result` or `error`.
    """
    return json_reply(200, {"jsonrpc": "2.0", "id": json_object(call.request.body).get("id"), **said})


def tool_error(call: Call, message: str) -> Reply:
    """Return a tool's own error over MCP: a result that says so, for the model to read."""
    return mcp_reply(call, result={"content": [{"type": "text", "text": f"Error executing tool: {message}"}], "isError": True})


def session_lost() -> Reply:
    """Return what a server answers to a session that it does not know."""
    return refused(404, -32600, "Session not found")


class SilentAfterWork:
    """Lets the work be done and the client wait for what came of it, until its time is up.

    Args:
        seconds: how long.
    """

    struck = done = False

    def __init__(self, seconds: float) -> None:
        """Start with nothing seen."""
        self._seconds = seconds

    def feed(self, chunk: bytes) -> list[Step]:
        """See `StreamRewriter.feed`."""
        del chunk
        self.struck = self.done = True
        return [Pause(self._seconds), Failure.READ_TIMEOUT]

    def finish(self) -> list[Step]:
        """See `StreamRewriter.finish`."""
        return [] if self.done else self.feed(b"")

    def release(self) -> bytes:
        """See `StreamRewriter.release`."""
        return b""
