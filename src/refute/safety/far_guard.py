"""A run's end of the guardian of another host: the same permissions, over TLS, and a note of them in the journal of this host."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from refute.core.arming import Arming, Handle
from refute.core.errors import RefuteError
from refute.core.link import MAX_LINE_BYTES, Message, decode, encode
from refute.core.system import Place
from refute.core.zone import NOWHERE, Zone
from refute.safety.far import CONNECT_S, GONE, address_of, ask_there, checked, unreached
from refute.safety.guard import Guard, lost
from refute.safety.identity import Identity
from refute.safety.journal import Journal, State

_SETTLE_S = 8.0
_TICK_S = 0.2


class FarGuard(Guard):
    """The connection of one run to the guardian of another host; use as an async context manager.

    Before that guardian is asked to apply anything, the journal of this host says that it will be: whoever comes after this run knows
    whom to ask.

    Args:
        journal: of this host.
        place: where the component is.
        zone: what that guardian must not touch for this run.
    """

    def __init__(self, journal: Journal, place: Place, zone: Zone = NOWHERE) -> None:
        """Reach nobody yet."""
        super().__init__(journal, zone=zone)
        self._place = place
        self.resisting = (
            f"the guardian of {place.host} does not say that it is gone; its lease has ended there, and it removes the fault by itself"
        )

    async def prepare(self, arming: Arming) -> Handle:
        """Have the guardian make the handle, on the component's host.

        Args:
            arming: the fault, aimed.

        Raises:
            RefuteError: it cannot be done there (`INJECTOR-NONE`, `HOST-REFUSED`), or the guardian is gone (`GUARDIAN-…`).
        """
        await self._reach()
        handle = Handle.from_json((await self._ask("prepare", arming=arming.to_json()))["handle"])
        return Handle(handle.injector, handle.rollback, handle.data | {"arming": arming.to_json()}, handle.id)

    async def arm(self, handles: Sequence[Handle], experiment: str, ttl_s: float) -> None:
        """Write each handle down here, and have it applied there.

        Args:
            handles: as prepared.
            experiment: id of the experiment.
            ttl_s: length of the lease, seconds.

        Raises:
            RefuteError: it cannot be written down, a hand refused, or the guardian is gone (`GUARDIAN-LOST`).
        """
        for handle in handles:
            self._journal.advance(noted(handle), "intended", experiment=experiment)
            await self._ask("arm", handle=handle.id, experiment=experiment, ttl_s=ttl_s, off_limits=self._zone.to_json())
            self._journal.advance(noted(handle), "applied")

    async def disarm(self, handles: Sequence[Handle]) -> bool:
        """Have everything removed.

        Returns:
            Whether the guardian says of each handle that it is provably gone, now or within some seconds; it is asked again and again.
        """
        gone = await super().disarm(handles)
        states: list[State] = ["rolled_back", "verified"] if gone else ["rolled_back"]
        try:
            for handle in handles:
                for state in states:
                    self._journal.advance(noted(handle), state)
        except RefuteError as error:
            self.unnoted = tuple(problem for problem in error.problems if problem.code != "JOURNAL-ORDER")
        return gone

    async def _settled(self, handles: set[str]) -> bool:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + _SETTLE_S
        left = set(handles)
        while left and loop.time() < until_s:
            for handle in sorted(left):
                with contextlib.suppress(RefuteError):
                    if (await asyncio.to_thread(ask_there, self._place.guardian, "undo", handle=handle))["state"] in GONE:
                        left.discard(handle)
            await asyncio.sleep(_TICK_S)
        return not left

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await open_there(self._place.guardian)


async def open_there(guardian: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the guardian of another host.

    Args:
        guardian: `tls://HOST:PORT`.

    Raises:
        RefuteError: as `ask_there`.
    """
    await asyncio.to_thread(ask_there, guardian, "hello")  # says what is wrong where something is
    host, port = address_of(guardian)
    try:
        async with asyncio.timeout(CONNECT_S):
            return await asyncio.open_connection(host, port, ssl=Identity().client(), server_hostname=host, limit=MAX_LINE_BYTES)
    except (OSError, TimeoutError) as error:
        raise unreached(guardian, error) from None


async def asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, message: Message) -> Message:
    """Ask over a connection that nobody else uses, and return the answer.

    Args:
        reader: of the connection.
        writer: of the connection.
        message: with its `id`.

    Raises:
        RefuteError: it was refused, or the connection broke (`GUARDIAN-LOST`).
    """
    try:
        writer.write(encode(message))
        return checked(decode(await reader.readuntil()))
    except (OSError, ValueError, EOFError) as error:
        raise lost(f"{message['op']}: {type(error).__name__}") from None


def noted(handle: Handle) -> Handle:
    """Return what the journal of this host keeps of a handle of another: whom to ask, and for what.

    Args:
        handle: as that host's guardian made it.
    """
    data = {"arming": handle.data["arming"], "handle": handle.id}
    return Handle(handle.injector, "elsewhere", data, id=f"{handle.id}-elsewhere")
