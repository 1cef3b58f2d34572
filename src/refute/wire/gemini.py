"""Gemini generateContent and embedContent, as generativelanguage.googleapis.com and Vertex AI speak them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from refute.wire.events import Answer, Edit, ErrorDetail, ErrorKind, Finish, StreamEvent, ToolDelta
from refute.wire.exchange import Call, Reply, Request
from refute.wire.protocol import Codec, of_json
from refute.wire.request import attempt_of, json_object, with_body
from refute.wire.shapes import entries_within, mapping, mappings, string, with_usage
from refute.wire.sse import compact, read_event, read_json, write_event

_METHODS = {
    "generateContent": "chat",
    "streamGenerateContent": "chat",
    "embedContent": "embeddings",
    "batchEmbedContents": "embeddings",
}
_PLACE = re.compile(r"/models/([^/:]+):(\w+)$")

_FINISH: dict[str, Finish] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "filtered",
    "RECITATION": "filtered",
    "BLOCKLIST": "filtered",
    "PROHIBITED_CONTENT": "filtered",
    "SPII": "filtered",
}
_REASON = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP", "filtered": "SAFETY", "other": "OTHER"}

_ERRORS: dict[ErrorKind, tuple[int, str, str]] = {
    "rate_limit": (429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
    "quota": (
        429,
        "RESOURCE_EXHAUSTED",
        (
            "You exceeded your current quota, please check your plan and billing details. For more information on this error, head to: "
            "https://ai.google.dev/gemini-api/docs/rate-limits."
        ),
    ),
    "overloaded": (503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
    "server_error": (
        500,
        "INTERNAL",
        "An internal error has occurred. Please retry or report in https://developers.generativeai.google/guide/troubleshooting",
    ),
    "bad_request": (400, "INVALID_ARGUMENT", "Request contains an invalid argument."),
    "context_length": (
        400,
        "INVALID_ARGUMENT",
        "The input token count (1200349) exceeds the maximum number of tokens allowed (1048576).",
    ),
    "auth": (400, "INVALID_ARGUMENT", "API key expired. Please renew the API key."),
    "permission": (403, "PERMISSION_DENIED", "The caller does not have permission"),
    "not_found": (404, "NOT_FOUND", "The model is not found for API version v1beta, or is not supported for generateContent."),
    "too_large": (413, "INVALID_ARGUMENT", "Request payload size exceeds the limit: 20971520 bytes."),
}
_GOOGLE = "type.googleapis.com/google.rpc."


class Gemini(Codec):
    """The codec; a function call comes whole, its arguments an object, and is its own part."""

    protocol = "gemini"
    weaker = (("gemini-1.5", "gemini-1.5-flash-8b"), ("gemini-2.0", "gemini-2.0-flash-lite"), ("gemini-", "gemini-2.5-flash-lite"))

    def operation(self, method: str, path: str, header: Callable[[str], str]) -> str:
        """See `Codec.operation`."""
        del header
        found = _PLACE.search(path) if method == "POST" else None
        return _METHODS.get(found[2], "") if found else ""

    def call(self, request: Request) -> Call:
        """See `Codec.call`; model and stream stand in the path."""
        found = _PLACE.search(request.path)
        model, method = (found[1], found[2]) if found else ("", "")
        operation = _METHODS.get(method, "")
        return Call(self.protocol, operation, method == "streamGenerateContent", model, attempt_of(request), request)

    def error(self, detail: ErrorDetail) -> Reply:
        """See `Codec.error`."""
        body = compact(_error(detail)).encode()
        headers = [
            ("content-type", "application/json; charset=UTF-8"),
            ("content-length", str(len(body))),
            ("server", "scaffolding on HTTPServer2"),
        ]
        return Reply(_ERRORS[detail.kind][0], tuple(headers), body)

    def error_event(self, detail: ErrorDetail) -> bytes:
        """See `Codec.error_event`."""
        return write_event(_error(detail))

    def event(self, block: bytes) -> StreamEvent:
        """See `Codec.event`."""
        _, text = read_event(block)
        data = read_json(text)
        if not isinstance(data, dict):
            return StreamEvent(block)
        written, tools, finish = _text(data), _calls(data), _finish(data)
        return StreamEvent(
            block,
            data,
            text=written,
            tools=tools,
            finish=finish,
            usage="usageMetadata" in data,
            error="error" in data,
            part=0 if written else 1 if tools else -1,
            closes=bool(finish),
            model=string(data.get("modelVersion")),
        )

    def edit_event(self, event: StreamEvent, edit: Edit) -> bytes:
        """See `Codec.edit_event`."""
        return event.raw if event.data is None else write_event(_edited(event.data, edit))

    def add_tool(self, before: StreamEvent, tool: ToolDelta) -> bytes:
        """See `Codec.add_tool`."""
        candidate = (mappings(before.data.get("candidates")) or [{}])[0]
        content = {"parts": [_part(tool)], "role": "model"}
        return write_event(before.data | {"candidates": [{"content": content, "index": candidate.get("index", 0)}]})

    def hollow(self, like: StreamEvent) -> bytes:
        """See `Codec.hollow`; as the chunk that only counts tokens, it has no candidates."""
        return write_event({name: value for name, value in like.data.items() if name != "candidates"})

    def answer(self, reply: Reply) -> Answer | None:
        """See `Codec.answer`."""
        data = read_json(reply.body)
        if not isinstance(data, dict) or not mappings(data.get("candidates")):
            return None
        return Answer(_text(data), _calls(data), _finish(data), data)

    def edit_answer(self, reply: Reply, answer: Answer, edit: Edit) -> Reply:
        """See `Codec.edit_answer`; of arguments that are no whole JSON, the entries that are complete (see `entries_within`)."""
        return of_json(reply, _edited(answer.data, edit))

    def data(self, call: Call, reply: Reply) -> Any:
        """See `Codec.data`."""
        del call
        return [entry["values"] for entry in _embeddings(reply) if entry.get("values")] or None

    def with_data(self, call: Call, reply: Reply, data: Any) -> Reply:
        """See `Codec.with_data`."""
        del call
        body = mapping(read_json(reply.body))
        written = [entry | {"values": list(vector)} for entry, vector in zip(_embeddings(reply), data, strict=False)]
        return of_json(reply, body | ({"embedding": written[0]} if "embedding" in body else {"embeddings": written}))

    def whole(self, request: Request) -> Request:
        """See `Codec.whole`."""
        url = request.url.replace(":streamGenerateContent", ":generateContent").replace("?alt=sse", "").replace("&alt=sse", "")
        return Request(request.method, url, request.headers, request.body)

    def for_model(self, request: Request, model: str) -> Request:
        """See `Codec.for_model`."""
        url = re.sub(r"/models/[^/:]+:", f"/models/{model}:", request.url)
        return Request(request.method, url, request.headers, request.body)

    def uninstructed(self, request: Request) -> Request | None:
        """See `Codec.uninstructed`."""
        body = json_object(request.body)
        kept = {name: value for name, value in body.items() if name not in {"systemInstruction", "system_instruction"}}
        return with_body(request, kept) if kept != body else None


def _error(detail: ErrorDetail) -> dict[str, Any]:
    status, name, message = _ERRORS[detail.kind]
    error: dict[str, Any] = {"code": status, "message": message, "status": name}
    if detail.kind == "rate_limit" and detail.retry_after_s is not None:
        error["details"] = [{"@type": f"{_GOOGLE}RetryInfo", "retryDelay": f"{math.ceil(detail.retry_after_s)}s"}]
    if detail.kind == "auth":
        reason = {"reason": "API_KEY_INVALID", "domain": "googleapis.com", "metadata": {"service": "generativelanguage.googleapis.com"}}
        error["details"] = [{"@type": f"{_GOOGLE}ErrorInfo"} | reason]
    return {"error": error}


def _edited(data: dict[str, Any], edit: Edit) -> dict[str, Any]:
    candidates = [_with_candidate(candidate, edit) for candidate in mappings(data.get("candidates"))]
    changes = {"modelVersion": edit.model} if edit.model and "modelVersion" in data else {}
    return with_usage(data | {"candidates": candidates} | changes, "usageMetadata", edit.usage)


def _with_candidate(candidate: dict[str, Any], edit: Edit) -> dict[str, Any]:
    content = mapping(candidate.get("content"))
    parts = _with_parts(mappings(content.get("parts")), edit)
    changes: dict[str, Any] = {"content": content | {"parts": parts}} if content else {}
    if edit.finish and candidate.get("finishReason"):
        changes["finishReason"] = _REASON[edit.finish]
    return candidate | changes


def _with_parts(parts: list[dict[str, Any]], edit: Edit) -> list[dict[str, Any]]:
    text, waiting, kept = edit.text, None if edit.tools is None else list(edit.tools), []
    for part in parts:
        if "functionCall" in part and waiting is not None:
            if waiting:
                kept.append(part | _part(waiting.pop(0), mapping(part["functionCall"])))
        elif "text" in part and not part.get("thought") and text is not None:
            kept.append(part | {"text": text})
            text = ""
        else:
            kept.append(part)
    return [*kept, *map(_part, waiting or ())]


def _part(tool: ToolDelta, written: dict[str, Any] | None = None) -> dict[str, Any]:
    whole = read_json(tool.arguments)
    arguments = whole if isinstance(whole, dict) else entries_within(mapping((written or {}).get("args")), tool.arguments)
    call = {"name": tool.name, "args": arguments}
    return {"functionCall": {"id": tool.id} | call if tool.id else call}


def _parts(data: dict[str, Any]) -> list[dict[str, Any]]:
    contents = (mapping(candidate.get("content")) for candidate in mappings(data.get("candidates")))
    return [part for content in contents for part in mappings(content.get("parts"))]


def _text(data: dict[str, Any]) -> str:
    return "".join(string(part.get("text")) for part in _parts(data) if not part.get("thought"))


def _calls(data: dict[str, Any]) -> tuple[ToolDelta, ...]:
    calls = [mapping(part["functionCall"]) for part in _parts(data) if "functionCall" in part]
    return tuple(
        ToolDelta(place, string(call.get("id")), string(call.get("name")), compact(call["args"]) if call.get("args") else "")
        for place, call in enumerate(calls)
    )


def _finish(data: dict[str, Any]) -> Finish:
    reason = next((reason for candidate in mappings(data.get("candidates")) if (reason := candidate.get("finishReason"))), "")
    if reason == "STOP" and _calls(data):
        return "tool_calls"
    return _FINISH.get(string(reason), "other") if reason else ""


def _embeddings(reply: Reply) -> list[dict[str, Any]]:
    body = mapping(read_json(reply.body))
    return mappings(body.get("embeddings")) or mappings([body.get("embedding")])
