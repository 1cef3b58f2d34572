"""Faults of the tool calls that a model asks for. Whether a call is eligible shows only in its reply."""

from __future__ import annotations

import random
from dataclasses import replace

from refute.faults.spec import Awaits, Fault
from refute.wire.codec import Codec, codec_of
from refute.wire.events import StreamEvent, ToolDelta
from refute.wire.exchange import Call, Reply, Step, Strike
from refute.wire.rewriting import EventRewriter

_MOST_CHARACTERS = 24
"""Arguments break off within so many characters: inside the first entry or soon after it, as a rule."""


class _CutArguments:
    """Passes the first characters of one tool call's arguments and never their last one.

    Args:
        codec: edits the events.
        kept: characters to pass at most.
    """

    def __init__(self, codec: Codec, kept: int) -> None:
        self.struck = self.done = False
        self._codec = codec
        self._left = kept
        self._held = ""
        self._index: int | None = None

    def see(self, event: StreamEvent) -> list[Step]:
        if self._index is None:
            self._index = next((delta.index for delta in event.tools if delta.arguments), None)
        if not any(delta.index == self._index and delta.arguments for delta in event.tools):
            return [event.raw]
        tools = tuple(self._cut(delta) if delta.index == self._index else delta for delta in event.tools)
        self.struck = True
        return [self._codec.edit_event(event, tools=tools)]

    def _cut(self, delta: ToolDelta) -> ToolDelta:
        """Hold the last character back, as it might be what makes the text whole; spaces after it do not count."""
        text = self._held + delta.arguments
        end = max(0, len(text.rstrip()) - 1)
        passed, self._held = text[:end][: self._left], text[end:]
        self._left -= len(passed)
        if self._left <= 0:
            self._held = ""
        return replace(delta, arguments=passed)


def _bad_arguments(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del magnitude
    codec, kept = codec_of(call), rng.randint(1, _MOST_CHARACTERS)

    def whole(reply: Reply) -> Reply:
        answer = codec.answer(reply)
        if answer is None:
            return reply
        first = next(place for place, tool in enumerate(answer.tools) if tool.arguments)
        text = answer.tools[first].arguments.rstrip()
        cut = replace(answer.tools[first], arguments=text[: min(kept, len(text) - 1)])
        return codec.edit_answer(reply, answer, tools=(*answer.tools[:first], cut, *answer.tools[first + 1 :]))

    return Strike("bad arguments", rewrite_reply=whole, rewrite_stream=lambda: EventRewriter(codec, _CutArguments(codec, kept)))


FAULTS: tuple[Fault, ...] = (
    Fault(
        "toolcall.bad_arguments",
        "The model asks for a tool with arguments that are cut short.",
        frozenset({"llm"}),
        "wrong_answer",
        effect="the first tool call's JSON arguments break off though the finish reason says tool_calls; where a whole answer holds an "
        "object rather than text (Anthropic), entries are missing from it",
        landing="number of replies with a tool call that reached the client so",
        belief="Malformed tool arguments are caught before the tool runs",
        source="issue trackers of agent frameworks; benchmarks of function calling",
        typical_share=0.1,
        strike_exchange=_bad_arguments,
        awaits=Awaits(
            answer=lambda answer: any(tool.arguments for tool in answer.tools),
            event=lambda event: any(delta.arguments.strip() for delta in event.tools),
        ),
    ),
)
