"""Faults of another service's HTTP API: errors, delays and silence, in no provider's words."""

from __future__ import annotations

import random

from refute.core.system import ComponentKind
from refute.faults.spec import Fault, Magnitude
from refute.wire.exchange import Call, Failure, Reply, Strike

_KINDS: frozenset[ComponentKind] = frozenset({"service", "tool", "datastore", "feature_store", "vector_store", "queue", "cache"})
_SOURCE = "gateways, deployments and saturated services, as incident reports tell"
_DELAY = Magnitude("s", 0.01, 60.0, 1.0, "how late the answer is", log=True)
_SILENCE = Magnitude("s", 0.1, 600.0, 60.0, "silence before the first byte", log=True)
_WAIT = Magnitude("s", 0.0, 120.0, 5.0, "how long the service asks to wait (retry-after)")


def _error(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del call, magnitude
    status = rng.choice((500, 502, 504))
    body = b'{"error":"internal error"}' if status == 500 else b"<html><body><h1>Bad gateway</h1></body></html>"
    kind = "application/json" if status == 500 else "text/html"
    return Strike(f"status {status}", instead=_reply(status, kind, body))


def _unavailable(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del call, rng
    reply = _reply(503, "text/plain", b"Service Unavailable", ("retry-after", f"{_WAIT.or_typical(magnitude):.0f}"))
    return Strike("status 503", instead=reply)


def _delay(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del call, rng
    return Strike("delay", hold_s=_DELAY.or_typical(magnitude))


def _timeout(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del call, rng
    return Strike("no first byte", hold_s=_SILENCE.or_typical(magnitude))


def _reset(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del call, magnitude, rng
    return Strike("reset", instead=Failure.RESET)


def _reply(status: int, kind: str, body: bytes, *more: tuple[str, str]) -> Reply:
    return Reply(status, (("content-type", kind), ("content-length", str(len(body))), *more), body)


FAULTS: tuple[Fault, ...] = (
    Fault(
        "service.error", "The service, or a gateway before it, fails.", _KINDS, "availability",
        effect="500 with JSON, or 502 or 504 with a gateway's page; the request never reaches the service; drawn for each logical call",
        landing="number of replies by status handed to the client",
        belief="Users get a fallback when the service fails", source=_SOURCE, typical_share=0.1, strike_exchange=_error,
    ),
    Fault(
        "service.unavailable", "The service turns requests away and says when to come back.", _KINDS, "availability",
        effect="503 with retry-after; the request never reaches the service",
        landing="number of 503 replies handed to the client",
        belief="Requests that are turned away come back no sooner than they were told", source=_SOURCE, magnitude=_WAIT, typical_share=0.2,
        strike_exchange=_unavailable,
    ),
    Fault(
        "service.delay", "The service answers late.", _KINDS, "availability",
        effect="the request goes on after the given time; a shorter read time-out fires",
        landing="number of calls held for the whole time",
        belief="Answers stay quick enough when the service is slow", source=_SOURCE, magnitude=_DELAY, typical_share=0.3,
        strike_exchange=_delay,
    ),
    Fault(
        "service.timeout", "Nothing comes back for a long time.", _KINDS, "availability",
        effect="no byte for the given time; where the client's read time-out is shorter, its transport's own time-out error",
        landing="number of calls held to the end, or to the client's time-out",
        belief="A time-out is set, and what follows it is bounded", source=_SOURCE, magnitude=_SILENCE, typical_share=0.05,
        strike_exchange=_timeout,
    ),
    Fault(
        "service.reset", "The connection breaks before an answer.", _KINDS, "availability",
        effect="a TCP reset, or the transport's own error, before the first byte; the request never reaches the service",
        landing="number of connections reset",
        belief="A call that may have been carried out is not blindly repeated", source=_SOURCE, typical_share=0.05, strike_exchange=_reset,
    ),
)  # fmt: skip
