"""Plain JSON over HTTP: errors in no provider's words in particular; streams and answers are not understood."""

from __future__ import annotations

import math
from collections.abc import Callable
from http import HTTPStatus

from refute.wire.events import Answer, ErrorDetail, ErrorKind, Finish, StreamEvent, ToolDelta
from refute.wire.exchange import Call, Reply, Request
from refute.wire.request import attempt_of, json_object, wants_stream
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


class PlainHttp:
    """The codec."""

    protocol = "http"

    def operation(self, method: str, path: str, header: Callable[[str], str]) -> str:
        """See `Codec.operation`; every request is one."""
        del method, path, header
        return "request"

    def call(self, request: Request) -> Call:
        """See `Codec.call`."""
        body = json_object(request.body)
        return Call(self.protocol, "request", wants_stream(body), str(body.get("model", "")), attempt_of(request), request)

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

    def terminal_event(self) -> bytes:
        """See `Codec.terminal_event`; plain streams just end."""
        return b""

    def event(self, block: bytes) -> StreamEvent:
        """See `Codec.event`; the data of any event count as text."""
        _, text = read_event(block)
        return StreamEvent(block, read_json(text), text=text, part=0 if text else -1)

    def edit_event(
        self, event: StreamEvent, *, text: str | None = None, tools: tuple[ToolDelta, ...] | None = None, finish: Finish = ""
    ) -> bytes:
        """See `Codec.edit_event`; there is nothing to edit."""
        del text, tools, finish
        return event.raw

    def answer(self, reply: Reply) -> Answer | None:
        """See `Codec.answer`; a plain reply is none."""
        del reply
        return None

    def edit_answer(
        self, reply: Reply, answer: Answer, *, text: str | None = None, tools: tuple[ToolDelta, ...] | None = None, finish: Finish = ""
    ) -> Reply:
        """See `Codec.edit_answer`; there is nothing to edit."""
        del answer, text, tools, finish
        return reply


def _error(detail: ErrorDetail) -> dict[str, dict[str, str]]:
    return {"error": {"code": detail.kind, "message": HTTPStatus(_STATUS[detail.kind]).phrase}}
