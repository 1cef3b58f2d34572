"""OpenAI Chat Completions, as OpenAI and servers compatible with it speak it; the older completions share its errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from refute.wire.events import Answer, Edit, ErrorDetail, Finish, StreamEvent, ToolDelta
from refute.wire.exchange import Reply
from refute.wire.openai_errors import WEAKER, error_body, error_reply
from refute.wire.protocol import Codec, of_json
from refute.wire.shapes import mapping, mappings, number, string, with_usage
from refute.wire.sse import read_event, read_json, write_event

_FINISH: dict[str, Finish] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "filtered",
}
_REASON = {"stop": "stop", "length": "length", "tool_calls": "tool_calls", "filtered": "content_filter", "other": "stop"}


class OpenAIChat(Codec):
    """The codec."""

    protocol = "openai.chat"
    weaker = WEAKER

    def operation(self, method: str, path: str, header: Callable[[str], str]) -> str:
        """See `Codec.operation`."""
        del header
        if method != "POST":
            return ""
        return "chat" if path.endswith("/chat/completions") else "completions" if path.endswith("/completions") else ""

    def error(self, detail: ErrorDetail) -> Reply:
        """See `Codec.error`."""
        return error_reply(detail)

    def error_event(self, detail: ErrorDetail) -> bytes:
        """See `Codec.error_event`."""
        return write_event(error_body(detail))

    def terminal_event(self) -> bytes:
        """See `Codec.terminal_event`."""
        return b"data: [DONE]\n\n"

    def event(self, block: bytes) -> StreamEvent:
        """See `Codec.event`."""
        _, text = read_event(block)
        if text.startswith("[DONE]"):
            return StreamEvent(block, terminal=True)
        data = read_json(text)
        if not isinstance(data, dict):
            return StreamEvent(block)
        if data.get("error"):
            return StreamEvent(block, data, error=True)
        choices = mappings(data.get("choices"))
        deltas = [mapping(choice.get("delta")) for choice in choices]
        tools = tuple(_tool(tool) for delta in deltas for tool in mappings(delta.get("tool_calls")))
        written = "".join(string(delta.get("content")) for delta in deltas)
        return StreamEvent(
            block,
            data,
            text=written,
            tools=tools,
            finish=_finish(choices),
            usage=isinstance(data.get("usage"), dict),
            part=1 + tools[0].index if tools else 0 if written else -1,
            model=string(data.get("model")),
        )

    def edit_event(self, event: StreamEvent, edit: Edit) -> bytes:
        """See `Codec.edit_event`."""
        return event.raw if event.data is None else write_event(_edited(event.data, "delta", edit))

    def add_tool(self, before: StreamEvent, tool: ToolDelta) -> bytes:
        """See `Codec.add_tool`."""
        function = {"name": tool.name, "arguments": tool.arguments}
        delta = {"tool_calls": [{"index": tool.index, "id": tool.id, "type": "function", "function": function}]}
        choice = mappings(before.data.get("choices"))[0] | {"delta": delta, "finish_reason": None}
        return write_event(before.data | {"choices": [choice]})

    def hollow(self, like: StreamEvent) -> bytes:
        """See `Codec.hollow`; as the first chunk of Azure's content filter, and the last one with usage, have no choices."""
        return write_event(like.data | {"choices": []})

    def answer(self, reply: Reply) -> Answer | None:
        """See `Codec.answer`."""
        data = read_json(reply.body)
        if not isinstance(data, dict) or not (choices := mappings(data.get("choices"))):
            return None
        messages = [mapping(choice.get("message")) for choice in choices]
        tools = tuple(
            _tool({"index": number} | tool) for message in messages for number, tool in enumerate(mappings(message.get("tool_calls")))
        )
        return Answer("".join(string(message.get("content")) for message in messages), tools, _finish(choices), data)

    def edit_answer(self, reply: Reply, answer: Answer, edit: Edit) -> Reply:
        """See `Codec.edit_answer`."""
        return of_json(reply, _edited(answer.data, "message", edit))


def _edited(data: dict[str, Any], where: str, edit: Edit) -> dict[str, Any]:
    """Return a copy of a reply or chunk; tools go to the first choice that has any."""
    text, tools = edit.text, edit.tools
    choices = []
    for choice in mappings(data.get("choices")):
        body = dict(mapping(choice.get(where)))
        if text is not None and string(body.get("content")):
            body["content"], text = text, ""
        if tools is not None and body.get("tool_calls"):
            calls = _with_tools(mappings(body.pop("tool_calls")), tools)
            body |= {"tool_calls": calls} if calls else {}
            tools = ()
        edited = choice | {where: body}
        if edit.finish and choice.get("finish_reason"):
            edited["finish_reason"] = _REASON[edit.finish]
        choices.append(edited)
    renamed = data | {"choices": choices} | ({"model": edit.model} if edit.model and "model" in data else {})
    return with_usage(renamed, "usage", edit.usage)


def _with_tools(written: list[dict[str, Any]], tools: tuple[ToolDelta, ...]) -> list[dict[str, Any]]:
    """Put calls, or pieces of calls, in the place of those that are written."""
    blank: dict[str, Any] = {"id": "added", "type": "function", "function": {"name": "", "arguments": ""}}
    calls = []
    for place, tool in enumerate(tools):
        call = dict(written[place]) if place < len(written) else blank
        function = dict(mapping(call.get("function")))
        function |= {"name": tool.name} if "name" in function else {}
        call["function"] = function | ({"arguments": tool.arguments} if "arguments" in function else {})
        if tool.id and "id" in call:
            call["id"] = tool.id
        elif string(call.get("id")):
            del call["id"]
        calls.append(call)
    return calls


def _tool(tool: dict[str, Any]) -> ToolDelta:
    function = mapping(tool.get("function"))
    return ToolDelta(number(tool.get("index")), string(tool.get("id")), string(function.get("name")), string(function.get("arguments")))


def _finish(choices: list[dict[str, Any]]) -> Finish:
    reason = next((reason for choice in choices if (reason := choice.get("finish_reason"))), "")
    return _FINISH.get(string(reason), "other") if reason else ""
