"""Anthropic Messages, as api.anthropic.com and servers compatible with it speak it."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from refute.wire.events import Answer, Edit, ErrorDetail, ErrorKind, Finish, StreamEvent, ToolDelta
from refute.wire.exchange import Reply, Request
from refute.wire.protocol import Codec, of_json
from refute.wire.request import json_object, with_body
from refute.wire.shapes import entries_within, mapping, mappings, number, string, with_usage
from refute.wire.sse import compact, read_event, read_json, write_event

_FINISH: dict[str, Finish] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "filtered",
}
_REASON = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "filtered": "refusal", "other": "end_turn"}

_ERRORS: dict[ErrorKind, tuple[int, str, str]] = {
    "rate_limit": (
        429,
        "rate_limit_error",
        (
            "This request would exceed your organization's rate limit of 50 requests per minute. For details, refer to: "
            "https://docs.claude.com/en/api/rate-limits."
        ),
    ),
    "quota": (402, "billing_error", "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing."),
    "overloaded": (529, "overloaded_error", "Overloaded"),
    "server_error": (500, "api_error", "Internal server error"),
    "bad_request": (400, "invalid_request_error", "Invalid request"),
    "context_length": (400, "invalid_request_error", "prompt is too long: 208310 tokens > 200000 maximum"),
    "auth": (401, "authentication_error", "invalid x-api-key"),
    "permission": (403, "permission_error", "Your API key does not have permission to use the specified resource."),
    "not_found": (404, "not_found_error", "model not found"),
    "too_large": (413, "request_too_large", "Request exceeds the maximum size"),
}


class AnthropicMessages(Codec):
    """The codec."""

    protocol = "anthropic.messages"
    weaker = (("claude-opus", "claude-haiku-4-5"), ("claude-sonnet", "claude-haiku-4-5"), ("claude-3", "claude-3-haiku-20240307"))

    def operation(self, method: str, path: str, header: Callable[[str], str]) -> str:
        """See `Codec.operation`."""
        named = method == "POST" and path.endswith("/messages")
        return "chat" if named and (path.endswith("/v1/messages") or header("anthropic-version")) else ""

    def error(self, detail: ErrorDetail) -> Reply:
        """See `Codec.error`."""
        status = _ERRORS[detail.kind][0]
        body = compact(_error(detail)).encode()
        headers = [
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
            ("request-id", detail.request_id),
        ]
        if status in (429, 529) or status >= 500:
            headers.append(("x-should-retry", "true"))
        if detail.kind == "rate_limit":
            headers += _limits(detail)
        return Reply(status, tuple(headers), body)

    def error_event(self, detail: ErrorDetail) -> bytes:
        """See `Codec.error_event`."""
        return write_event(_error(detail), "error")

    def terminal_event(self) -> bytes:
        """See `Codec.terminal_event`."""
        return write_event({"type": "message_stop"}, "message_stop")

    def keepalive(self) -> bytes:
        """See `Codec.keepalive`."""
        return write_event({"type": "ping"}, "ping")

    def event(self, block: bytes) -> StreamEvent:
        """See `Codec.event`."""
        _, text = read_event(block)
        data = read_json(text)
        if not isinstance(data, dict):
            return StreamEvent(block)
        match data.get("type"):
            case "content_block_start" | "content_block_delta" | "content_block_stop":
                return _block_event(block, data)
            case "message_start":
                message = mapping(data.get("message"))
                return StreamEvent(block, data, usage="usage" in message, model=string(message.get("model")))
            case "message_delta":
                reason = mapping(data.get("delta")).get("stop_reason")
                finish: Finish = _FINISH.get(string(reason), "other") if reason else ""
                return StreamEvent(block, data, finish=finish, usage="usage" in data)
            case other:
                return StreamEvent(block, data, terminal=other == "message_stop", error=other == "error")

    def edit_event(self, event: StreamEvent, edit: Edit) -> bytes:
        """See `Codec.edit_event`."""
        if event.data is None:
            return event.raw
        data = with_usage(event.data, "usage", edit.usage)
        if "message" in data:
            data = data | {"message": _with_fields(mapping(data["message"]), edit)}
        if delta := mapping(data.get("delta")):
            data = data | {"delta": _with_delta(delta, edit)}
        if edit.tools and (block := mapping(data.get("content_block"))).get("type") == "tool_use":
            data = data | {"content_block": _with_call(block, edit.tools[0])}
        return write_event(data, str(data.get("type", "")))

    def add_tool(self, before: StreamEvent, tool: ToolDelta) -> bytes:
        """See `Codec.add_tool`."""
        del before
        block = {"type": "tool_use", "id": tool.id, "name": tool.name, "input": {}}
        events: tuple[dict[str, Any], ...] = (
            {"type": "content_block_start", "index": tool.index, "content_block": block},
            {"type": "content_block_delta", "index": tool.index, "delta": {"type": "input_json_delta", "partial_json": tool.arguments}},
            {"type": "content_block_stop", "index": tool.index},
        )
        return b"".join(write_event(event, str(event["type"])) for event in events)

    def answer(self, reply: Reply) -> Answer | None:
        """See `Codec.answer`."""
        data = read_json(reply.body)
        if not isinstance(data, dict) or data.get("type") != "message":
            return None
        blocks = mappings(data.get("content"))
        tools = tuple(
            ToolDelta(number, string(block.get("id")), string(block.get("name")), compact(block["input"]) if block.get("input") else "")
            for number, block in enumerate(blocks)
            if block.get("type") == "tool_use"
        )
        reason = data.get("stop_reason")
        text = "".join(string(block.get("text")) for block in blocks)
        return Answer(text, tools, _FINISH.get(string(reason), "other") if reason else "", data)

    def edit_answer(self, reply: Reply, answer: Answer, edit: Edit) -> Reply:
        """See `Codec.edit_answer`; of arguments that are no whole JSON, the entries that are complete (see `entries_within`)."""
        blocks = mappings(answer.data.get("content"))
        if edit.text is not None:
            blocks = _with_text(blocks, edit.text)
        if edit.tools is not None:
            blocks = _with_calls(blocks, edit.tools)
        return of_json(reply, _with_fields(answer.data, edit) | {"content": blocks})

    def uninstructed(self, request: Request) -> Request | None:
        """See `Codec.uninstructed`."""
        body = json_object(request.body)
        return with_body(request, {name: value for name, value in body.items() if name != "system"}) if body.get("system") else None


def _block_event(block: bytes, data: dict[str, Any]) -> StreamEvent:
    part = number(data.get("index"))
    body = mapping(data.get("content_block")) or mapping(data.get("delta"))
    match body.get("type"):
        case "tool_use":
            tools = (ToolDelta(part, string(body.get("id")), string(body.get("name"))),)
            return StreamEvent(block, data, tools=tools, part=part)
        case "input_json_delta":
            return StreamEvent(block, data, tools=(ToolDelta(part, arguments=string(body.get("partial_json"))),), part=part)
        case "text_delta":
            return StreamEvent(block, data, text=string(body.get("text")), part=part)
    return StreamEvent(block, data, part=part, closes=data.get("type") == "content_block_stop")


def _with_fields(message: dict[str, Any], edit: Edit) -> dict[str, Any]:
    """Return a message with its reason, model and usage replaced."""
    changes: dict[str, Any] = {"model": edit.model} if edit.model else {}
    if edit.finish and message.get("stop_reason"):
        changes |= {"stop_reason": _REASON[edit.finish], "stop_sequence": None}
    return with_usage(message | changes, "usage", edit.usage)


def _with_delta(delta: dict[str, Any], edit: Edit) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if edit.text is not None and "text" in delta:
        changes["text"] = edit.text
    if edit.tools and "partial_json" in delta:
        changes["partial_json"] = edit.tools[0].arguments
    if edit.finish and delta.get("stop_reason"):
        changes |= {"stop_reason": _REASON[edit.finish], "stop_sequence": None}
    return delta | changes


def _with_call(block: dict[str, Any], tool: ToolDelta) -> dict[str, Any]:
    named = block | {"name": tool.name, "id": tool.id}
    return named if tool.id else {name: value for name, value in named.items() if name != "id"}


def _with_calls(blocks: list[dict[str, Any]], tools: tuple[ToolDelta, ...]) -> list[dict[str, Any]]:
    """Put calls in the place of those that are there, one by one; further ones go to the end."""
    waiting = list(tools)
    kept = []
    for block in blocks:
        if block.get("type") != "tool_use":
            kept.append(block)
        elif waiting:
            kept.append(_filled(block, waiting.pop(0)))
    return [*kept, *(_filled({"type": "tool_use", "id": "", "name": "", "input": {}}, tool) for tool in waiting)]


def _filled(block: dict[str, Any], tool: ToolDelta) -> dict[str, Any]:
    whole = read_json(tool.arguments)
    arguments = whole if isinstance(whole, dict) else entries_within(mapping(block.get("input")), tool.arguments)
    return _with_call(block, tool) | {"input": arguments}


def _error(detail: ErrorDetail) -> dict[str, Any]:
    _, kind, message = _ERRORS[detail.kind]
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": detail.request_id}


def _limits(detail: ErrorDetail) -> list[tuple[str, str]]:
    wait_s = 1.0 if detail.retry_after_s is None else detail.retry_after_s
    reset = (datetime.fromtimestamp(detail.now_s, UTC) + timedelta(seconds=wait_s)).strftime("%Y-%m-%dT%H:%M:%SZ")
    headers = [
        ("anthropic-ratelimit-requests-limit", "50"),
        ("anthropic-ratelimit-requests-remaining", "0"),
        ("anthropic-ratelimit-requests-reset", reset),
        ("anthropic-ratelimit-tokens-limit", "80000"),
        ("anthropic-ratelimit-tokens-remaining", "79000"),
        ("anthropic-ratelimit-tokens-reset", reset),
    ]
    if detail.retry_after_s is not None:
        headers.append(("retry-after", str(math.ceil(detail.retry_after_s))))
    return headers


def _with_text(blocks: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    """Spread a shorter text over the text blocks, in order; blocks after its end go."""
    kept = []
    for block in blocks:
        if block.get("type") != "text":
            kept.append(block)
            continue
        piece, text = text[: len(string(block.get("text")))], text[len(string(block.get("text"))) :]
        kept.append(block | {"text": piece})
        if not text:
            break
    return kept
