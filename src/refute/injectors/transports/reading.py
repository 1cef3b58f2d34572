"""What stays the same between the attempts of one logical call, read from any library's request at the least cost."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from refute.injectors._calls import Identity, Reading

_WHOLE_BODY = 2_048
_PART = 256


class Outgoing:
    """A request that a transport of ours describes."""

    __slots__ = ()

    @property
    def content(self) -> Any:
        """The body as the library was given it."""
        raise NotImplementedError

    @property
    def stream(self) -> Any:
        """What is kept of it as a trace: its body, which its client keeps anyway; where that is not just bytes, the request."""
        content = self.content
        return content if content and type(content) is bytes else self

    def identity(self) -> Identity:
        """Return what stays the same between the attempts of one logical call."""
        content = self.content
        return digest(content) if content and type(content) is bytes else self.unlike()

    def unlike(self) -> Identity:
        """Return the identity of a request whose body is not just bytes."""
        raise NotImplementedError


def digest(body: bytes) -> int:
    """Return the hash of a body; of a long one, of its length and four parts."""
    size = len(body)
    if size <= _WHOLE_BODY:
        return hash(body)
    third = size // 3
    return hash((size, body[:_PART], body[third : third + _PART], body[-third : _PART - third], body[-_PART:]))


def identity(request: Any) -> Identity:
    """Return the identity of a request of ours, or of httpx: its body, or where there is none its method and path."""
    if isinstance(request, Outgoing):
        return request.identity()
    try:
        body = request.content
    except RuntimeError:  # RequestNotRead: it is a stream of its own
        body = b""
    return digest(body) if body else hash((request.method, request.url.raw_path))


def _of_trace(trace: Any) -> Identity:
    if type(trace) is bytes:
        return digest(trace)
    if isinstance(trace, Outgoing):
        return trace.identity()
    return digest(b"".join(trace)) if type(trace).__name__ == "ByteStream" else 0


READING = Reading(attrgetter("stream"), _of_trace, identity)
"""How to read a request: the stream of httpx, which for a body in memory can be read again, is its trace; see `Outgoing`."""
