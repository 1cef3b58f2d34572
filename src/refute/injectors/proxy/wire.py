"""One TCP connection: input that is bounded, output that waits for its reader, and word of the end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from typing import cast

from refute.injectors.proxy.framing import MAX_HEAD_BYTES, MalformedError

HIGH_WATER_BYTES = 64 * 1024
_BLANK_LINE = b"\r\n\r\n"
_RESET = struct.pack("ii", 1, 0)


class Wire(asyncio.Protocol):
    """One connection, either side of the proxy.

    Args:
        on_end: called once when the other end has closed, or the connection is lost.

    Attributes:
        buffer: what has come and was not taken.
        ended: whether nothing more will come.
        reset: whether the connection was broken rather than closed.
        heard_s: loop time at which something last came or went.
    """

    __slots__ = ("_full", "_loop", "_paused", "_scanned", "_transport", "_waiter", "buffer", "ended", "heard_s", "lost", "on_end", "reset")

    def __init__(self, on_end: Callable[[], None] | None = None) -> None:
        """Await the connection."""
        self._loop = asyncio.get_running_loop()
        self.on_end = on_end
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._full: asyncio.Future[None] | None = None
        self._scanned = 0
        self._paused = False
        self.buffer = bytearray()
        self.ended = self.lost = self.reset = False
        self.heard_s = self._loop.time()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(HIGH_WATER_BYTES)

    def data_received(self, data: bytes) -> None:
        """Take bytes in; with more than enough of them, read no further."""
        self.buffer += data
        self.heard_s = self._loop.time()
        if len(self.buffer) > HIGH_WATER_BYTES and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        """Note the end; the other direction stays open until we close it, but for TLS, which cannot."""
        self._end()
        return self._transport is not None and self._transport.get_extra_info("sslcontext") is None

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end of both directions."""
        self.lost, self.reset = True, self.reset or isinstance(exc, ConnectionError)
        if self._full is not None and not self._full.done():
            self._full.set_result(None)
        self._end()

    def pause_writing(self) -> None:
        """Let writers wait."""
        self._full = self._loop.create_future()

    def resume_writing(self) -> None:
        """Let writers go on."""
        if self._full is not None and not self._full.done():
            self._full.set_result(None)
        self._full = None
        self.heard_s = self._loop.time()

    # What a session calls.

    async def more(self) -> bool:
        """Wait for further bytes; False where none will come."""
        if self.ended:
            return False
        self._waiter = self._loop.create_future()
        await self._waiter
        return bool(self.buffer)

    async def head(self) -> bytes | None:
        """Wait for a whole head and take it; None where the connection ends before its first byte.

        Raises:
            MalformedError: it is too long, or the connection ended within it.
        """
        while (end := self.buffer.find(_BLANK_LINE, max(0, self._scanned - 3))) < 0:
            self._scanned = len(self.buffer)
            if self._scanned > MAX_HEAD_BYTES:
                raise MalformedError("the head is too long")
            if self.ended and self.buffer:
                raise MalformedError("the connection ended within a head")
            if self.ended:
                return None
            await self.more()
        self._scanned = 0
        if end > MAX_HEAD_BYTES:
            raise MalformedError("the head is too long")
        return self.take(end + len(_BLANK_LINE))

    def take(self, count: int) -> bytes:
        """Take the first so many bytes out of the buffer; with room in it, read on."""
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        if self._paused and len(self.buffer) <= HIGH_WATER_BYTES and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return taken

    def write(self, data: bytes) -> None:
        """Send bytes, or keep them until they can be sent; `flush` bounds how many."""
        if self._transport is not None and not self.lost:
            self._transport.write(data)

    async def flush(self) -> None:
        """Wait while the other end takes nothing.

        Raises:
            ConnectionError: it is gone.
        """
        if self._full is not None:
            await self._full
        if self.lost:
            raise ConnectionResetError("the other end is gone")

    def close(self) -> None:
        """Close once what was written has been sent."""
        if self._transport is not None:
            self._transport.close()

    def end_writing(self) -> None:
        """Close our direction once what was written has been sent."""
        if self._transport is not None and not self.lost and self._transport.can_write_eof():
            self._transport.write_eof()

    async def shut(self) -> None:
        """Close our direction once what was written has been sent, and read on until the other end closes its own."""
        self.end_writing()
        while await self.more():
            self.take(len(self.buffer))

    def abort(self) -> None:
        """Close at once; what was not sent yet is lost."""
        if self._transport is not None and not self.lost:
            self._transport.abort()

    def break_off(self) -> None:
        """Close at once with a reset, as a host does that knows of no connection."""
        own = None if self._transport is None or self.lost else self._transport.get_extra_info("socket")
        if own is not None:
            with contextlib.suppress(OSError):  # it has gone already
                own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.abort()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        self._waiter = None

    def _end(self) -> None:
        first, self.ended = not self.ended, True
        self._wake()
        if first and self.on_end is not None:
            self.on_end()
