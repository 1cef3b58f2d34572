"""What a request is answered with: upstream's own response, one that a fault made, or upstream's with a fault in its stream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from refute.core.lease import Lease
from refute.injectors.decoding import READABLE, Decoder
from refute.injectors.driver import Pump
from refute.injectors.proxy.framing import ReplyHead, RequestHead
from refute.injectors.proxy.held import MOST_BYTES, Room
from refute.injectors.proxy.relay import BrokenError, Leg
from refute.injectors.proxy.wire import Wire
from refute.wire.exchange import Failure, Headers, Reply


class UnreadableError(Exception):
    """A response cannot be looked into, and passes as it is; the text says why."""


class FailureError(Exception):
    """A fault breaks the connection here.

    Args:
        kind: how.
        lease: for how long at most.
    """

    def __init__(self, kind: Failure, lease: Lease) -> None:
        """Keep how."""
        super().__init__(kind.value)
        self.kind = kind
        self.lease = lease


class Answer(Protocol):
    """One response, not delivered yet."""

    status: int
    headers: Headers

    async def whole(self) -> Reply:
        """Read it to its end and return it, decoded.

        Raises:
            UnreadableError: it cannot be looked into.
        """
        ...

    def content(self) -> AsyncIterator[bytes]:
        """Yield its content, decoded, as it comes.

        Raises:
            FailureError, BrokenError: it ends in the middle.
        """
        ...

    async def deliver(self, request: RequestHead, client: Wire) -> bool:
        """Send it; say whether the client's connection can take another request.

        Raises:
            FailureError, BrokenError: it ends in the middle.
            ConnectionError: the client is gone.
        """
        ...


def content_type(answer: Answer) -> str:
    """Return an answer's media type, "" where it has none."""
    return first_of(answer.headers, "content-type")


def first_of(headers: Headers, name: str) -> str:
    """Return the first value of a lower-case name, "" where there is none."""
    return next((value for key, value in headers if key.lower() == name), "")


class FromUpstream:
    """Upstream's response: delivered byte for byte, whatever was read of it before.

    Args:
        leg: where it comes from.
        reply: its head.
        room: bounds what is held of it.
    """

    def __init__(self, leg: Leg, reply: ReplyHead, room: Room) -> None:
        """Read nothing yet."""
        self.status = reply.status
        self.headers: Headers = reply.headers()
        self._leg = leg
        self._reply = reply
        self._room = room
        self._contents: list[bytes] = []
        self._pieces = leg.pieces(reply, self._contents.append)
        self._raw = bytearray()
        self._granted = 0
        self._broken: BrokenError | None = None
        self._watching: Pump | None = None

    def readable(self) -> bool:
        """Say whether its content can be looked into."""
        return first_of(self.headers, "content-encoding").lower() in READABLE

    def watched_by(self, pump: Pump) -> None:
        """Show its content to a pump that cannot change it, while it is delivered."""
        self._watching = pump

    async def whole(self) -> Reply:
        """See `Answer.whole`; what was read is kept as it came, too."""
        if not self.readable():
            raise UnreadableError(f"replies were encoded as {first_of(self.headers, 'content-encoding')}, which cannot be read")
        decoder, content = self._decoder(), bytearray()
        try:
            async for piece in self._pieces:
                self._hold(piece)
                for part in self._taken():
                    for decoded in decoder.feed(part):
                        content += decoded
                        if len(content) > MOST_BYTES:
                            raise UnreadableError("replies were too large to be read")
        except BrokenError as error:
            self._broken = error
            raise UnreadableError("replies ended in the middle") from None
        except ValueError:
            raise UnreadableError("replies were not in the coding that they name") from None
        return Reply(self.status, self.headers, bytes(content))

    async def content(self) -> AsyncIterator[bytes]:
        """See `Answer.content`."""
        decoder = self._decoder()
        async for _ in self._pieces:
            for part in self._taken():
                try:
                    for decoded in decoder.feed(part):
                        yield decoded
                except ValueError:
                    raise BrokenError(reset=False) from None

    async def deliver(self, request: RequestHead, client: Wire) -> bool:
        """See `Answer.deliver`."""
        del request
        client.write(self._reply.to_bytes() + self._raw)
        self.release()
        if self._broken is not None:
            raise self._broken
        decoder = self._decoder() if self._watching is not None and self.readable() else None
        async for piece in self._pieces:
            parts = self._taken()
            if decoder is not None:
                decoder = self._watch(decoder, parts)
            client.write(piece)
            await client.flush()
        return await self._leg.finish()

    def release(self) -> None:
        """Give back the room that it takes."""
        self._room.free(self._granted)
        self._granted = 0
        self._raw.clear()

    def _hold(self, piece: bytes) -> None:
        self._raw += piece
        if not self._room.grant(len(piece)):
            raise UnreadableError("replies were too large to be read")
        self._granted += len(piece)

    def _taken(self) -> list[bytes]:
        parts = self._contents[:]
        self._contents.clear()
        return parts

    def _decoder(self) -> Decoder:
        return Decoder(first_of(self.headers, "content-encoding").lower())

    def _watch(self, decoder: Decoder, parts: list[bytes]) -> Decoder | None:
        assert self._watching is not None
        try:
            for part in parts:
                for decoded in decoder.feed(part):
                    self._watching.feed(decoded)
        except ValueError:
            return None
        return decoder
