"""One client's connection, from its first request to its end."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from functools import partial

from refute.core.cohort import HEADER
from refute.core.context import current_unit
from refute.injectors.proxy.answers import Answer, FailureError, FromUpstream
from refute.injectors.proxy.framing import Body, MalformedError, RequestHead, body_of_request, read_request
from refute.injectors.proxy.hands import Armed, ProxyInjector, Units
from refute.injectors.proxy.held import HeldRequest, Room
from refute.injectors.proxy.relay import BrokenError, Leg, Upstream, UpstreamError
from refute.injectors.proxy.striking import Ask, struck
from refute.injectors.proxy.tcp import TcpSession
from refute.injectors.proxy.wire import Wire
from refute.wire.exchange import Failure, Request

HEAD_S = 30.0
"""How long a client may take over one head, seconds."""

SILENCE_S = 900.0
"""How long an exchange may be without a byte in either direction, seconds."""

_LINGER_S = 1.0


@dataclass(slots=True)
class Serving:
    """What the sessions of one proxy share.

    Attributes:
        upstream: where requests go.
        hands: what is armed.
        units: whose requests come through; None while no run is joined.
        room: bounds the bodies that are held.
        draining: whether connections end with the exchange under way.
        sessions: all open ones.
    """

    upstream: Upstream
    hands: ProxyInjector
    units: Units | None = None
    room: Room = field(default_factory=Room)
    draining: bool = False
    sessions: set[Session | TcpSession] = field(default_factory=set)


class Session:
    """One client's connection; it runs by itself from the moment it is made.

    Args:
        serving: the proxy that it belongs to.

    Attributes:
        client: the connection.
        task: runs it.
    """

    def __init__(self, serving: Serving) -> None:
        """Start."""
        loop = asyncio.get_running_loop()
        self._serving = serving
        self.client = Wire(self._client_ended)
        self._leg = Leg(serving.upstream, self._upstream_ended)
        self._busy = False
        self._began_s = loop.time()
        self.task = loop.create_task(self._run())
        serving.sessions.add(self)

    @property
    def busy(self) -> bool:
        """Say whether an exchange is under way."""
        return self._busy

    def end(self) -> None:
        """End it now, whatever is under way."""
        self.task.cancel()

    def overdue(self, now_s: float) -> bool:
        """Say whether it has been waited for long enough.

        Args:
            now_s: loop time.
        """
        if self._busy:
            return now_s - max(self.client.heard_s, self._leg.heard_s) > SILENCE_S
        if not self.client.buffer:
            self._began_s = now_s
            return now_s - self.client.heard_s > SILENCE_S
        return now_s - self._began_s > HEAD_S

    async def _run(self) -> None:
        try:
            while (raw := await self.client.head()) is not None:
                self._busy = True
                keeps = await self._exchange(read_request(raw))
                self._busy = False
                if self._serving.draining or not keeps:
                    break
        except MalformedError as error:
            await self._refuse(400, "PROXY-REQUEST", f"the request is no HTTP/1.1 that this proxy could pass on: {error}")
        except UpstreamError as error:
            await self._refuse(502, "PROXY-UPSTREAM", str(error))
        except FailureError as error:
            await self._fail(error)
        except BrokenError as error:
            await self._broke(reset=error.reset)
        except (ConnectionError, asyncio.CancelledError):
            self.client.abort()
        finally:
            self._leg.drop()
            self.client.close()
            self._serving.sessions.discard(self)

    async def _exchange(self, head: RequestHead) -> bool:
        body = body_of_request(head)
        if not head.target.startswith("/") and head.target != "*":
            raise MalformedError("its target is no path, and this is no forward proxy")
        aimed = self._aimed(head)
        return await (self._strike(head, body, aimed) if aimed else self._pass(head, body))

    async def _pass(self, head: RequestHead, body: Body, held: bytes | bytearray = b"") -> bool:
        """Relay an exchange untouched."""
        reply = await self._leg.ask(head, body, held, self.client)
        await self._leg.relay(reply, self.client)
        if reply.status == 101:
            await self._leg.tunnel(self.client)
            return False
        return await self._leg.finish()

    def _aimed(self, head: RequestHead) -> list[Armed]:
        """Return what may touch a request; what may not is counted where it should be."""
        aimed = self._serving.hands.aimed_at(head)
        if not aimed or head.values(b"upgrade"):
            return []
        baggage = b",".join(head.values(HEADER.encode())).decode("latin-1")
        units = self._serving.units
        current_unit.set(units.of(baggage) if units is not None else None)
        return [armed for armed in aimed if armed.aim.switch.unit_of_call() is not None]

    async def _strike(self, head: RequestHead, body: Body, aimed: list[Armed]) -> bool:
        """Hold a request, and answer it as the armed faults will have it."""
        room, upstream = self._serving.room, self._serving.upstream
        held = HeldRequest(head, f"{upstream.scheme}://{upstream.authority}{upstream.prefix}", room)
        answers: list[FromUpstream] = []
        try:
            if not body.done and head.value("expect").lower() == "100-continue":
                self.client.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            if not await held.fill(body, self.client):
                for armed in aimed:
                    armed.missed("requests were too large to be read")
                return await self._pass(head, body, held.raw)
            ask: Ask = partial(self._ask, head, body, held, answers)
            for armed in reversed(aimed):  # the first to be armed is nearest to the caller
                ask = partial(struck, armed, ask, held, self._leg)
            return await (await ask(None)).deliver(head, self.client)
        finally:
            held.release()
            for answer in answers:
                answer.release()

    async def _ask(
        self, head: RequestHead, body: Body, held: HeldRequest, answers: list[FromUpstream], other: Request | None = None
    ) -> Answer:
        """Send a request that is held, or another in its place."""
        asked, raw = (head, bytes(held.raw)) if other is None else held.replaced(other)
        reply = await self._leg.ask(asked, body, raw, self.client)
        answers.append(FromUpstream(self._leg, reply, self._serving.room))
        return answers[-1]

    async def _refuse(self, status: int, code: str, why: str) -> None:
        """Answer in our own name, and let the client read it before the connection goes."""
        body = json.dumps({"error": {"code": code, "message": f"refute proxy: {why}"}}).encode()
        phrase = {400: "Bad Request", 502: "Bad Gateway"}[status]
        head = f"HTTP/1.1 {status} {phrase}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        self.client.write(head.encode() + body)
        await self._linger()

    async def _fail(self, error: FailureError) -> None:
        """Break the client's connection as a fault wants it; an end in the middle of a body is just that."""
        if error.kind is Failure.READ_TIMEOUT:
            await error.lease.wait_revoked_async(SILENCE_S)
        if error.kind is not Failure.CLOSED:
            self.client.break_off()

    async def _broke(self, *, reset: bool) -> None:
        """Break the client's connection as upstream has broken its own."""
        if reset:
            self.client.break_off()
        else:
            await self._linger()

    async def _linger(self) -> None:
        """Close our direction, and read on for a moment: a reset would take back what was just sent."""
        try:
            async with asyncio.timeout(_LINGER_S):
                await self.client.shut()
        except OSError:  # it has gone already, or does not go
            self.client.abort()

    def _client_ended(self) -> None:
        if self._busy:
            self.task.cancel()

    def _upstream_ended(self) -> None:
        if not self._busy:
            self.client.close()
