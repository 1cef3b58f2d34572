"""What providers say in their own words, said in ours: events of a stream, whole answers, kinds of errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Finish = Literal["", "stop", "length", "tool_calls", "filtered", "other"]
"""Why a model stopped; "" where it has not, or does not say."""

ErrorKind = Literal[
    "rate_limit", "quota", "overloaded", "server_error", "bad_request", "context_length", "auth", "permission", "not_found", "too_large",
]  # fmt: skip
"""What a provider complains of."""


@dataclass(frozen=True, slots=True)
class ErrorDetail:
    """An error to be said in a provider's words.

    Attributes:
        kind: what it complains of.
        request_id: the provider's id of the request; made up, but of the right shape.
        retry_after_s: when to come back, in seconds; None where the provider would not say.
        now_s: seconds since the epoch, for headers that carry a time.
    """

    kind: ErrorKind
    request_id: str = "req_011CRefuteRefuteRefuteRe"
    retry_after_s: float | None = None
    now_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ToolDelta:
    """A piece of a tool call.

    Attributes:
        index: which of the answer's tool calls, from 0 (or the provider's block number).
        id: the call's id where this piece starts it, else "".
        name: the tool's name where this piece starts it, else "".
        arguments: piece of the arguments' JSON text.
    """

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One server-sent event; it may carry several things at once.

    Attributes:
        raw: the bytes as they came, with the blank line at the end.
        data: decoded JSON, None where there is none.
        text: piece of the answer's text.
        tools: pieces of tool calls.
        finish: why the model stopped, where this event says so.
        usage: whether it counts tokens.
        terminal: whether it ends the stream by the protocol's rules.
        error: whether it is an error.
        part: number of the part of the answer that it belongs to, in the order of the answer; -1 where to none.
        closes: whether no more comes for its part.
        snapshot: whether it repeats, whole, what pieces before it said.
        model: name of the model that it says answers, "" where it names none.
    """

    raw: bytes
    data: Any = None
    text: str = ""
    tools: tuple[ToolDelta, ...] = ()
    finish: Finish = ""
    usage: bool = False
    terminal: bool = False
    error: bool = False
    part: int = -1
    closes: bool = False
    snapshot: bool = False
    model: str = ""

    @property
    def content(self) -> bool:
        """Say whether it carries something new that the model wrote."""
        return not self.snapshot and (bool(self.text) or any(delta.arguments for delta in self.tools))


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer of a model.

    Attributes:
        text: its text, "" where it only calls tools.
        tools: its tool calls, arguments as JSON text.
        finish: why the model stopped.
        data: decoded JSON of the whole reply.
    """

    text: str
    tools: tuple[ToolDelta, ...]
    finish: Finish
    data: Any


@dataclass(frozen=True, slots=True)
class Edit:
    """What is to be said in the place of what an event or an answer says; fields left at their defaults change nothing.

    Attributes:
        text: replaces the text; where it stands in several places, it goes to the first and the others are emptied.
        tools: replaces the tool calls, or the pieces of them, one by one: further ones are added, missing ones removed. An id
            of "" takes the id away from one that has it.
        finish: replaces the reason, where there is one.
        model: replaces the model's name, where there is one.
        usage: factor by which token counts are multiplied; 0 takes them away.
    """

    text: str | None = None
    tools: tuple[ToolDelta, ...] | None = None
    finish: Finish = ""
    model: str = ""
    usage: float | None = None
