"""Good replies of each protocol, whole and as events."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Iterator
from typing import Any

from refute.wire.samples.words import ARGUMENTS, CREATED, PIECES, TEXTS, TOOL, Content
from refute.wire.sse import compact, write_event

_USAGE = {"prompt_tokens": 9, "completion_tokens": 14, "total_tokens": 23}
_ITEM_USAGE = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 14,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 23,
}
_VECTORS = ([0.25, -0.5, 0.125, 0.75], [0.5, 0.0, -0.25, 0.125])
_RECORD = {"order_id": "A1", "status": "shipped", "carrier": "Northern Post", "parcels": 2, "note": "It left the warehouse on Monday."}
_TIME = "2025-10-09T08:53:20.000000Z"


def _split(text: str, size: int = 5) -> list[str]:
    return [text[place : place + size] for place in range(0, len(text), size)]


# OpenAI chat


def _chat_head(kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": CREATED, "model": "gpt-4.1", "service_tier": "default"}


def chat(content: Content) -> bytes:
    """Return a whole chat completion."""
    call = {"id": "call_9f2c41d7aa01", "type": "function", "function": {"name": TOOL, "arguments": compact(ARGUMENTS)}}
    said: dict[str, Any] = {"content": None, "tool_calls": [call]} if content == "tools" else {"content": TEXTS[content]}
    reason = "tool_calls" if content == "tools" else "stop"
    choice = {"index": 0, "message": {"role": "assistant"} | said | {"refusal": None}, "logprobs": None, "finish_reason": reason}
    return compact(_chat_head("chat.completion") | {"choices": [choice], "usage": _USAGE}).encode()


def chat_events(content: Content) -> list[bytes]:
    """Return the chunks of a streamed one."""

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return write_event(_chat_head("chat.completion.chunk") | {"choices": [choice], "usage": None})

    start: dict[str, Any] = {"role": "assistant", "content": "", "refusal": None}
    deltas: list[dict[str, Any]] = [{"content": piece} for piece in PIECES[content]]
    if content == "tools":
        call = {"index": 0, "id": "call_9f2c41d7aa01", "type": "function", "function": {"name": TOOL, "arguments": ""}}
        start = {"role": "assistant", "content": None, "tool_calls": [call]}
        deltas = [{"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in _split(compact(ARGUMENTS))]
    last = write_event(_chat_head("chat.completion.chunk") | {"choices": [], "usage": _USAGE})
    finish = chunk({}, "tool_calls" if content == "tools" else "stop")
    return [*map(chunk, [start, *deltas]), finish, last, b"data: [DONE]\n\n"]


# OpenAI Responses


def _response(status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
    usage = _ITEM_USAGE if status == "completed" else None
    head = {"id": "resp_1", "object": "response", "created_at": CREATED, "status": status, "error": None, "incomplete_details": None}
    rest: dict[str, Any] = {"instructions": None, "metadata": {}, "model": "gpt-4.1", "output": output, "parallel_tool_calls": True}
    return head | rest | {"temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": 1.0, "usage": usage}


def _item(content: Content, status: str = "completed") -> dict[str, Any]:
    done = status == "completed"
    if content == "tools":
        arguments = compact(ARGUMENTS) if done else ""
        named = {"call_id": "call_9f2c41d7aa01", "name": TOOL}
        return {"id": "fc_1", "type": "function_call", "status": status, "arguments": arguments} | named
    parts = [_part(TEXTS[content])] if done else []
    return {"id": "msg_1", "type": "message", "status": status, "role": "assistant", "content": parts}


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": []}


def response(content: Content) -> bytes:
    """Return a whole response."""
    return compact(_response("completed", [_item(content)])).encode()


def response_events(content: Content) -> list[bytes]:
    """Return the events of a streamed one, numbered."""
    told = [{"type": kind} | data | {"sequence_number": number} for number, (kind, data) in enumerate(_response_story(content))]
    return [write_event(event, event["type"]) for event in told]


def _response_story(content: Content) -> Iterator[tuple[str, dict[str, Any]]]:
    item, place = _item(content), {"item_id": _item(content)["id"], "output_index": 0}
    yield "response.created", {"response": _response("in_progress", [])}
    yield "response.in_progress", {"response": _response("in_progress", [])}
    yield "response.output_item.added", {"output_index": 0, "item": _item(content, "in_progress")}
    if content == "tools":
        for piece in _split(compact(ARGUMENTS)):
            yield "response.function_call_arguments.delta", place | {"delta": piece}
        yield "response.function_call_arguments.done", place | {"name": TOOL, "arguments": compact(ARGUMENTS)}
    else:
        place |= {"content_index": 0}
        yield "response.content_part.added", place | {"part": _part("")}
        for piece in PIECES[content]:
            yield "response.output_text.delta", place | {"delta": piece, "logprobs": []}
        yield "response.output_text.done", place | {"text": TEXTS[content], "logprobs": []}
        yield "response.content_part.done", place | {"part": _part(TEXTS[content])}
    yield "response.output_item.done", {"output_index": 0, "item": item}
    yield "response.completed", {"response": _response("completed", [item])}


# OpenAI embeddings


def embeddings(_content: Content) -> bytes:
    """Return two vectors as base64, which is what the SDK asks for."""
    packed = [base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() for vector in _VECTORS]
    data = [{"object": "embedding", "index": place, "embedding": vector} for place, vector in enumerate(packed)]
    usage = {"prompt_tokens": 8, "total_tokens": 8}
    return compact({"object": "list", "data": data, "model": "text-embedding-3-large", "usage": usage}).encode()


# Anthropic messages


def message(content: Content) -> bytes:
    """Return a whole message."""
    block: dict[str, Any] = {"type": "text", "text": TEXTS[content]}
    if content == "tools":
        block = {"type": "tool_use", "id": "toolu_01A09q90qw90", "name": TOOL, "input": ARGUMENTS}
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": [block]}
    reason = {"stop_reason": "tool_use" if content == "tools" else "end_turn", "stop_sequence": None}
    return compact(head | reason | {"usage": {"input_tokens": 9, "output_tokens": 14}}).encode()


def message_events(content: Content) -> list[bytes]:
    """Return the events of a streamed one."""

    def event(kind: str, **data: Any) -> bytes:
        return write_event({"type": kind} | data, kind)

    begun: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": [],
        "stop_reason": None,
    }
    begun |= {"stop_sequence": None, "usage": {"input_tokens": 9, "output_tokens": 1}}
    block: dict[str, Any] = {"type": "text", "text": ""}
    deltas = [{"type": "text_delta", "text": piece} for piece in PIECES[content]]
    if content == "tools":
        block = {"type": "tool_use", "id": "toolu_01A09q90qw90", "name": TOOL, "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ["", *_split(compact(ARGUMENTS))]]
    reason = {"stop_reason": "tool_use" if content == "tools" else "end_turn", "stop_sequence": None}
    return [
        event("message_start", message=begun),
        event("content_block_start", index=0, content_block=block),
        event("ping"),
        *(event("content_block_delta", index=0, delta=delta) for delta in deltas),
        event("content_block_stop", index=0),
        event("message_delta", delta=reason, usage={"output_tokens": 14}),
        event("message_stop"),
    ]


# Gemini


def _generated(parts: list[dict[str, Any]], finish: str = "") -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}}
    candidate |= {"finishReason": finish} if finish else {}
    usage = {"promptTokenCount": 9, "candidatesTokenCount": 14, "totalTokenCount": 23}
    return {"candidates": [candidate | {"index": 0}], "usageMetadata": usage, "modelVersion": "gemini-2.5-pro", "responseId": "r1"}


def generated(content: Content) -> bytes:
    """Return a whole answer of Gemini."""
    parts = [{"functionCall": {"id": "fc-1", "name": TOOL, "args": ARGUMENTS}}] if content == "tools" else [{"text": TEXTS[content]}]
    return compact(_generated(parts, "STOP")).encode()


def generated_events(content: Content) -> list[bytes]:
    """Return the chunks of a streamed one; the last has text and the reason, as Gemini's do."""
    if content == "tools":
        call = {"functionCall": {"id": "fc-1", "name": TOOL, "args": ARGUMENTS}}
        return [write_event(_generated([call])), write_event(_generated([{"text": ""}], "STOP"))]
    *pieces, last = PIECES[content]
    return [*(write_event(_generated([{"text": piece}])) for piece in pieces), write_event(_generated([{"text": last}], "STOP"))]


