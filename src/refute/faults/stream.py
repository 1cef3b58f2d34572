"""Faults of a stream that has begun; a call that is not streamed is not eligible."""

from __future__ import annotations

import random
from collections.abc import Callable

from refute.core.system import ComponentKind
from refute.faults._streams import event_strike
from refute.faults.llm import detail_of
from refute.faults.spec import Awaits, Fault, Magnitude
from refute.wire.codec import codec_of
from refute.wire.events import StreamEvent
from refute.wire.exchange import Call, Failure, Pause, Step, Strike
from refute.wire.framing import broken, undecodable
from refute.wire.rewriting import EventStrike

_KINDS: frozenset[ComponentKind] = frozenset({"llm", "guardrail_model"})
_MOST_EVENTS = 4
"""A stream breaks after one to so many events with content, and before its finish in any case."""

_CONTENT_BEGINS = Awaits(event=lambda event: event.content)
_TEXT_BEGINS = Awaits(event=lambda event: bool(event.text) and event.content)


class _Broken(EventStrike):
    """Ends a stream in the middle of its content.

    Args:
        after: events with content to pass before.
        last: what it ends with.
    """

    def __init__(self, after: int, last: Step = b"") -> None:
        self._left = after
        self._last = last

    def see(self, event: StreamEvent) -> list[Step]:
        if self._left > 0 and not (event.finish or event.terminal):
            self._left -= event.content
            return [event.raw]
        self.struck = self.done = True
        return [self._last]


class _Once(EventStrike):
    """Does something with one event that has content, and passes all others.

    Args:
        after: events with content to pass before.
        act: returns what to pass on in the event's place.
    """

    def __init__(self, after: int, act: Callable[[StreamEvent], list[Step]]) -> None:
        self._left = after
        self._act = act

    def see(self, event: StreamEvent) -> list[Step]:
        if self.struck or not event.content or event.finish:
            return [event.raw]
        if self._left > 0:
            self._left -= 1
            return [event.raw]
        self.struck = True
        return self._act(event)


class _Each(EventStrike):
    """Does something with each event that has content, but for the first.

    Args:
        act: returns what to pass on in the event's place.
    """

    def __init__(self, act: Callable[[StreamEvent], list[Step]]) -> None:
        self._act = act
        self._begun = False

    def see(self, event: StreamEvent) -> list[Step]:
        if not event.content:
            return [event.raw]
        if not self._begun:
            self._begun = True
            return [event.raw]
        self.struck = True
        return self._act(event)


class _Reordered(EventStrike):
    """Lets one event with content come after the next one."""

    def __init__(self) -> None:
        self._waiting: StreamEvent | None = None

    def see(self, event: StreamEvent) -> list[Step]:
        if self.struck:
            return [event.raw]
        first, self._waiting = self._waiting, None
        fit = event.content and not event.finish
        if first is None:
            self._waiting = event if fit else None
            return [] if fit else [event.raw]
        self.struck = fit and event.part == first.part
        return [event.raw, first.raw] if self.struck else [first.raw, event.raw]

    def held(self) -> bytes:
        return b"" if self._waiting is None else self._waiting.raw


