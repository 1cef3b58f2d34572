"""Plain JSON over HTTP: errors in no provider's words in particular; what a body means is not understood, but for its JSON."""

from __future__ import annotations

import math
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from refute.wire.events import ErrorDetail, ErrorKind, StreamEvent
from refute.wire.exchange import Call, Reply
from refute.wire.framing import SniffingSplitter, Splitter
from refute.wire.protocol import Codec, of_json
from refute.wire.sse import compact, read_event, read_json, write_event

_STATUS: dict[ErrorKind, int] = {
    "rate_limit": 429,
    "quota": 429,
    "overloaded": 503,
    "server_error": 500,
    "bad_request": 400,
    "context_length": 400,
    "auth": 401,
    "permission": 403,
    "not_found": 404,
    "too_large": 413,
}


class PlainHttp(Codec):
    """The codec; data are the JSON of a body."""

    protocol = "http"

    def operation(self, method: str, path: str, header: Callable[[str], str]) -> str:
        """See `Codec.operation`; every request is one."""
        del method, path, header
        return "request"

    def error(self, detail: ErrorDetail) -> Reply:
        """See `Codec.error`."""
        status = _STATUS[detail.kind]
        body = compact(_error(detail)).encode()
        headers = [("content-type", "application/json"), ("content-length", str(len(body)))]
        if detail.retry_after_s is not None:
            headers.append(("retry-after", str(math.ceil(detail.retry_after_s))))
        return Reply(status, tuple(headers), body)

    def error_event(self, detail: ErrorDetail) -> bytes:
        """See `Codec.error_event`."""
        return write_event(_error(detail), "error")

    def splitter(self) -> Splitter:
        """See `Codec.splitter`; which it is shows in the first byte."""
        return SniffingSplitter()

    def event(self, block: bytes) -> StreamEvent:
        """See `Codec.event`; the data of any event, and any line of JSON, count as text."""
        text = read_event(block)[1] or (block.decode(errors="replace").strip() if block[:1] in {b"{", b"["} else "")
        return StreamEvent(block, read_json(text), text=text, part=0 if text else -1)

    def data(self, call: Call, reply: Reply) -> Any:
        """See `Codec.data`."""
        del call
        return read_json(reply.body)

    def with_data(self, call: Call, reply: Reply, data: Any) -> Reply:
        """See `Codec.with_data`."""
        del call
        return of_json(reply, data)


def _error(detail: ErrorDetail) -> dict[str, dict[str, str]]:
    return {"error": {"code": detail.kind, "message": HTTPStatus(_STATUS[detail.kind]).phrase}}
