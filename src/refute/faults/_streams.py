"""Carries changes of text, tool calls and single fields through whole answers and streams alike, so that each is written once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from refute.wire.codec import Codec, codec_of
from refute.wire.events import Edit, Finish, StreamEvent, ToolDelta
from refute.wire.exchange import Call, Reply, Step, Strike
from refute.wire.rewriting import EventRewriter, EventStrike


def event_strike(effect: str, call: Call, make: Callable[[], EventStrike]) -> Strike:
    """Return a strike on the events of a stream.

    Args:
        effect: as counted in the landing.
        call: what was asked.
        make: makes the state of one stream.
    """
    return Strike(effect, rewrite_stream=lambda: EventRewriter(codec_of(call), make()))


class TextChange:
    """What happens to an answer's text, piece by piece; a whole answer is one piece. This one changes nothing.

    Attributes:
        finish: reason to give in the place of the model's own; "" keeps it.
        over: True once nothing that the model writes may pass any more.
    """

    finish: Finish = ""
    over = False

    def feed(self, piece: str) -> str:
        """Return what to say in a piece's place."""
        return piece

    def end(self) -> list[str]:
        """Return what else to say once the text has ended, in pieces."""
        return []

    def held(self) -> str:
        """Give up in the middle: return what was taken in and not said yet."""
        return ""

    def whole(self, text: str) -> str:
        """Return what to say in the place of a whole text."""
        return self.feed(text) + "".join(self.end())


def text_strike(effect: str, call: Call, make: Callable[[], TextChange]) -> Strike:
    """Return a strike on the text of an answer, whole or streamed.

    Args:
        effect: as counted in the landing.
        call: what was asked.
        make: makes the change, anew for each answer.
    """
    codec = codec_of(call)

    def whole(reply: Reply) -> Reply:
        if (answer := codec.answer(reply)) is None:
            return reply
        change = make()
        edit = Edit(text=change.whole(answer.text), tools=() if change.over else None, finish=change.finish)
        same = edit.text == answer.text and edit.tools is None and edit.finish in {"", answer.finish}
        return reply if same else codec.edit_answer(reply, answer, edit)

    return Strike(effect, rewrite_reply=whole, rewrite_stream=lambda: EventRewriter(codec, _Text(codec, make())))


class _Text(EventStrike):
    """Passes the text of a stream through a change; what repeats it whole is kept in line."""

    def __init__(self, codec: Codec, change: TextChange) -> None:
        self._codec = codec
        self._change = change
        self._said: dict[int, str] = {}
        self._like: StreamEvent | None = None
        self._last_part = -1
        self._ended = False

    def see(self, event: StreamEvent) -> list[Step]:
        if event.error or event.data is None:
            return [event.raw]
        steps: list[Step] = []
        if self._like is not None and not self._ended and (event.finish or (event.closes and event.part == self._like.part)):
            steps, event = self._end(event)
        if event.finish or event.snapshot:
            return [*steps, *self._repeat(event)]
        if self._change.over and (event.part > self._last_part or event.tools):
            self.struck = True
            return steps
        return [*steps, *self._piece(event)] if event.text else [*steps, event.raw]

    def held(self) -> bytes:
        rest = self._change.held()
        return self._codec.edit_event(self._like, Edit(text=rest)) if rest and self._like is not None else b""

    def _piece(self, event: StreamEvent) -> list[Step]:
        text = self._fed(event)
        if text == event.text:
            return [event.raw]
        self.struck = True
        return [self._codec.edit_event(event, Edit(text=text))] if text or event.tools else []

    def _fed(self, event: StreamEvent) -> str:
        over = self._change.over
        text = "" if over else self._change.feed(event.text)
        self._like, self._last_part = event, event.part if not over else self._last_part
        self._said[event.part] = self._said.get(event.part, "") + text
        return text

    def _end(self, event: StreamEvent) -> tuple[list[Step], StreamEvent]:
        """Say what the change still has to say, in events of its own, or in the last event where that has text itself."""
        self._ended = True
        if event.text and not event.snapshot:
            return [], event
        assert self._like is not None
        pieces = self._change.end()
        self._said[self._like.part] += "".join(pieces)
        self.struck = self.struck or bool(pieces)
        return [self._codec.edit_event(self._like, Edit(text=piece)) for piece in pieces], event

    def _repeat(self, event: StreamEvent) -> list[Step]:
        """Pass an event on that says the reason, or repeats a part or all of the answer."""
        text: str | None = None
        if event.text and not event.snapshot:
            text = self._fed(event) + "".join(self._change.end())
        elif event.snapshot and event.text and self._said:
            text = self._said.get(event.part, "".join(self._said.values()))
        over = self._change.over
        if over and not event.finish and event.part > self._last_part:
            return []
        edit = Edit(text=text, tools=() if over and event.tools else None, finish=self._change.finish if event.finish else "")
        if edit == Edit() or ((text is None or text == event.text) and not edit.finish and edit.tools is None):
            return [event.raw]
        self.struck = True
        return [self._codec.edit_event(event, edit)]


