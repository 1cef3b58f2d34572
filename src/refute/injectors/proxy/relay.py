"""One client's connection and the one to upstream that belongs to it: every byte is passed on as it came.

Each client connection has its own to upstream, so that what upstream does to a connection (keeps it, closes it, resets it) the
client sees done to its own. Only `Host` is set to upstream's, and what carries a unit's cohort is taken out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from ssl import SSLContext

from refute.core.cohort import HEADER, without_unit
from refute.injectors.proxy.framing import (
    Body,
    MalformedError,
    ReplyHead,
    RequestHead,
    body_of_reply,
    read_reply,
)
from refute.injectors.proxy.wire import Wire

CONNECT_S = 10.0
"""How long upstream may take to accept a connection, seconds."""

_BAGGAGE = HEADER.encode()


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where requests go.

    Attributes:
        scheme: `http`, `https` or `tcp`.
        host: name or address.
        port: number.
        prefix: path put before that of each request, "" or with a leading slash and none at the end.
        tls: how to trust it; None for plain HTTP.
    """

    scheme: str
    host: str
    port: int
    prefix: str = ""
    tls: SSLContext | None = None

    @property
    def authority(self) -> str:
        """Return host and port as a `Host` field has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == {"http": 80, "https": 443}.get(self.scheme) else f"{host}:{self.port}"


class UpstreamError(Exception):
    """Upstream cannot be reached, or has ended its connection before it answered; the text says which."""


class BrokenError(Exception):
    """A message ended in the middle: by a closed connection, or by a reset one.

    Args:
        reset: whether it was a reset.
    """

    def __init__(self, *, reset: bool) -> None:
        """Keep how it broke."""
        super().__init__("reset" if reset else "closed")
        self.reset = reset


class Leg:
    """The connection to upstream of one client, opened when it is first needed.

    Args:
        upstream: where to.
        on_end: called when upstream has ended it.
    """

    def __init__(self, upstream: Upstream, on_end: Callable[[], None]) -> None:
        """Open nothing yet."""
        self._upstream = upstream
        self._on_end = on_end
        self._wire: Wire | None = None
        self._sending: asyncio.Task[None] | None = None
        self._method = ""
        self._under_way = False
        self._body: Body | None = None

    @property
    def heard_s(self) -> float:
        """Loop time at which something last came or went; 0 where nothing is open."""
        return 0.0 if self._wire is None else self._wire.heard_s

    @property
    def wire(self) -> Wire:
        """The open connection."""
        assert self._wire is not None
        return self._wire

    async def ask(self, head: RequestHead, body: Body, held: bytes | bytearray, client: Wire) -> ReplyHead:
        """Send a request on and return the head of its final response; informational ones go to the client at once.

        Args:
            head: of the request, as the client sent it.
            body: finds the end of what is still to come from the client.
            held: what has been taken from the client already.
            client: where the rest comes from.

        Raises:
            UpstreamError: there is no response.
            MalformedError: the client's body or the response's head.
        """
        if self._under_way and not self._is_clear():
            self.drop()  # what is left of an answer that nobody wants must not be read as another
        wire = await self._opened()
        self._method, self._under_way, self._body = head.method, True, None
        wire.write(b"".join((head_for(head, self._upstream), held, take(client, body))))
        if not body.done:
            self._sending = asyncio.create_task(self._send(body, client, wire))
            self._sending.add_done_callback(lambda task: task.cancelled() or task.exception())  # who waits for the response is told
        while True:
            reply = await self._head(wire)
            if reply.status >= 200 or reply.status == 101:
                return reply
            client.write(reply.to_bytes())

    async def relay(self, reply: ReplyHead, client: Wire) -> None:
        """Pass a response on to the client, byte for byte.

        Raises:
            BrokenError: it ended in the middle.
            ConnectionError: the client is gone.
        """
        first = reply.to_bytes()
        if not self.wire.buffer:
            client.write(first)
            first = b""
        async for piece in self.pieces(reply):
            client.write(first + piece)
            first = b""
            await client.flush()
        client.write(first)

    async def pieces(self, reply: ReplyHead, content: Callable[[bytes], object] | None = None) -> AsyncIterator[bytes]:
        """Yield a response's body as it came, framing and all, bytes that break the rules last.

        Args:
            reply: its head.
            content: given what is in a piece, without framing, before the piece is yielded.

        Raises:
            BrokenError: it ended in the middle.
        """
        body, wire = body_of_reply(reply, self._method), self.wire
        self._body = body
        while not body.done:
            if not wire.buffer and not await wire.more():
                if body.ended():
                    return
                raise BrokenError(reset=wire.reset)
            try:
                piece = take(wire, body, content)
            except MalformedError:
                yield wire.take(len(wire.buffer))  # what to make of it is the client's to decide
                raise BrokenError(reset=False) from None
            yield piece

    async def tunnel(self, client: Wire) -> None:
        """Pass everything on in both directions until either ends, once the protocol was switched."""
        onward = asyncio.create_task(_pour(client, self.wire))
        try:
            await _pour(self.wire, client)
        finally:
            onward.cancel()

    async def finish(self) -> bool:
        """Take note that an exchange is over; say whether the client's connection can take another request."""
        if self._wire is None:
            return True
        sending, self._sending = self._sending, None
        if (sending is None or sending.done()) and not self._wire.ended and not self._wire.buffer:
            self._under_way = False
            return True
        if sending is not None:
            sending.cancel()  # an answer before the whole request: what is left of that must not be read as another
        self.drop()
        return False

    def _is_clear(self) -> bool:
        """Say whether the answer before has been read to its end, and nothing else is under way."""
        wire, sent = self._wire, self._sending is None or self._sending.done()
        return sent and wire is not None and not wire.ended and not wire.buffer and self._body is not None and self._body.done

    def drop(self) -> None:
        """End the connection, whatever is under way."""
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None
        if self._wire is None:
            return
        wire, self._wire = self._wire, None
        wire.on_end = None
        if self._under_way:
            wire.abort()
        else:
            wire.close()

    async def _opened(self) -> Wire:
        if self._wire is None:
            up, loop = self._upstream, asyncio.get_running_loop()
            try:
                async with asyncio.timeout(CONNECT_S):
                    _, self._wire = await loop.create_connection(lambda: Wire(self._on_end), up.host, up.port, ssl=up.tls)
            except (OSError, TimeoutError) as error:
                raise UpstreamError(f"{up.authority} cannot be reached: {str(error) or 'no answer in time'}") from None
        return self._wire

    async def _send(self, body: Body, client: Wire, wire: Wire) -> None:
        """Pass the rest of a request's body on."""
        try:
            while not body.done and (client.buffer or await client.more()):
                wire.write(take(client, body))
                await wire.flush()
        finally:
            if not body.done:
                wire.abort()  # what is not whole must not look as if it could become so

    async def _head(self, wire: Wire) -> ReplyHead:
        try:
            if (raw := await wire.head()) is not None:
                return read_reply(raw)
        except MalformedError as error:
            raise UpstreamError(f"{self._upstream.authority} answered with what is no HTTP/1.1: {error}") from None
        if self._sending is not None and self._sending.done():
            self._sending.result()
        raise UpstreamError(f"{self._upstream.authority} {'broke' if wire.reset else 'closed'} the connection before it answered")


