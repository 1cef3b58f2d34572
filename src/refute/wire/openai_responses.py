"""OpenAI Responses: an answer is a list of items, and a stream repeats each item whole once its pieces are out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from refute.wire.events import Answer, Edit, ErrorDetail, Finish, StreamEvent, ToolDelta
from refute.wire.exchange import Reply, Request
from refute.wire.openai_errors import WEAKER, error_body, error_reply
from refute.wire.protocol import Codec, of_json
from refute.wire.request import json_object, with_body
from refute.wire.shapes import mapping, mappings, number, string, with_usage
from refute.wire.sse import read_event, read_json, write_event

_ENDS = {"response.completed", "response.incomplete", "response.failed"}
_BEGINS = {"response.created", "response.in_progress", "response.queued"}


class OpenAIResponses(Codec):
    """The codec; an item's number in the answer is its part."""

    protocol = "openai.responses"
    weaker = WEAKER

    def operation(self, method: str, path: str, header: Callable[[str], str]) -> str:
        """See `Codec.operation`."""
        del header
        return "responses" if method == "POST" and path.endswith("/responses") else ""

    def error(self, detail: ErrorDetail) -> Reply:
        """See `Codec.error`."""
        return error_reply(detail)

    def error_event(self, detail: ErrorDetail) -> bytes:
        """See `Codec.error_event`."""
        error = error_body(detail)["error"]
        told = {"type": "error", "code": error["code"] or error["type"], "message": error["message"], "param": None, "sequence_number": 0}
        return write_event(told, "error")

    def event(self, block: bytes) -> StreamEvent:
        """See `Codec.event`."""
        _, text = read_event(block)
        data = read_json(text)
        if not isinstance(data, dict):
            return StreamEvent(block)
        kind = string(data.get("type"))
        if kind in _ENDS or kind in _BEGINS:
            return _response_event(block, data, kind)
        if kind.startswith(("response.output_item.", "response.content_part.")):
            return _item_event(block, data, kind)
        return _piece_event(block, data, kind)

    def edit_event(self, event: StreamEvent, edit: Edit) -> bytes:
        """See `Codec.edit_event`."""
        if event.data is None:
            return event.raw
        data: dict[str, Any] = event.data
        kind = string(data.get("type"))
        if "response" in data:
            edited = _edited(mapping(data["response"]), edit)
            if kind in _ENDS and edit.finish:
                kind = "response.completed" if edited["status"] == "completed" else "response.incomplete"
            data = data | {"type": kind, "response": edited}
        elif "item" in data:
            item, *_ = _with_items([mapping(data["item"])], edit) or [mapping(data["item"])]
            data = data | {"item": item}
        elif "part" in data:
            data = data | {"part": _with_text(mapping(data["part"]), edit.text)}
        elif kind.startswith("response.output_text.") and edit.text is not None:
            data = data | {kind.rpartition(".")[2].replace("done", "text"): edit.text}
        elif kind.startswith("response.function_call_arguments.") and edit.tools:
            tool = edit.tools[0]
            data = (
                data
                | {kind.rpartition(".")[2].replace("done", "arguments"): tool.arguments}
                | ({"name": tool.name} if "name" in data else {})
            )
        return write_event(data, kind)

    def add_tool(self, before: StreamEvent, tool: ToolDelta) -> bytes:
        """See `Codec.add_tool`; the sequence numbers go on where the event before had got to, as far as they can."""
        number_of_next = number(before.data.get("sequence_number"))
        item = _call_item(tool)
        place: dict[str, Any] = {"output_index": tool.index, "sequence_number": number_of_next}
        begun = item | {"status": "in_progress", "arguments": ""}
        arguments = {"item_id": item["id"], "name": tool.name, "arguments": tool.arguments}
        events = (
            {"type": "response.output_item.added", "item": begun} | place,
            {"type": "response.function_call_arguments.delta", "item_id": item["id"], "delta": tool.arguments} | place,
            {"type": "response.function_call_arguments.done"} | arguments | place,
            {"type": "response.output_item.done", "item": item} | place,
        )
        return b"".join(write_event(event, str(event["type"])) for event in events)

    def answer(self, reply: Reply) -> Answer | None:
        """See `Codec.answer`."""
        data = read_json(reply.body)
        if not isinstance(data, dict) or data.get("object") != "response":
            return None
        return Answer(_text(data), _calls(data), _finish(data), data)

    def edit_answer(self, reply: Reply, answer: Answer, edit: Edit) -> Reply:
        """See `Codec.edit_answer`."""
        return of_json(reply, _edited(answer.data, edit))

    def uninstructed(self, request: Request) -> Request | None:
        """See `Codec.uninstructed`."""
        body = json_object(request.body)
        kept = {name: value for name, value in body.items() if name != "instructions"}
        if isinstance(given := body.get("input"), list):
            kept["input"] = [item for item in given if string(mapping(item).get("role")) not in {"system", "developer"}]
        return with_body(request, kept) if kept != body and kept.get("input") else None