# Ollama


def _chatted(said: dict[str, Any], *, done: bool) -> dict[str, Any]:
    head = {"model": "llama3.2", "created_at": _TIME, "message": {"role": "assistant"} | said, "done": done}
    times = {
        "total_duration": 5,
        "load_duration": 1,
        "prompt_eval_count": 9,
        "prompt_eval_duration": 1,
        "eval_count": 14,
        "eval_duration": 3,
    }
    return head | ({"done_reason": "stop"} | times if done else {})


def _called() -> dict[str, Any]:
    return {"content": "", "tool_calls": [{"function": {"name": TOOL, "arguments": ARGUMENTS}}]}


def chatted(content: Content) -> bytes:
    """Return a whole answer of Ollama."""
    return compact(_chatted(_called() if content == "tools" else {"content": TEXTS[content]}, done=True)).encode()


def chatted_events(content: Content) -> list[bytes]:
    """Return the lines of a streamed one."""
    said = [_called()] if content == "tools" else [{"content": piece} for piece in PIECES[content]]
    lines = [*(_chatted(one, done=False) for one in said), _chatted({"content": ""}, done=True)]
    return [compact(line).encode() + b"\n" for line in lines]


# MCP and plain JSON


def called(_content: Content) -> bytes:
    """Return the result of a tool over MCP."""
    text = {"type": "text", "text": json.dumps(_RECORD, indent=2)}
    return compact({"jsonrpc": "2.0", "id": 2, "result": {"content": [text], "structuredContent": _RECORD, "isError": False}}).encode()


def called_events(content: Content) -> list[bytes]:
    """Return it as streamable HTTP does."""
    return [write_event(json.loads(called(content)), "message")]


def found(_content: Content) -> bytes:
    """Return what a tool or a search over HTTP answers."""
    documents = [
        {"id": "d1", "title": "Returns", "text": "Returns are free within 30 days.", "source": "faq.md", "score": 0.91},
        {"id": "d2", "title": "Shipping", "text": "Orders leave the warehouse within two days.", "source": "faq.md", "score": 0.72},
        {"id": "d3", "title": "Payment", "text": "We take cards and bank transfers.", "source": "terms.md", "score": 0.41},
    ]
    return compact({"model_version": "3", "results": documents, "flagged": True, "approved": True, "confidence": 0.7}).encode()


WHOLE: dict[str, Callable[[Content], bytes]] = {
    "openai.chat": chat,
    "openai.responses": response,
    "openai.embeddings": embeddings,
    "anthropic.messages": message,
    "gemini": generated,
    "ollama": chatted,
    "mcp": called,
    "mcp.stdio": called,
    "http": found,
}
"""Makes a whole reply, by protocol."""

EVENTS: dict[str, Callable[[Content], list[bytes]]] = {
    "openai.chat": chat_events,
    "openai.responses": response_events,
    "anthropic.messages": message_events,
    "gemini": generated_events,
    "ollama": chatted_events,
    "mcp": called_events,
}
"""Makes the events of a streamed one, by protocol."""
