"""A request held whole, so that a fault can be decided on it, and how much of that the proxy bears at once."""

from __future__ import annotations

from functools import partial

from refute.injectors.proxy.framing import Body, RequestHead, Sized, read_request
from refute.injectors.proxy.relay import BrokenError, take
from refute.injectors.proxy.wire import Wire
from refute.wire.codec import Codec, recognise_head
from refute.wire.exchange import FRAMING, Request, without
from refute.wire.request import RETRY_COUNT, attempt_number

MOST_BYTES = 32 * 1024 * 1024
"""Of one body, request or reply; what is larger passes untouched, in every arm."""

MOST_BYTES_AT_ONCE = 256 * 1024 * 1024
"""Of all bodies held."""


class Room:
    """Counts the bytes held now.

    Args:
        bytes_at_once: the bound.
    """

    __slots__ = ("_left",)

    def __init__(self, bytes_at_once: int = MOST_BYTES_AT_ONCE) -> None:
        """Start empty."""
        self._left = bytes_at_once

    def grant(self, count: int) -> bool:
        """Take room for so many further bytes, where there is some."""
        if count > self._left:
            return False
        self._left -= count
        return True

    def free(self, count: int) -> None:
        """Give it back."""
        self._left += count


class HeldRequest:
    """A request as faults see it (a `View`), and as it came.

    Args:
        head: of the request.
        base: the URL before its target.
        room: bounds what is held.

    Attributes:
        raw: the body as it came, framing and all.
    """

    read_timeout_s = None

    def __init__(self, head: RequestHead, base: str, room: Room) -> None:
        """Hold the head alone."""
        self.raw = bytearray()
        self._head = head
        self._base = base
        self._room = room
        self._content: bytearray = self.raw
        self._taken = 0

    async def fill(self, body: Body, client: Wire) -> bool:
        """Take the body in; False where it is too much, and what has come of it is in `raw`.

        Raises:
            BrokenError: the client ended in the middle of it.
            MalformedError: it is none.
        """
        if isinstance(body, Sized):
            if body.left > MOST_BYTES:
                return False
            content = None
        else:
            self._content = bytearray()
            content = self._content.extend
        while True:
            piece = take(client, body, content)
            self.raw += piece
            if len(self.raw) > MOST_BYTES or not self._room.grant(len(piece)):
                self._content = bytearray()
                return False
            self._taken += len(piece)
            if body.done:
                return True
            if not client.buffer and not await client.more():
                raise BrokenError(reset=True)

    def replaced(self, other: Request) -> tuple[RequestHead, bytes]:
        """Return what goes over the wire in its place: the head, and the body as its length says."""
        target = other.url.removeprefix(self._base)
        fields = [*without(other.headers, *FRAMING, "expect"), ("content-length", str(len(other.body)))]
        lines = [f"{other.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields), "", ""]
        return read_request("\r\n".join(lines).encode("latin-1", "replace")), other.body

    def release(self) -> None:
        """Give back the room that it takes."""
        self._room.free(self._taken)
        self._taken = 0

    def attempt(self) -> int:
        """See `View.attempt`."""
        return attempt_number(self._head.value(RETRY_COUNT))

    def identity(self) -> int:
        """See `View.identity`."""
        return hash((self._head.method, self._head.target, bytes(self._content)))

    def codec(self) -> Codec:
        """See `View.codec`."""
        path = self._head.target.partition("?")[0]
        return recognise_head(self._head.method, path, partial(self._head.value))[0]

    def request(self) -> Request:
        """See `View.request`."""
        return Request(self._head.method, self._base + self._head.target, self._head.headers(), bytes(self._content))
