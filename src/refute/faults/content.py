"""Faults of what the model wrote, in whole answers and in streams."""

from __future__ import annotations

import random

from refute.faults.spec import Awaits, Fault
from refute.wire.codec import Codec, codec_of
from refute.wire.events import StreamEvent
from refute.wire.exchange import Call, Reply, Step, Strike
from refute.wire.rewriting import EventRewriter

_MOST_EVENTS = 8
"""A streamed text is cut within one of its first so many pieces."""


class _Truncated:
    """Cuts the text within one of its pieces, drops all content after it, and gives `length` as the reason.

    Args:
        codec: edits the events.
        after: pieces of text to pass whole.
    """

    def __init__(self, codec: Codec, after: int) -> None:
        self.struck = self.done = False
        self._codec = codec
        self._left = after
        self._cut_part: int | None = None

    def see(self, event: StreamEvent) -> list[Step]:
        if event.finish:
            self.struck = True
            return [self._codec.edit_event(event, text="" if self._cut_part is not None else None, finish="length")]
        if self._cut_part is not None:
            return [] if event.content or event.part > self._cut_part else [event.raw]
        if event.text and self._left == 0:
            self.struck, self._cut_part = True, event.part
            return [self._codec.edit_event(event, text=event.text[: len(event.text) // 2])]
        self._left -= bool(event.text)
        return [event.raw]


def _truncated(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del magnitude
    codec, after, kept = codec_of(call), rng.randint(1, _MOST_EVENTS), rng.uniform(0.2, 0.7)

    def whole(reply: Reply) -> Reply:
        answer = codec.answer(reply)
        if answer is None:
            return reply
        return codec.edit_answer(reply, answer, text=answer.text[: int(len(answer.text) * kept)], tools=(), finish="length")

    return Strike("truncated", rewrite_reply=whole, rewrite_stream=lambda: EventRewriter(codec, _Truncated(codec, after)))


FAULTS: tuple[Fault, ...] = (
    Fault(
        "content.truncated",
        "The answer stops at the token limit.",
        frozenset({"llm", "guardrail_model"}),
        "wrong_answer",
        effect="the text is cut and the finish reason is `length` (`max_tokens`), whole or streamed; content after the cut is dropped",
        landing="number of answers that reached the client cut",
        belief="A cut answer is continued, or recognised by its finish reason",
        source="provider documentation; output limits and long reasoning",
        typical_share=0.05,
        strike_exchange=_truncated,
        awaits=Awaits(answer=lambda answer: bool(answer.text), event=lambda event: bool(event.text)),
    ),
)