def _response_event(block: bytes, data: dict[str, Any], kind: str) -> StreamEvent:
    response = mapping(data.get("response"))
    model = string(response.get("model"))
    if kind in _BEGINS:
        return StreamEvent(block, data, model=model)
    return StreamEvent(
        block,
        data,
        text=_text(response),
        tools=_calls(response),
        finish=_finish(response),
        usage=isinstance(response.get("usage"), dict),
        terminal=True,
        error=kind == "response.failed",
        snapshot=True,
        model=model,
    )


def _piece_event(block: bytes, data: dict[str, Any], kind: str) -> StreamEvent:
    part = number(data.get("output_index"))
    match kind:
        case "response.output_text.delta":
            return StreamEvent(block, data, text=string(data.get("delta")), part=part)
        case "response.output_text.done":
            return StreamEvent(block, data, text=string(data.get("text")), part=part, closes=True, snapshot=True)
        case "response.function_call_arguments.delta":
            return StreamEvent(block, data, tools=(ToolDelta(part, arguments=string(data.get("delta"))),), part=part)
        case "response.function_call_arguments.done":
            tool = ToolDelta(part, name=string(data.get("name")), arguments=string(data.get("arguments")))
            return StreamEvent(block, data, tools=(tool,), part=part, closes=True, snapshot=True)
    return StreamEvent(block, data, error=kind == "error", part=part if "output_index" in data else -1)


def _item_event(block: bytes, data: dict[str, Any], kind: str) -> StreamEvent:
    part, done = number(data.get("output_index")), kind.endswith("done")
    item = mapping(data.get("item"))
    tools = (_call(item, part),) if item.get("type") == "function_call" else ()
    text = string(mapping(data.get("part")).get("text")) if "part" in data else _text({"output": [item]})
    return StreamEvent(block, data, text=text, tools=tools, part=part, closes=done, snapshot=done)


def _edited(response: dict[str, Any], edit: Edit) -> dict[str, Any]:
    changes: dict[str, Any] = {"output": _with_items(mappings(response.get("output")), edit)}
    if edit.model and "model" in response:
        changes["model"] = edit.model
    if edit.finish:
        reason = {"length": "max_output_tokens", "filtered": "content_filter"}.get(edit.finish)
        changes |= {"status": "incomplete" if reason else "completed", "incomplete_details": {"reason": reason} if reason else None}
    return with_usage(response | changes, "usage", edit.usage)


def _with_items(items: list[dict[str, Any]], edit: Edit) -> list[dict[str, Any]]:
    """Put text into the first message that has any, and calls in the place of those that are there, one by one."""
    text, waiting, kept = edit.text, None if edit.tools is None else list(edit.tools), []
    for item in items:
        if item.get("type") == "function_call" and waiting is not None:
            if waiting:
                kept.append(_with_call(item, waiting.pop(0)))
            continue
        if item.get("type") == "message" and text is not None and _text({"output": [item]}):
            parts = mappings(item.get("content"))
            kept.append(item | {"content": [_with_text(part, text if place == 0 else "") for place, part in enumerate(parts)]})
            text = ""
            continue
        kept.append(item)
    return [*kept, *map(_call_item, waiting or ())]


def _with_text(part: dict[str, Any], text: str | None) -> dict[str, Any]:
    return part if text is None or part.get("type") != "output_text" else part | {"text": text}


def _with_call(item: dict[str, Any], tool: ToolDelta) -> dict[str, Any]:
    named = item | {"name": tool.name, "call_id": tool.id, "arguments": tool.arguments}
    return named if tool.id else {name: value for name, value in named.items() if name != "call_id"}


def _call_item(tool: ToolDelta) -> dict[str, Any]:
    call = {"type": "function_call", "status": "completed", "arguments": tool.arguments, "call_id": tool.id, "name": tool.name}
    return {"id": f"fc_{tool.id}"} | call


def _call(item: dict[str, Any], part: int) -> ToolDelta:
    return ToolDelta(part, string(item.get("call_id")), string(item.get("name")), string(item.get("arguments")))


def _calls(response: dict[str, Any]) -> tuple[ToolDelta, ...]:
    items = enumerate(mappings(response.get("output")))
    return tuple(_call(item, place) for place, item in items if item.get("type") == "function_call")


def _text(response: dict[str, Any]) -> str:
    messages = (item for item in mappings(response.get("output")) if item.get("type") == "message")
    return "".join(string(part.get("text")) for item in messages for part in mappings(item.get("content")))


def _finish(response: dict[str, Any]) -> Finish:
    reason = mapping(response.get("incomplete_details")).get("reason")
    if reason:
        return "length" if reason == "max_output_tokens" else "filtered" if reason == "content_filter" else "other"
    if response.get("status") != "completed":
        return "other"
    return "tool_calls" if _calls(response) else "stop"
