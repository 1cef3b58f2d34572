"""Rewrites a stream event by event: what a fault does is said once, against abstract events."""

from __future__ import annotations

from refute.wire.events import StreamEvent
from refute.wire.exchange import Step
from refute.wire.protocol import Codec


class EventStrike:
    """What a fault does to the events of one stream; it keeps the state of that stream. This one does nothing.

    Attributes:
        struck: True once something was returned that differs from what was seen, or comes late.
        done: True once the stream is to end, after what was returned last.
    """

    struck = False
    done = False

    def see(self, event: StreamEvent) -> list[Step]:
        """Take one event and return what to pass on in its place."""
        return [event.raw]

    def held(self) -> bytes:
        """Give up, as the stream or the lease ends: return what was seen and not passed on."""
        return b""


class EventRewriter:
    """A `StreamRewriter` that feeds an `EventStrike`.

    Args:
        codec: reads the events.
        strike: changes them.
    """

    def __init__(self, codec: Codec, strike: EventStrike) -> None:
        """Start at the beginning of any event."""
        self._codec = codec
        self._strike = strike
        self._splitter = codec.splitter()

    def feed(self, chunk: bytes) -> list[Step]:
        """See `StreamRewriter.feed`."""
        steps: list[Step] = []
        for block in self._splitter.feed(chunk):
            if self._strike.done:
                break
            steps += self._strike.see(self._codec.event(block))
        return steps

    def finish(self) -> list[Step]:
        """See `StreamRewriter.finish`."""
        rest = b"" if self._strike.done else self._strike.held() + self._splitter.rest()
        return [rest] if rest else []

    def release(self) -> bytes:
        """See `StreamRewriter.release`."""
        return self._strike.held() + self._splitter.rest()

    @property
    def done(self) -> bool:
        """See `StreamRewriter.done`."""
        return self._strike.done

    @property
    def struck(self) -> bool:
        """See `StreamRewriter.struck`."""
        return self._strike.struck
