"""MCP: JSON-RPC messages over streamable HTTP (a reply is JSON, or a stream with one message in it) and over stdio (one a line)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from refute.wire.events import ErrorDetail, ErrorKind, StreamEvent
from refute.wire.exchange import Call, Reply, Request
from refute.wire.framing import LineSplitter, Splitter
from refute.wire.protocol import Codec, of_json
from refute.wire.request import json_object
from refute.wire.shapes import mapping, mappings, string
from refute.wire.sse import compact, read_event, read_json, write_event

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS, INTERNAL_ERROR = -32700, -32600, -32601, -32602, -32603

_STATUS: dict[ErrorKind, int] = {
    "rate_limit": 429, "quota": 429, "overloaded": 503, "server_error": 500, "bad_request": 400, "context_length": 400,
    "auth": 401, "permission": 403, "not_found": 404, "too_large": 413,
}  # fmt: skip
_LISTS = {"tools/list": "tools", "resources/list": "resources", "prompts/list": "prompts"}


class Mcp(Codec):
    """The codec over HTTP; a call's operation is the JSON-RPC method, its data a tool's result or a list."""

    protocol = "mcp"

    def operation(self, method: str, path: str, header: Callable[[str], str]) -> str:
        """See `Codec.operation`; the head does not name the method, but two headers are MCP's own, and so is what it accepts."""
        if header("mcp-protocol-version") or header("mcp-session-id"):
            return "message"
        accepted = header("accept") if method == "POST" and path.rstrip("/").endswith("/mcp") else ""
        return "message" if "text/event-stream" in accepted and "json" in accepted else ""

    def call(self, request: Request) -> Call:
        """See `Codec.call`."""
        body = json_object(request.body)
        return Call(self.protocol, string(body.get("method")) or "message", stream=False, model="", attempt=-1, request=request)

    def error(self, detail: ErrorDetail) -> Reply:
        """See `Codec.error`; what stands before the server answers with HTTP's own status."""
        return refused(_STATUS[detail.kind], INVALID_REQUEST if _STATUS[detail.kind] < 500 else INTERNAL_ERROR, _words(detail.kind))

    def error_event(self, detail: ErrorDetail) -> bytes:
        """See `Codec.error_event`."""
        return write_event(error_message(None, INTERNAL_ERROR, _words(detail.kind)), "message")

    def event(self, block: bytes) -> StreamEvent:
        """See `Codec.event`; the message with the result is all that counts."""
        _, text = read_event(block)
        return _event(block, read_json(text))

    def data(self, call: Call, reply: Reply) -> Any:
        """See `Codec.data`."""
        return message_data(call.operation, read_json(reply.body))

    def with_data(self, call: Call, reply: Reply, data: Any) -> Reply:
        """See `Codec.with_data`."""
        return of_json(reply, with_message_data(call.operation, mapping(read_json(reply.body)), data))

    def event_data(self, call: Call, event: StreamEvent) -> Any:
        """See `Codec.event_data`."""
        return message_data(call.operation, event.data)

    def with_event_data(self, call: Call, event: StreamEvent, data: Any) -> bytes:
        """See `Codec.with_event_data`; an event's id, by which a stream is resumed, stays."""
        written = with_message_data(call.operation, event.data, data)
        return self.framed(event, written)

    def framed(self, event: StreamEvent, message: dict[str, Any]) -> bytes:
        """Return another message in an event's place."""
        head = [line for line in event.raw.splitlines(keepends=True) if line.strip() and not line.startswith((b"data:", b"event:"))]
        return b"".join(head) + write_event(message, "message")


class McpStdio(Mcp):
    """The codec over stdio; requests are the lines that a client writes, and no HTTP is about them."""

    protocol = "mcp.stdio"

    def operation(self, method: str, path: str, header: Callable[[str], str]) -> str:
        """See `Codec.operation`; nothing over HTTP is."""
        del method, path, header
        return ""

    def splitter(self) -> Splitter:
        """See `Codec.splitter`."""
        return LineSplitter()

    def event(self, block: bytes) -> StreamEvent:
        """See `Codec.event`."""
        return _event(block, read_json(block))

    def framed(self, event: StreamEvent, message: dict[str, Any]) -> bytes:
        """See `Mcp.framed`."""
        del event
        return line_of(message)


def line_of(message: dict[str, Any]) -> bytes:
    """Return a message as stdio carries it."""
    return compact(message).encode() + b"\n"


def request_of_line(line: bytes) -> Request:
    """Return a client's line as a request, so that faults can be asked about it; the URL names no place."""
    return Request("POST", "stdio:///mcp", (("content-type", "application/json"),), line.strip())


def error_message(identity: Any, code: int, message: str) -> dict[str, Any]:
    """Return a JSON-RPC error.

    Args:
        identity: the request's id, None where it is not known.
        code: JSON-RPC's number.
        message: in words.
    """
    return {"jsonrpc": "2.0", "id": identity, "error": {"code": code, "message": message}}


def refused(status: int, code: int, message: str) -> Reply:
    """Return an HTTP error whose body is a JSON-RPC error about no request in particular, as servers answer before they dispatch."""
    body = compact(error_message(None, code, message)).encode()
    return Reply(status, (("content-type", "application/json"), ("content-length", str(len(body)))), body)


def message_data(operation: str, message: Any) -> Any:
    """Return what a response carries: the list that was asked for, or a tool's result; None where it is no such response."""
    result = mapping(mapping(message).get("result"))
    if operation in _LISTS:
        return result.get(_LISTS[operation])
    if operation != "tools/call" or result.get("isError"):
        return None
    if (structured := result.get("structuredContent")) is not None:
        return structured
    texts = [_parsed(string(part.get("text"))) for part in mappings(result.get("content")) if part.get("type") == "text"]
    return texts[0] if len(texts) == 1 else texts or None


def with_message_data(operation: str, message: dict[str, Any], data: Any) -> dict[str, Any]:
    """Return a response that carries other data; a tool's result says it as text too, as the protocol wants."""
    result = mapping(message.get("result"))
    if operation in _LISTS:
        return message | {"result": result | {_LISTS[operation]: data}}
    structured = {"structuredContent": data} if "structuredContent" in result else {}
    several = len(mappings(result.get("content"))) > 1 and isinstance(data, list) and not structured
    texts = [{"type": "text", "text": part if isinstance(part, str) else compact(part)} for part in (data if several else [data])]
    return message | {"result": result | {"content": texts} | structured}


def _event(block: bytes, data: Any) -> StreamEvent:
    answers = isinstance(data, dict) and "id" in data and ("result" in data or "error" in data)
    return StreamEvent(block, data if isinstance(data, dict) else None, terminal=answers, error=answers and "error" in data)


def _parsed(text: str) -> Any:
    return read_json(text) if text[:1] in {"{", "["} and read_json(text) is not None else text


def _words(kind: ErrorKind) -> str:
    return kind.replace("_", " ").capitalize()
