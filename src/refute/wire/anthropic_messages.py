"""Anthropic Messages, as api.anthropic.com and servers compatible with it speak it."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from refute.wire.events import Answer, ErrorDetail, ErrorKind, Finish, StreamEvent, ToolDelta
from refute.wire.exchange import Call, Reply, Request, replace_body
from refute.wire.request import attempt_of, json_object, wants_stream
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


class AnthropicMessages:
    """The codec."""

    protocol = "anthropic.messages"

    def operation(self, method: str, path: str, header: Callable[[str], str]) -> str:
        """See `Codec.operation`."""
        named = method == "POST" and path.endswith("/messages")
        return "chat" if named and (path.endswith("/v1/messages") or header("anthropic-version")) else ""

    def call(self, request: Request) -> Call:
        """See `Codec.call`."""
        body = json_object(request.body)
        return Call(self.protocol, "chat", wants_stream(body), str(body.get("model", "")), attempt_of(request), request)

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

    def event(self, block: bytes) -> StreamEvent:
        """See `Codec.event`."""
        _, text = read_event(block)
        data = read_json(text)
        if not isinstance(data, dict):
            return StreamEvent(block)
        match data.get("type"):
            case "content_block_start" | "content_block_delta" | "content_block_stop":
                return _block_event(block, data)
            case "message_delta":
                reason = _mapping(data.get("delta")).get("stop_reason")
                finish: Finish = _FINISH.get(reason, "other") if reason else ""
                return StreamEvent(block, data, finish=finish, usage="usage" in data)
            case other:
                return StreamEvent(block, data, usage=other == "message_start", terminal=other == "message_stop", error=other == "error")

    def edit_event(
        self, event: StreamEvent, *, text: str | None = None, tools: tuple[ToolDelta, ...] | None = None, finish: Finish = ""
    ) -> bytes:
        """See `Codec.edit_event`."""
        data = dict(event.data)
        delta = dict(_mapping(data.get("delta")))
        if text is not None and "text" in delta:
            delta["text"] = text
        if tools and "partial_json" in delta:
            delta["partial_json"] = tools[0].arguments
        if finish and delta.get("stop_reason"):
            delta |= {"stop_reason": _REASON[finish], "stop_sequence": None}
        if delta:
            data["delta"] = delta
        return write_event(data, str(data.get("type", "")))

    def answer(self, reply: Reply) -> Answer | None:
        """See `Codec.answer`."""
        data = read_json(reply.body)
        if not isinstance(data, dict) or data.get("type") != "message":
            return None
        blocks = _blocks(data)
        tools = tuple(
            ToolDelta(number, str(block.get("id", "")), str(block.get("name", "")), compact(block["input"]) if block.get("input") else "")
            for number, block in enumerate(blocks)
            if block.get("type") == "tool_use"
        )
        reason = data.get("stop_reason")
        return Answer("".join(map(_text, blocks)), tools, _FINISH.get(reason, "other") if reason else "", data)

    def edit_answer(
        self, reply: Reply, answer: Answer, *, text: str | None = None, tools: tuple[ToolDelta, ...] | None = None, finish: Finish = ""
    ) -> Reply:
        """See `Codec.edit_answer`.

        A whole answer holds arguments as an object, never as text, so that text which is no JSON object becomes the
        object of those entries that are complete in it: what a server that parses leniently would send.
        """
        blocks = _blocks(answer.data)
        if text is not None:
            blocks = _with_text(blocks, text)
        if tools == ():
            blocks = [block for block in blocks if block.get("type") != "tool_use"]
        for delta in tools or ():
            blocks = [
                block | {"input": _entries_within(block["input"], delta.arguments)} if block.get("id") == delta.id else block
                for block in blocks
            ]
        data = answer.data | {"content": blocks}
        if finish:
            data |= {"stop_reason": _REASON[finish], "stop_sequence": None}
        return replace_body(reply, compact(data).encode())


def _block_event(block: bytes, data: dict[str, Any]) -> StreamEvent:
    index = data.get("index")
    part = index if isinstance(index, int) else 0
    body = _mapping(data.get("content_block")) or _mapping(data.get("delta"))
    match body.get("type"):
        case "tool_use":
            tools = (ToolDelta(part, str(body.get("id", "")), str(body.get("name", ""))),)
            return StreamEvent(block, data, tools=tools, part=part)
        case "input_json_delta":
            return StreamEvent(block, data, tools=(ToolDelta(part, arguments=str(body.get("partial_json", ""))),), part=part)
        case "text_delta":
            return StreamEvent(block, data, text=_text(body), part=part)
    return StreamEvent(block, data, part=part)


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
        piece, text = text[: len(_text(block))], text[len(_text(block)) :]
        kept.append(block | {"text": piece})
        if not text:
            break
    return kept


def _entries_within(whole: dict[str, Any], text: str) -> dict[str, Any]:
    """Return the first entries of an object whose JSON still fits into a text cut short."""
    kept: dict[str, Any] = {}
    for name, value in whole.items():
        if len(compact(kept | {name: value})) > len(text):
            break
        kept[name] = value
    return kept


def _blocks(data: dict[str, Any]) -> list[dict[str, Any]]:
    content = data.get("content")
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def _text(block: dict[str, Any]) -> str:
    text = block.get("text")
    return text if isinstance(text, str) else ""


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
