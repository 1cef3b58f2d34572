"""Faults of a stream that has begun; a call that is not streamed is not eligible."""

from __future__ import annotations

import random
import time

from refute.core.system import ComponentKind
from refute.faults.llm import request_id
from refute.faults.spec import Awaits, Fault, Magnitude
from refute.wire.codec import codec_of
from refute.wire.events import ErrorDetail, StreamEvent
from refute.wire.exchange import Call, Pause, Step, Strike
from refute.wire.rewriting import EventRewriter, EventStrike

_KINDS: frozenset[ComponentKind] = frozenset({"llm", "guardrail_model"})
_MOST_EVENTS = 4
"""A stream breaks after one to so many events with content, and before its finish in any case."""

_CONTENT_BEGINS = Awaits(event=lambda event: event.content)


class _Broken:
    """Ends a stream in the middle of its content.

    Args:
        after: events with content to pass before.
        last: bytes to end with.
    """

    def __init__(self, after: int, last: bytes = b"") -> None:
        self.struck = self.done = False
        self._left = after
        self._last = last

    def see(self, event: StreamEvent) -> list[Step]:
        if self._left > 0 and not (event.finish or event.terminal):
            self._left -= event.content
            return [event.raw]
        self.struck = self.done = True
        return [self._last]


class _Slow:
    """Puts a gap between the events with content."""

    def __init__(self, gap_s: float) -> None:
        self.struck = self.done = False
        self._gap = Pause(gap_s)
        self._begun = False

    def see(self, event: StreamEvent) -> list[Step]:
        if not event.content:
            return [event.raw]
        if not self._begun:
            self._begun = True
            return [event.raw]
        self.struck = True
        return [self._gap, event.raw]


def _rewriting(effect: str, call: Call, make: EventStrike) -> Strike:
    return Strike(effect, rewrite_stream=lambda: EventRewriter(codec_of(call), make))


def _cut(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del magnitude
    return _rewriting("stream cut", call, _Broken(rng.randint(1, _MOST_EVENTS)))


def _slow_tokens(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del rng
    return _rewriting("slow tokens", call, _Slow(_GAP.or_typical(magnitude)))


def _error_event(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del magnitude
    after = rng.randint(1, _MOST_EVENTS)
    error = codec_of(call).error_event(ErrorDetail("overloaded", request_id(rng), now_s=time.time()))
    return _rewriting("error event", call, _Broken(after, error))


_GAP = Magnitude("s", 0.01, 60.0, 0.5, "gap before each further piece of content", log=True)

FAULTS: tuple[Fault, ...] = (
    Fault(
        "stream.cut",
        "The stream ends in the middle as if it were complete.",
        _KINDS,
        "wrong_answer",
        effect="the body ends cleanly after some of the content: no finish reason, no terminal event; upstream is closed",
        landing="number of streams ended early under a reader that wanted more",
        belief="Half an answer is not taken for a whole one",
        source="seen: no error at all in the openai and anthropic SDKs",
        typical_share=0.05,
        strike_exchange=_cut,
        awaits=_CONTENT_BEGINS,
    ),
    Fault(
        "stream.slow_tokens",
        "The tokens come slowly.",
        _KINDS,
        "availability",
        effect="a gap before each event with content after the first; a shorter read time-out fires",
        landing="number of streams with at least one gap waited out",
        belief="A slow stream keeps users, and time limits on the whole answer hold",
        source="provider status pages: degraded throughput",
        magnitude=_GAP,
        typical_share=0.2,
        strike_exchange=_slow_tokens,
        awaits=_CONTENT_BEGINS,
    ),
    Fault(
        "stream.error_event",
        "An error arrives inside the stream, after 200 and some of the answer.",
        _KINDS,
        "availability",
        effect="the provider's own error event after some of the content, then the end; upstream is closed",
        landing="number of error events handed to the client",
        belief="An answer that fails half-way is asked for again, or said to have failed",
        source="provider documentation; seen: SDKs raise and never retry it",
        typical_share=0.05,
        strike_exchange=_error_event,
        awaits=_CONTENT_BEGINS,
    ),
)
