"""Ollama's own API: chat, generate and embed, streamed as one JSON object a line, which is also what it does unless asked not to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from refute.wire.events import Answer, Edit, ErrorDetail, ErrorKind, Finish, StreamEvent, ToolDelta
from refute.wire.exchange import Call, Reply, Request
from refute.wire.framing import LineSplitter, Splitter
from refute.wire.protocol import Codec, of_json
from refute.wire.request import attempt_of, json_object, with_body
from refute.wire.shapes import entries_within, mapping, mappings, scaled, string
from refute.wire.sse import compact, read_json

_OPERATIONS = {"/api/chat": "chat", "/api/generate": "chat", "/api/embed": "embeddings", "/api/embeddings": "embeddings"}
_FINISH: dict[str, Finish] = {"stop": "stop", "length": "length"}
_REASON = {"stop": "stop", "length": "length", "tool_calls": "stop", "filtered": "stop", "other": "stop"}
_COUNTS = ("prompt_eval_count", "eval_count")

_ERRORS: dict[ErrorKind, tuple[int, str]] = {
    "rate_limit": (429, "you have reached your hourly usage limit"),
    "quota": (402, "you have reached your weekly usage limit, please upgrade to continue"),
    "overloaded": (503, "server busy, please try again.  maximum pending requests exceeded"),
    "server_error": (500, "llama runner process has terminated: signal: killed"),
    "bad_request": (400, "invalid options: num_ctx"),
    "context_length": (400, "the input length exceeds the context length"),
    "auth": (401, "unauthorized"),
    "permission": (403, "this model requires a subscription, upgrade for access"),
    "not_found": (404, "model 'llama3.2' not found"),
    "too_large": (413, "http: request body too large"),
}


class Ollama(Codec):
    """The codec; a tool call comes whole, its arguments an object, and has no id."""

    protocol = "ollama"
    weaker = (("llama3", "llama3.2:1b"), ("qwen", "qwen2.5:0.5b"), ("gemma", "gemma3:1b"))

    def operation(self, method: str, path: str, header: Callable[[str], str]) -> str:
        """See `Codec.operation`."""
        del header
        return next((found for end, found in _OPERATIONS.items() if path.endswith(end)), "") if method == "POST" else ""

    def call(self, request: Request) -> Call:
        """See `Codec.call`; a stream unless it says otherwise."""
        body = json_object(request.body)
        operation = self.operation(request.method, request.path, request.header)
        stream = operation == "chat" and body.get("stream") is not False
        return Call(self.protocol, operation, stream, str(body.get("model", "")), attempt_of(request), request)

    def error(self, detail: ErrorDetail) -> Reply:
        """See `Codec.error`."""
        status, message = _ERRORS[detail.kind]
        body = compact({"error": message}).encode()
        return Reply(status, (("content-type", "application/json; charset=utf-8"), ("content-length", str(len(body)))), body)

    def error_event(self, detail: ErrorDetail) -> bytes:
        """See `Codec.error_event`."""
        return _line({"error": _ERRORS[detail.kind][1]})

    def splitter(self) -> Splitter:
        """See `Codec.splitter`."""
        return LineSplitter()

    def keepalive(self) -> bytes:
        """See `Codec.keepalive`; there is none in this protocol: a blank line is what proxies send."""
        return b"\n"

    def event(self, block: bytes) -> StreamEvent:
        """See `Codec.event`."""
        data = read_json(block)
        if not isinstance(data, dict):
            return StreamEvent(block)
        text, tools, finish = _text(data), _calls(data), _finish(data)
        part = 0 if text else 1 if tools else -1
        return StreamEvent(
            block,
            data,
            text=text,
            tools=tools,
            finish=finish,
            usage="eval_count" in data,
            terminal=data.get("done") is True,
            error="error" in data,
            part=part,
            closes=bool(finish),
            model=string(data.get("model")),
        )

    def edit_event(self, event: StreamEvent, edit: Edit) -> bytes:
        """See `Codec.edit_event`."""
        return event.raw if event.data is None else _line(_edited(event.data, edit))

    def add_tool(self, before: StreamEvent, tool: ToolDelta) -> bytes:
        """See `Codec.add_tool`."""
        head = {name: before.data[name] for name in ("model", "created_at") if name in before.data}
        return _line(head | {"message": {"role": "assistant", "content": "", "tool_calls": [_call_of(tool)]}, "done": False})

    def answer(self, reply: Reply) -> Answer | None:
        """See `Codec.answer`."""
        data = read_json(reply.body)
        if not isinstance(data, dict) or not ("message" in data or "response" in data or "embeddings" in data):
            return None
        return Answer(_text(data), _calls(data), _finish(data), data)

    def edit_answer(self, reply: Reply, answer: Answer, edit: Edit) -> Reply:
        """See `Codec.edit_answer`; of arguments that are no whole JSON, the entries that are complete (see `entries_within`)."""
        return of_json(reply, _edited(answer.data, edit))

    def data(self, call: Call, reply: Reply) -> Any:
        """See `Codec.data`."""
        body = mapping(read_json(reply.body))
        vectors = body.get("embeddings") or ([body["embedding"]] if body.get("embedding") else None)
        return vectors if call.operation == "embeddings" else None

    def with_data(self, call: Call, reply: Reply, data: Any) -> Reply:
        """See `Codec.with_data`."""
        del call
        body = mapping(read_json(reply.body))
        vectors = [list(vector) for vector in data]
        return of_json(reply, body | ({"embeddings": vectors} if "embeddings" in body else {"embedding": vectors[0]}))

    def whole(self, request: Request) -> Request:
        """See `Codec.whole`."""
        return with_body(request, json_object(request.body) | {"stream": False})

    def uninstructed(self, request: Request) -> Request | None:
        """See `Codec.uninstructed`."""
        body = json_object(request.body)
        if body.get("system"):
            return with_body(request, {name: value for name, value in body.items() if name != "system"})
        return super().uninstructed(request)


def _line(data: dict[str, Any]) -> bytes:
    return compact(data).encode() + b"\n"


def _edited(data: dict[str, Any], edit: Edit) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if "message" in data:
        changes["message"] = _with_message(mapping(data["message"]), edit)
    elif "response" in data and edit.text is not None:
        changes["response"] = edit.text
    if edit.model and "model" in data:
        changes["model"] = edit.model
    if edit.finish and "done_reason" in data:
        changes["done_reason"] = _REASON[edit.finish]
    if edit.usage is None:
        return data | changes
    kept = {name: value for name, value in data.items() if edit.usage or name not in _COUNTS}
    return kept | changes | {name: scaled(kept[name], edit.usage) for name in _COUNTS if name in kept}


def _with_message(message: dict[str, Any], edit: Edit) -> dict[str, Any]:
    changed = message | ({"content": edit.text} if edit.text is not None and "content" in message else {})
    if edit.tools is None or not (edit.tools or "tool_calls" in message):
        return changed
    written = mappings(changed.pop("tool_calls", None))
    calls = [_call_of(tool, written[place] if place < len(written) else None) for place, tool in enumerate(edit.tools)]
    return changed | ({"tool_calls": calls} if calls else {})


def _call_of(tool: ToolDelta, written: dict[str, Any] | None = None) -> dict[str, Any]:
    whole = read_json(tool.arguments)
    function = mapping((written or {}).get("function"))
    arguments = whole if isinstance(whole, dict) else entries_within(mapping(function.get("arguments")), tool.arguments)
    return (written or {}) | {"function": function | {"name": tool.name, "arguments": arguments}}


def _text(data: dict[str, Any]) -> str:
    return string(mapping(data.get("message")).get("content")) or string(data.get("response"))


def _calls(data: dict[str, Any]) -> tuple[ToolDelta, ...]:
    functions = [mapping(call.get("function")) for call in mappings(mapping(data.get("message")).get("tool_calls"))]
    return tuple(
        ToolDelta(place, "", string(function.get("name")), compact(function["arguments"]) if function.get("arguments") else "")
        for place, function in enumerate(functions)
    )


def _finish(data: dict[str, Any]) -> Finish:
    if data.get("done") is not True:
        return ""
    reason = string(data.get("done_reason"))
    return "tool_calls" if reason == "stop" and _calls(data) else _FINISH.get(reason, "other")