class ToolChange:
    """What happens to an answer's tool calls. This one changes nothing."""

    def piece(self, tool: ToolDelta) -> ToolDelta:
        """Return what to say in the place of a piece of a call; a whole call is one piece."""
        return tool

    def added(self, tools: tuple[ToolDelta, ...]) -> tuple[ToolDelta, ...]:
        """Return calls to add to those of an answer.

        Args:
            tools: the answer's own, whole and as they came; their indices are what the protocol numbers them by.
        """
        del tools
        return ()

    def whole(self, tools: tuple[ToolDelta, ...]) -> tuple[ToolDelta, ...]:
        """Return what to say in the place of all calls of an answer."""
        return (*map(self.piece, tools), *self.added(tools))


def tool_strike(effect: str, call: Call, make: Callable[[], ToolChange]) -> Strike:
    """Return a strike on the tool calls of an answer, whole or streamed; arguments as in `text_strike`."""
    codec = codec_of(call)

    def whole(reply: Reply) -> Reply:
        if (answer := codec.answer(reply)) is None:
            return reply
        tools = make().whole(answer.tools)
        return reply if tools == answer.tools else codec.edit_answer(reply, answer, Edit(tools=tools))

    return Strike(effect, rewrite_reply=whole, rewrite_stream=lambda: EventRewriter(codec, _Tools(codec, make())))


class _Tools(EventStrike):
    """Passes the tool calls of a stream through a change; what repeats them whole is kept in line."""

    def __init__(self, codec: Codec, change: ToolChange) -> None:
        self._codec = codec
        self._change = change
        self._calls: dict[int, ToolDelta] = {}
        self._said: dict[int, ToolDelta] = {}
        self._highest = -1

    def see(self, event: StreamEvent) -> list[Step]:
        if event.error or event.data is None:
            return [event.raw]
        self._highest = max(self._highest, event.part)
        if event.snapshot:
            return self._repeat(event)
        tools = tuple(self._fed(tool) for tool in event.tools)
        added = self._added() if event.finish else ()
        if event.tools and added:
            self.struck = True
            return [self._codec.edit_event(event, Edit(tools=(*tools, *added)))]
        steps: list[Step] = [self._codec.add_tool(event, tool) for tool in added]
        changed = tools != event.tools
        self.struck = self.struck or changed or bool(steps)
        return [*steps, self._codec.edit_event(event, Edit(tools=tools)) if changed else event.raw]

    def _fed(self, tool: ToolDelta) -> ToolDelta:
        changed = self._change.piece(tool)
        self._calls[tool.index] = _joined(self._calls.get(tool.index), tool)
        self._said[tool.index] = _joined(self._said.get(tool.index), changed)
        return changed

    def _added(self) -> tuple[ToolDelta, ...]:
        added = self._change.added(tuple(self._calls.values()))
        first = max(self._highest, *self._calls, -1) + 1
        numbered = tuple(replace(tool, index=first + place) for place, tool in enumerate(added))
        self._said |= {tool.index: tool for tool in numbered}
        return numbered

    def _repeat(self, event: StreamEvent) -> list[Step]:
        steps: list[Step] = []
        if event.finish:
            steps = [self._codec.add_tool(event, tool) for tool in self._added()]
            tools = tuple(self._said.values())
        else:
            tools = tuple(replace(self._said.get(tool.index, tool), index=tool.index) for tool in event.tools)
        if not tools or [_told(tool) for tool in tools] == [_told(tool) for tool in event.tools]:
            return [event.raw]
        self.struck = True
        return [*steps, self._codec.edit_event(event, Edit(tools=tools))]


def _told(tool: ToolDelta) -> tuple[str, str, str]:
    return tool.id, tool.name, tool.arguments


def _joined(before: ToolDelta | None, piece: ToolDelta) -> ToolDelta:
    if before is None:
        return piece
    return replace(before, id=before.id or piece.id, name=before.name or piece.name, arguments=before.arguments + piece.arguments)


def field_strike(effect: str, call: Call, edit: Edit) -> Strike:
    """Return a strike that replaces the model's name or the usage wherever an answer or a stream states it."""
    codec = codec_of(call)

    def whole(reply: Reply) -> Reply:
        answer = codec.answer(reply)
        return reply if answer is None else codec.edit_answer(reply, answer, edit)

    return Strike(effect, rewrite_reply=whole, rewrite_stream=lambda: EventRewriter(codec, _Fields(codec, edit)))


class _Fields(EventStrike):
    """Edits each event that states the model or the usage."""

    def __init__(self, codec: Codec, edit: Edit) -> None:
        self._codec = codec
        self._edit = edit

    def see(self, event: StreamEvent) -> list[Step]:
        if not ((self._edit.model and event.model) or (self._edit.usage is not None and event.usage)):
            return [event.raw]
        self.struck = True
        return [self._codec.edit_event(event, self._edit)]