def _cut(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del magnitude
    after = rng.randint(1, _MOST_EVENTS)
    return event_strike("stream cut", call, lambda: _Broken(after))


def _reset(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del magnitude
    after = rng.randint(1, _MOST_EVENTS)
    return event_strike("stream reset", call, lambda: _Broken(after, Failure.RESET))


def _error_event(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del magnitude
    after, error = rng.randint(1, _MOST_EVENTS), codec_of(call).error_event(detail_of("overloaded", rng))
    return event_strike("error event", call, lambda: _Broken(after, error))


def _slow_start(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del rng
    late = Pause(_LATE.or_typical(magnitude))
    return event_strike("slow start", call, lambda: _Once(0, lambda event: [late, event.raw]))


def _slow_tokens(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del rng
    gap = Pause(_GAP.or_typical(magnitude))
    return event_strike("slow tokens", call, lambda: _Each(lambda event: [gap, event.raw]))


def _stall(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    after, silence = rng.randint(1, _MOST_EVENTS), Pause(_STALL.or_typical(magnitude))
    return event_strike("stall", call, lambda: _Once(after, lambda event: [silence, event.raw]))


def _bad_chunk(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del magnitude
    after = rng.randint(0, _MOST_EVENTS)
    name, spoil = rng.choice((("bad chunk: invalid JSON", broken), ("bad chunk: invalid UTF-8", undecodable)))
    return event_strike(name, call, lambda: _Once(after, lambda event: [spoil(event.raw)]))


def _duplicate(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del magnitude
    after = rng.randint(0, _MOST_EVENTS)
    return event_strike("event twice", call, lambda: _Once(after, lambda event: [event.raw, event.raw]))


def _reorder(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del magnitude, rng
    return event_strike("events swapped", call, _Reordered)


def _not_a_stream(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del magnitude, rng
    return Strike("not a stream", request=codec_of(call).whole(call.request))


def _keepalive(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del magnitude, rng
    said = codec_of(call).keepalive()
    return event_strike("keep-alives", call, lambda: _Each(lambda event: [said + event.raw]))


def _empty_choices(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del magnitude, rng
    codec = codec_of(call)
    return event_strike("empty event", call, lambda: _Once(0, lambda event: [codec.hollow(event) + event.raw]))


def _is_streamed(call: Call) -> bool:
    return call.stream and call.protocol != "http"


_LATE = Magnitude("s", 0.05, 120.0, 5.0, "how late the first piece of content is", log=True)
_GAP = Magnitude("s", 0.01, 60.0, 0.5, "gap before each further piece of content", log=True)
_STALL = Magnitude("s", 1.0, 3600.0, 300.0, "silence in the middle of the content", log=True)

FAULTS: tuple[Fault, ...] = (
    Fault(
        "stream.slow_start",
        "The first token comes late.",
        _KINDS,
        "availability",
        effect="headers at once, then a gap before the first event with content; a shorter read time-out fires",
        landing="number of streams whose gap was waited out",
        belief="Users see that something happens before the first token",
        source="provider status pages: raised time to first token",
        magnitude=_LATE,
        typical_share=0.2,
        strike_exchange=_slow_start,
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
        "stream.stall",
        "The stream stops in the middle and stays open.",
        _KINDS,
        "availability",
        effect="after some of the content no byte for the given time, or until the lease ends; a shorter read time-out fires",
        landing="number of streams whose silence was waited out, by the client's time-out or to its end",
        belief="A stream that stops is given up after a bounded time",
        source="issue trackers: streams that hang with no time-out between chunks",
        magnitude=_STALL,
        typical_share=0.05,
        strike_exchange=_stall,
        awaits=_CONTENT_BEGINS,
    ),
    Fault(
        "stream.cut",
        "The stream ends in the middle as if it were complete.",
        _KINDS,
        "wrong_answer",
        effect="the body ends cleanly after some of the content: no finish reason, no terminal event; upstream is closed",
        landing="number of streams ended early under a reader that wanted more",
        belief="Half an answer is not taken for a whole one",
        source="seen: no error at all in most SDKs (see what your client does)",
        typical_share=0.05,
        strike_exchange=_cut,
        awaits=_CONTENT_BEGINS,
    ),
    Fault(
        "stream.reset",
        "The connection is reset in the middle of the stream.",
        _KINDS,
        "availability",
        effect="the transport's own error for a reset connection after some of the content; upstream is closed",
        landing="number of streams broken under a reader that wanted more",
        belief="An answer that breaks off is asked for again, or said to have failed",
        source="load balancers with a limit on the length of a request; mobile networks",
        typical_share=0.05,
        strike_exchange=_reset,
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
    Fault(
        "stream.bad_chunk",
        "One event of the stream cannot be read.",
        _KINDS,
        "availability",
        effect="one event with content breaks off in the middle of its JSON, or has bytes in it that are no UTF-8; drawn for each "
        "call; the "
        "others are as they came",
        landing="number of such events handed to the client, by variant",
        belief="One bad chunk does not lose the answer in silence",
        source="issue trackers: chunks cut by proxies in the middle of a character",
        typical_share=0.05,
        strike_exchange=_bad_chunk,
        awaits=_CONTENT_BEGINS,
    ),
    Fault(
        "stream.duplicate",
        "One event of the stream comes twice.",
        _KINDS,
        "wrong_answer",
        effect="one event with content is passed on twice, byte for byte",
        landing="number of streams with an event passed on twice",
        belief="A repeated chunk does not double words or corrupt tool arguments",
        source="proxies that replay a buffer after a retry",
        typical_share=0.02,
        strike_exchange=_duplicate,
        awaits=_CONTENT_BEGINS,
    ),
    Fault(
        "stream.reorder",
        "Two events of the stream come in the wrong order.",
        _KINDS,
        "wrong_answer",
        effect="two events with content, next to each other, are swapped; their sequence numbers, where they have any, go with them",
        landing="number of streams with events swapped",
        belief="Chunks out of order are noticed",
        source="gateways that fan out and merge; sequence numbers exist for a reason",
        typical_share=0.02,
        strike_exchange=_reorder,
        awaits=_CONTENT_BEGINS,
    ),
    Fault(
        "stream.not_a_stream",
        "A whole answer comes where a stream was asked for.",
        _KINDS,
        "wrong_answer",
        effect="the request goes on without its wish for a stream, and the provider's whole JSON answer comes back",
        landing="number of requests sent on so",
        belief="An answer that is not streamed is read all the same",
        source="gateways and caches that drop `stream`; seen: an empty stream and no error",
        typical_share=0.05,
        strike_exchange=_not_a_stream,
        matches_exchange=_is_streamed,
    ),
    Fault(
        "stream.keepalive",
        "The stream is full of keep-alives.",
        _KINDS,
        "wrong_answer",
        effect="before each event with content after the first: a comment, Anthropic's `ping`, or a blank line where lines are JSON; "
        "all of "
        "it allowed",
        landing="number of streams with keep-alives in them",
        belief="The client's parser skips what says nothing",
        source="gateways that send `: OPENROUTER PROCESSING`; naive parsers choke",
        typical_share=0.2,
        strike_exchange=_keepalive,
        awaits=_CONTENT_BEGINS,
    ),
    Fault(
        "stream.empty_choices",
        "The stream has an event with nothing in it.",
        _KINDS,
        "wrong_answer",
        effect="before the first piece of text an event of the right shape without choices, candidates or text",
        landing="number of streams with such an event",
        belief="Code that reads the stream does not take the first choice for granted",
        source="Azure's first chunk with filter results, the last one with usage: `choices: []`",
        typical_share=0.2,
        strike_exchange=_empty_choices,
        awaits=_TEXT_BEGINS,
    ),
)
