"""Faults of the tool calls that a model asks for. Whether a call is eligible shows only in its reply."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from refute.core.system import ComponentKind
from refute.faults._streams import ToolChange, tool_strike
from refute.faults.spec import Awaits, Fault
from refute.wire.events import ToolDelta
from refute.wire.exchange import Call, Strike
from refute.wire.request import json_object

_KINDS: frozenset[ComponentKind] = frozenset({"llm"})
_MOST_CHARACTERS = 24
"""Arguments break off within so many characters: inside the first entry or soon after it, as a rule."""

_HAS_CALL = Awaits(
    answer=lambda answer: bool(answer.tools), event=lambda event: not event.snapshot and any(delta.name for delta in event.tools)
)
_HAS_ID = Awaits(
    answer=lambda answer: any(tool.id for tool in answer.tools),
    event=lambda event: not event.snapshot and any(delta.id for delta in event.tools),
)
_HAS_ARGUMENTS = Awaits(
    answer=lambda answer: any(tool.arguments for tool in answer.tools),
    event=lambda event: not event.snapshot and any(delta.arguments.strip() for delta in event.tools),
)
_EARLIER_IDS = ("tool_call_id", "tool_use_id", "call_id")
"""Keys under which a request names the tool calls that its results belong to, whatever the provider."""


class _CutArguments(ToolChange):
    """Passes the first characters of the first call's arguments and never their last one.

    Args:
        kept: characters to pass at most.
    """

    def __init__(self, kept: int) -> None:
        self._left = kept
        self._held = ""
        self._index: int | None = None

    def piece(self, tool: ToolDelta) -> ToolDelta:
        if self._index is None and tool.arguments:
            self._index = tool.index
        if tool.index != self._index or not tool.arguments:
            return tool
        text = self._held + tool.arguments
        end = max(0, len(text.rstrip()) - 1)  # the last character might be what makes the text whole; spaces after it do not count
        passed, self._held = text[:end][: self._left], text[end:]
        self._left -= len(passed)
        if self._left <= 0:
            self._held = ""
        return replace(tool, arguments=passed)


class _Renamed(ToolChange):
    """Asks for a tool that there is not."""

    def piece(self, tool: ToolDelta) -> ToolDelta:
        return replace(tool, name=f"{tool.name}_v2") if tool.name else tool


class _Identified(ToolChange):
    """Gives all calls the same id, or takes their ids away.

    Args:
        identity: "" for none.
    """

    def __init__(self, identity: str) -> None:
        self._identity = identity

    def piece(self, tool: ToolDelta) -> ToolDelta:
        return replace(tool, id=self._identity) if tool.id else tool


class _Repeated(ToolChange):
    """Asks for the first call once more, under an id of its own.

    Args:
        suffix: what makes that id another one.
    """

    def __init__(self, suffix: str) -> None:
        self._suffix = suffix

    def added(self, tools: tuple[ToolDelta, ...]) -> tuple[ToolDelta, ...]:
        first = tools[0]
        return (replace(first, id=first.id[: -len(self._suffix)] + self._suffix if first.id else ""),)


def _bad_arguments(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del magnitude
    kept = rng.randint(1, _MOST_CHARACTERS)
    return tool_strike("bad arguments", call, lambda: _CutArguments(kept))


def _unknown_tool(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del magnitude, rng
    return tool_strike("unknown tool", call, _Renamed)


def _duplicate_id(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del magnitude
    identity = rng.choice(sorted(set(_earlier_ids(json_object(call.request.body)))))
    return tool_strike("duplicate id", call, lambda: _Identified(identity))


def _missing_id(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del magnitude, rng
    return tool_strike("missing id", call, lambda: _Identified(""))


def _repeated(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del magnitude
    suffix = f"{rng.getrandbits(24):06x}"
    return tool_strike("call repeated", call, lambda: _Repeated(suffix))


def _earlier_ids(data: Any) -> Iterator[str]:
    if isinstance(data, dict):
        yield from (data[key] for key in _EARLIER_IDS if isinstance(data.get(key), str))
        data = list(data.values())
    if isinstance(data, list):
        for entry in data:
            yield from _earlier_ids(entry)


def _has_earlier_ids(call: Call) -> bool:
    return any(_earlier_ids(json_object(call.request.body)))


_LANDING = "number of replies with a tool call that reached the client so"

FAULTS: tuple[Fault, ...] = (
    Fault(
        "toolcall.bad_arguments",
        "The model asks for a tool with arguments that are cut short.",
        _KINDS,
        "wrong_answer",
        effect="the first tool call's JSON arguments break off though the finish reason says tool_calls; where an answer holds an object "
        "rather than text (Anthropic's whole answers, Gemini, Ollama), entries are missing from it",
        landing=_LANDING,
        belief="Malformed tool arguments are caught before the tool runs",
        source="issue trackers of agent frameworks; benchmarks of function calling",
        typical_share=0.1,
        strike_exchange=_bad_arguments,
        awaits=_HAS_ARGUMENTS,
    ),
    Fault(
        "toolcall.unknown_tool",
        "The model asks for a tool that there is not.",
        _KINDS,
        "wrong_answer",
        effect="every tool call in the answer names a tool of nearly the same name (`lookup_order_v2`)",
        landing=_LANDING,
        belief="A call of an unknown tool is told to the model, and does not end the conversation",
        source="benchmarks of function calling: hallucinated tool names",
        typical_share=0.05,
        strike_exchange=_unknown_tool,
        awaits=_HAS_CALL,
    ),
    Fault(
        "toolcall.duplicate_id",
        "A tool call bears an id that was used before.",
        _KINDS,
        "wrong_answer",
        effect="every tool call in the answer bears the id of an earlier call of the conversation; only calls whose request holds "
        "results of "
        "earlier ones are eligible",
        landing=_LANDING,
        belief="Results are matched to their calls even where ids repeat",
        source="compatible servers that count from `call_0` in each turn",
        typical_share=0.05,
        strike_exchange=_duplicate_id,
        matches_exchange=_has_earlier_ids,
        awaits=_HAS_ID,
    ),
    Fault(
        "toolcall.missing_id",
        "A tool call has no id.",
        _KINDS,
        "wrong_answer",
        effect="the ids are taken out of all tool calls in the answer",
        landing=_LANDING,
        belief="A tool call without an id is answered all the same, or refused with a clear error",
        source="compatible servers that leave it out",
        typical_share=0.05,
        strike_exchange=_missing_id,
        awaits=_HAS_ID,
    ),
    Fault(
        "toolcall.repeated",
        "The model asks for the same thing twice.",
        _KINDS,
        "state_write",
        effect="the first tool call stands in the answer a second time, with the same arguments and an id of its own",
        landing=_LANDING,
        belief="The same call twice does the work once",
        source="parallel tool calls; loops of agents",
        typical_share=0.05,
        strike_exchange=_repeated,
        awaits=_HAS_CALL,
        undone_by="the lease: revoked or expired, answers go through untouched; work that a tool did twice stays done",
    ),
)
