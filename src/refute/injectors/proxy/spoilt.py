"""What faults make of answers: one made up or rewritten whole, and a stream that is rewritten on its way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from http import HTTPStatus

from refute.core.lease import Lease
from refute.injectors.driver import Pump, unpacked
from refute.injectors.proxy.answers import Answer, FailureError, FromUpstream, first_of
from refute.injectors.proxy.framing import RequestHead
from refute.injectors.proxy.relay import Leg
from refute.injectors.proxy.wire import Wire
from refute.wire.exchange import Failure, Headers, Pause, Reply, Step, without

_BODILESS = frozenset({204, 304})
_CLOSE = ("connection", "close")


class Made:
    """A response that a fault has made, with whatever lies it tells about its length.

    Args:
        reply: the response.
        leg: what upstream has said is not read any further.
    """

    def __init__(self, reply: Reply, leg: Leg) -> None:
        """Send nothing yet."""
        self.status = reply.status
        self.headers: Headers = reply.headers
        self._body = reply.body
        self._leg = leg

    async def whole(self) -> Reply:
        """See `Answer.whole`."""
        return Reply(self.status, self.headers, self._body)

    async def content(self) -> AsyncIterator[bytes]:
        """See `Answer.content`."""
        yield self._body

    async def deliver(self, request: RequestHead, client: Wire) -> bool:
        """See `Answer.deliver`."""
        headers = without(self.headers, "transfer-encoding")
        body = b"" if request.method == "HEAD" or self.status in _BODILESS else self._body
        stated = first_of(headers, "content-length")
        if not stated and self.status not in _BODILESS:
            headers, stated = (*headers, ("content-length", str(len(self._body)))), str(len(self._body))
        keeps = not request.closes() and (request.method == "HEAD" or stated in {"", str(len(body))})
        if not keeps:
            headers = (*without(headers, "connection"), _CLOSE)
        client.write(_head(self.status, headers) + body)
        await client.flush()
        return keeps and await self._leg.finish()


class Pumped:
    """A streamed response that goes through a pump.

    Args:
        inner: what is pumped.
        pump: changes it.
        lease: ends all waiting.
        leg: where it comes from.
    """

    def __init__(self, inner: Answer, pump: Pump, lease: Lease, leg: Leg) -> None:
        """Read nothing yet."""
        self.status = inner.status
        self.headers = unpacked(inner.headers)
        self._inner = inner
        self._pump = pump
        self._lease = lease
        self._leg = leg

    async def whole(self) -> Reply:
        """See `Answer.whole`."""
        return Reply(self.status, self.headers, b"".join([piece async for piece in self.content()]))

    async def content(self) -> AsyncIterator[bytes]:
        """See `Answer.content`."""
        async for chunk in self._inner.content():
            async for piece in self._carried(self._pump.feed(chunk)):
                yield piece
            if self._pump.done:
                return
        async for piece in self._carried(self._pump.finish()):
            yield piece

    async def deliver(self, request: RequestHead, client: Wire) -> bool:
        """See `Answer.deliver`; in chunks of our own, or to the connection's end for a client that knows none."""
        chunked = request.minor > 0
        headers = without(self.headers, "transfer-encoding")
        client.write(_head(self.status, (*headers, ("transfer-encoding", "chunked")) if chunked else (*headers, _CLOSE)))
        async for piece in self.content():
            client.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            await client.flush()
        if chunked:
            client.write(b"0\r\n\r\n")
        if self._pump.done:
            self._leg.drop()
            return chunked and not request.closes()
        return await self._leg.finish() and chunked

    async def _carried(self, steps: list[Step]) -> AsyncIterator[bytes]:
        """Carry out what the pump says, and yield the bytes in it."""
        last = len(steps) - 1
        for place, step in enumerate(steps):
            if isinstance(step, Pause):
                await self._slept(step.seconds)
            elif isinstance(step, Failure):
                self._pump.passed()
                raise FailureError(step, self._lease)
            elif step:
                if place == last:
                    self._pump.passed()
                yield step
        self._pump.passed()

    async def _slept(self, seconds: float) -> None:
        try:
            whole = not await self._lease.wait_revoked_async(seconds)
        except BaseException:
            self._pump.passed()  # the client would not wait any longer: it felt the gap
            raise
        self._pump.waited(whole=whole)


def stream(inner: Answer, pump: Pump, lease: Lease, leg: Leg, *, may_strike: bool) -> Answer:
    """Return a streamed answer under a pump; where nothing may be struck the pump only watches, and the bytes stay as they are."""
    if not may_strike and isinstance(inner, FromUpstream):
        inner.watched_by(pump)
        return inner
    return Pumped(inner, pump, lease, leg)


def _head(status: int, headers: Headers) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1", "replace")
