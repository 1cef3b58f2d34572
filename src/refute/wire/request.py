"""What codecs read from any request."""

from __future__ import annotations

from typing import Any

from refute.wire.exchange import Request, without
from refute.wire.sse import compact, read_json

RETRY_COUNT = "x-stainless-retry-count"
"""Header in which the openai and anthropic SDKs number the attempts of one logical call, from 0."""


def json_object(body: bytes) -> dict[str, Any]:
    """Return a request's body where it is a JSON object, else an empty one."""
    data = read_json(body)
    return data if isinstance(data, dict) else {}


def wants_stream(body: dict[str, Any]) -> bool:
    """Say whether a request asks for a stream."""
    return body.get("stream") is True


def attempt_of(request: Request) -> int:
    """Return the number of the attempt where the client says so, else -1."""
    return attempt_number(request.header(RETRY_COUNT))


def attempt_number(text: str) -> int:
    """Return the number in a retry-count header, -1 where it holds none."""
    return int(text) if text.isdecimal() else -1


def with_body(request: Request, body: Any) -> Request:
    """Return the request with a JSON text as its body, and the headers that say how long it is.

    Args:
        request: any request.
        body: JSON to encode.
    """
    encoded = compact(body).encode()
    headers = (*without(request.headers, "content-length", "content-encoding", "transfer-encoding"), ("content-length", str(len(encoded))))
    return Request(request.method, request.url, headers, encoded)
