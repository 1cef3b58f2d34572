"""Responses as the bytes of HTTP/1.1, for libraries that are best answered so: they parse them as they would parse a provider's."""

from __future__ import annotations

from contextlib import suppress
from http import HTTPStatus

from refute.wire.exchange import Headers, Reply, without

_FRAMED = ("transfer-encoding", "connection", "keep-alive")


def head_of(status: int, headers: Headers, *, chunked: bool = False) -> bytes:
    """Return the head of a response.

    Args:
        status: status code.
        headers: in order; what says how a body is framed is replaced.
        chunked: whether the body follows in chunks; else `headers` say how long it is.
    """
    phrase = ""
    with suppress(ValueError):
        phrase = HTTPStatus(status).phrase
    fields = [f"{name}: {value}\r\n" for name, value in without(headers, *_FRAMED)]
    if chunked:
        fields.append("transfer-encoding: chunked\r\n")
    return f"HTTP/1.1 {status} {phrase}\r\n{''.join(fields)}\r\n".encode("latin-1")


def as_chunk(piece: bytes) -> bytes:
    """Return a piece as a chunk; an empty one ends the body."""
    return b"%x\r\n%s\r\n" % (len(piece), piece)


def whole_of(reply: Reply) -> bytes:
    """Return a whole response; one that does not say how long it is says so then."""
    headers = reply.headers
    if not any(name.lower() == "content-length" for name, _ in headers):
        headers = (*headers, ("content-length", str(len(reply.body))))
    return head_of(reply.status, headers) + reply.body
