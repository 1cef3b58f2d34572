"""One client's connection to something that is not HTTP: bytes both ways, late, few, none or cut off where a fault will have it so."""

from __future__ import annotations

import asyncio
import contextlib
from itertools import count
from typing import TYPE_CHECKING

from refute.injectors._calls import Attempt
from refute.injectors.proxy.hands import Armed
from refute.injectors.proxy.relay import CONNECT_S
from refute.injectors.proxy.wire import Wire
from refute.wire.exchange import ConnectionStrike

if TYPE_CHECKING:
    from refute.injectors.proxy.session import Serving

_SILENCE_S = 3600.0
_PARTS_PER_S = 20
_numbers = count()


class _BrokenOffError(Exception):
    """A fault ends the connection."""


class TcpSession:
    """One client's connection; it runs by itself from the moment it is made.

    Args:
        serving: the proxy that it belongs to.

    Attributes:
        client: the connection.
        busy: it always may be.
        task: runs it.
    """

    busy = True

    def __init__(self, serving: Serving) -> None:
        """Start."""
        self._serving = serving
        self._number = next(_numbers)
        self._attempts: dict[Armed, Attempt | None] = {}
        self.client = Wire()
        self._upstream: Wire | None = None
        self.task = asyncio.get_running_loop().create_task(self._run())
        serving.sessions.add(self)

    def end(self) -> None:
        """End it now."""
        self.task.cancel()

    def overdue(self, now_s: float) -> bool:
        """Say that it may be idle for as long as both ends like."""
        del now_s
        return False

    async def _run(self) -> None:
        where = self._serving.upstream
        try:
            async with asyncio.timeout(CONNECT_S):
                _, self._upstream = await asyncio.get_running_loop().create_connection(Wire, where.host, where.port)
            await self._both_ways(self.client, self._upstream)
        except _BrokenOffError:
            self.client.break_off()
        except (OSError, asyncio.CancelledError):  # a time-out among them
            self.client.break_off()
        finally:
            if self._upstream is not None:
                self._upstream.close()
            self.client.close()
            self._serving.sessions.discard(self)

    async def _both_ways(self, client: Wire, upstream: Wire) -> None:
        ways = [
            asyncio.ensure_future(self._pour(client, upstream, back=False)),
            asyncio.ensure_future(self._pour(upstream, client, back=True)),
        ]
        try:
            await asyncio.gather(*ways)
        finally:
            for way in ways:
                way.cancel()

    async def _pour(self, source: Wire, sink: Wire, *, back: bool) -> None:
        """Pass one direction on until it ends; where its sender has closed it, close it for the receiver, too."""
        while source.buffer or await source.more():
            armed, strike = self._struck()
            if armed is None or strike is None:
                sink.write(source.take(len(source.buffer)))
            else:
                await self._suffer(armed, strike, source, sink, back=back)
            await sink.flush()
        if source.reset:
            raise ConnectionResetError
        sink.end_writing()

    def _struck(self) -> tuple[Armed | None, ConnectionStrike | None]:
        """Return the first armed fault that this connection is hit by, and what it does."""
        aimed = self._serving.hands.aimed_at_connections()
        if not aimed:
            self._attempts.clear()
        for armed in aimed:
            if armed not in self._attempts:
                unit = armed.aim.switch.unit_of_call()
                self._attempts[armed] = None if unit is None else armed.aim.switch.attempt(unit, self._number, -1)
            attempt, strike = self._attempts[armed], armed.aim.fault.strike_connection
            if attempt is not None and attempt.hit is not None and strike is not None and armed.lease.remaining_s() > 0:
                return armed, strike(armed.aim.magnitude)
        return None, None

    async def _suffer(self, armed: Armed, strike: ConnectionStrike, source: Wire, sink: Wire, *, back: bool) -> None:
        """Do to what has come what the fault wants, and pass the rest on."""
        if strike.reset:
            self._delivered(armed, strike)
            raise _BrokenOffError
        if strike.silent:
            self._delivered(armed, strike)
            await armed.lease.wait_revoked_async(_SILENCE_S)
        elif strike.late_s and back:
            now_s = asyncio.get_running_loop().time()
            if not await armed.lease.wait_revoked_async(max(0.0, source.heard_s + strike.late_s - now_s)):
                self._delivered(armed, strike)
        size = len(source.buffer)
        if strike.bytes_per_s:
            size = max(1, min(size, int(strike.bytes_per_s / _PARTS_PER_S)))
            if not await armed.lease.wait_revoked_async(size / strike.bytes_per_s):
                self._delivered(armed, strike)
        sink.write(source.take(size))

    def _delivered(self, armed: Armed, strike: ConnectionStrike) -> None:
        """Count the strike on this connection, once."""
        attempt = self._attempts[armed]
        if attempt is not None and attempt.hit is not None and not attempt.hit.drawn.delivered:
            with contextlib.suppress(OSError):
                armed.aim.switch.delivered(attempt.hit, strike.effect)