async def _pour(source: Wire, sink: Wire) -> None:
    while source.buffer or await source.more():
        sink.write(source.take(len(source.buffer)))
        await sink.flush()


def take(wire: Wire, body: Body, content: Callable[[bytes], object] | None = None) -> bytes:
    """Take what has come of a body off a connection.

    Raises:
        MalformedError: it is none; the bytes stay where they were.
    """
    if body.done or not wire.buffer:
        return b""
    return wire.take(body.feed(bytes(wire.buffer), content))


def head_for(head: RequestHead, upstream: Upstream) -> bytes:
    """Return a request's head as upstream gets it."""
    lines = list(head.lines)
    if upstream.prefix:
        lines[0] = f"{head.method} {upstream.prefix}{head.target} HTTP/1.{head.minor}".encode("latin-1")
    dropped = []
    for place, name in enumerate(head.names, 1):
        if name == b"host":
            lines[place] = lines[place][:5] + b" " + upstream.authority.encode()
        elif name == _BAGGAGE:
            value = lines[place][len(_BAGGAGE) + 1 :].strip(b" \t").decode("latin-1")
            kept = without_unit(value)
            if not kept:
                dropped.append(place)
            elif len(kept) < len(value):
                lines[place] = lines[place][: len(_BAGGAGE)] + b": " + kept.encode("latin-1")
    for place in reversed(dropped):
        del lines[place]
    return b"\r\n".join([*lines, b"", b""])
