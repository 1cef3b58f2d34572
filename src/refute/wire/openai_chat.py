"""OpenAI Chat Completions, as OpenAI and servers compatible with it speak it.

Sibling endpoints (Responses, embeddings, completions) are recognised for errors, which have the same shape; their
streams and answers hold no events that are known here, so nothing in them is ever rewritten.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from refute.wire.events import Answer, ErrorDetail, ErrorKind, Finish, StreamEvent, ToolDelta
from refute.wire.exchange import Call, Reply, Request, replace_body
from refute.wire.request import attempt_of, json_object, wants_stream
from refute.wire.sse import compact, read_event, read_json, write_event

_OPERATIONS = {"responses": "responses", "completions": "completions", "embeddings": "embeddings"}

_FINISH: dict[str, Finish] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "filtered",
}
_REASON = {"stop": "stop", "length": "length", "tool_calls": "tool_calls", "filtered": "content_filter", "other": "stop"}

_ERRORS: dict[ErrorKind, tuple[int, str, str | None, str]] = {
    "rate_limit": (
        429,
        "requests",
        "rate_limit_exceeded",
        (
            "Rate limit reached for requests per min (RPM): Limit 500, Used 500, Requested 1. Please try again in {wait}. "
            "Visit https://platform.openai.com/account/rate-limits to learn more."
        ),
    ),
    "quota": (
        429,
        "insufficient_quota",
        "insufficient_quota",
        (
            "You exceeded your current quota, please check your plan and billing details. For more information on this error, "
            "read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors."
        ),
    ),
    "overloaded": (
        503,
        "service_unavailable_error",
        "server_is_overloaded",
        "Our servers are currently overloaded. Please try again later.",
    ),
    "server_error": (
        500,
        "server_error",
        None,
        (
            "The server had an error while processing your request. Sorry about that! You can retry your request, or contact us "
            "through our help center at help.openai.com if the error persists."
        ),
    ),
    "bad_request": (400, "invalid_request_error", None, "Invalid request."),
    "context_length": (
        400,
        "invalid_request_error",
        "context_length_exceeded",
        "Your input exceeds the context window of this model. Please adjust your input and try again.",
    ),
    "auth": (
        401,
        "invalid_request_error",
        "invalid_api_key",
        "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys.",
    ),
    "permission": (403, "invalid_request_error", "model_not_found", "Project does not have access to this model."),
    "not_found": (404, "invalid_request_error", "model_not_found", "The model does not exist or you do not have access to it."),
    "too_large": (413, "invalid_request_error", None, "Request body is too large."),
}


class OpenAIChat:
    """The codec."""

    protocol = "openai.chat"

    def operation(self, method: str, path: str, header: Callable[[str], str]) -> str:
        """See `Codec.operation`."""
        del header
        if method != "POST":
            return ""
        return "chat" if path.endswith("/chat/completions") else _OPERATIONS.get(path[path.rfind("/") + 1 :], "")

    def call(self, request: Request) -> Call:
        """See `Codec.call`."""
        body = json_object(request.body)
        operation = self.operation(request.method, request.path, request.header)
        return Call(self.protocol, operation, wants_stream(body), str(body.get("model", "")), attempt_of(request), request)

    def error(self, detail: ErrorDetail) -> Reply:
        """See `Codec.error`."""
        status = _ERRORS[detail.kind][0]
        body = compact(_error(detail)).encode()
        headers = [
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
            ("x-request-id", detail.request_id),
            ("openai-version", "2020-10-01"),
            ("openai-processing-ms", "12"),
        ]
        if detail.kind == "rate_limit":
            headers += _limits(detail.retry_after_s)
        return Reply(status, tuple(headers), body)

    def error_event(self, detail: ErrorDetail) -> bytes:
        """See `Codec.error_event`."""
        return write_event(_error(detail))

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
        choices = _choices(data)
        deltas = [_mapping(choice.get("delta")) for choice in choices]
        tools = tuple(_tool(tool) for delta in deltas for tool in _list(delta.get("tool_calls")))
        written = "".join(_string(delta.get("content")) for delta in deltas)
        return StreamEvent(
            block,
            data,
            text=written,
            tools=tools,
            finish=_finish(choices),
            usage=isinstance(data.get("usage"), dict),
            part=1 + tools[0].index if tools else 0 if written else -1,
        )

    def edit_event(
        self, event: StreamEvent, *, text: str | None = None, tools: tuple[ToolDelta, ...] | None = None, finish: Finish = ""
    ) -> bytes:
        """See `Codec.edit_event`."""
        return write_event(_edited(event.data, "delta", text, tools, finish))

    def answer(self, reply: Reply) -> Answer | None:
        """See `Codec.answer`."""
        data = read_json(reply.body)
        if not isinstance(data, dict) or not (choices := _choices(data)):
            return None
        messages = [_mapping(choice.get("message")) for choice in choices]
        tools = tuple(
            _tool({"index": number} | tool) for message in messages for number, tool in enumerate(_list(message.get("tool_calls")))
        )
        return Answer("".join(_string(message.get("content")) for message in messages), tools, _finish(choices), data)

    def edit_answer(
        self, reply: Reply, answer: Answer, *, text: str | None = None, tools: tuple[ToolDelta, ...] | None = None, finish: Finish = ""
    ) -> Reply:
        """See `Codec.edit_answer`."""
        return replace_body(reply, compact(_edited(answer.data, "message", text, tools, finish)).encode())


def _error(detail: ErrorDetail) -> dict[str, Any]:
    _, kind, code, message = _ERRORS[detail.kind]
    return {"error": {"message": message.format(wait=_wait(detail.retry_after_s)), "type": kind, "param": None, "code": code}}


def _limits(retry_after_s: float | None) -> list[tuple[str, str]]:
    headers = [
        ("x-ratelimit-limit-requests", "500"),
        ("x-ratelimit-limit-tokens", "200000"),
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-remaining-tokens", "199000"),
        ("x-ratelimit-reset-requests", _wait(retry_after_s)),
        ("x-ratelimit-reset-tokens", "300ms"),
    ]
    if retry_after_s is not None:
        headers += [("retry-after-ms", f"{retry_after_s * 1000:.0f}"), ("retry-after", str(math.ceil(retry_after_s)))]
    return headers


def _wait(retry_after_s: float | None) -> str:
    if retry_after_s is None:
        return "120ms"
    return f"{retry_after_s * 1000:.0f}ms" if retry_after_s < 1 else f"{retry_after_s:g}s"


def _edited(data: dict[str, Any], where: str, text: str | None, tools: tuple[ToolDelta, ...] | None, finish: Finish) -> dict[str, Any]:
    """Return a copy of a reply or chunk; text goes to the first choice that has any, and leaves the others empty."""
    pieces = iter(tools or ())
    choices = []
    for choice in _choices(data):
        body = dict(_mapping(choice.get(where)))
        if text is not None and _string(body.get("content")):
            body["content"], text = text, ""
        if tools == ():
            body.pop("tool_calls", None)
        elif tools is not None and body.get("tool_calls"):
            body["tool_calls"] = [_with_arguments(tool, next(pieces).arguments) for tool in _list(body["tool_calls"])]
        edited = choice | {where: body}
        if finish and choice.get("finish_reason"):
            edited["finish_reason"] = _REASON[finish]
        choices.append(edited)
    return data | {"choices": choices}


def _with_arguments(tool: dict[str, Any], arguments: str) -> dict[str, Any]:
    return tool | {"function": _mapping(tool.get("function")) | {"arguments": arguments}}


def _tool(tool: dict[str, Any]) -> ToolDelta:
    function = _mapping(tool.get("function"))
    index = tool.get("index")
    return ToolDelta(
        index if isinstance(index, int) else 0,
        _string(tool.get("id")),
        _string(function.get("name")),
        _string(function.get("arguments")),
    )


def _finish(choices: list[dict[str, Any]]) -> Finish:
    reason = next((reason for choice in choices if (reason := choice.get("finish_reason"))), "")
    return _FINISH.get(reason, "other") if reason else ""


def _choices(data: dict[str, Any]) -> list[dict[str, Any]]:
    return _list(data.get("choices"))


def _list(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""
