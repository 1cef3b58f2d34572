"""A run's end of the guardian: asks it to apply, renews the lease, has it remove and prove."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, Self

from refute.core.arming import Arming, Handle, Landing
from refute.core.errors import EXIT_INCONCLUSIVE, Problem, RefuteError
from refute.core.link import MAX_LINE_BYTES, Message, decode, encode
from refute.core.process import this_process
from refute.core.zone import NOWHERE, Zone
from refute.injectors.registry import choose
from refute.safety._post import Post
from refute.safety.journal import Journal
from refute.safety.summon import post_beside, summon

_ANSWER_S = 10.0
_SETTLE_S = 8.0
_TICK_S = 0.05


class Guard:
    """The connection of one run; use as an async context manager, which finds or starts the guardian.

    Args:
        journal: of this machine, to see what became of a handle where the guardian died.
        post: where the guardian sits; by default beside the journal.
        zone: what the guardian must not touch for this run.

    Attributes:
        unnoted: what the journal of this machine could not write down.
        resisting: what it means, in words, that something is not seen to be gone.
    """

    resisting = "it is not seen to be gone; the guardian goes on trying"

    def __init__(self, journal: Journal, post: Post | None = None, zone: Zone = NOWHERE) -> None:
        """Reach nobody yet."""
        self.unnoted: tuple[Problem, ...] = ()
        self._zone = zone
        self._journal = journal
        self._post = post if post is not None else post_beside(journal)
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._turn = asyncio.Lock()
        self._number = 0
        self._landings: dict[str, Landing] = {}

    async def __aenter__(self) -> Self:
        await self._reach()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self._leave()

    async def prepare(self, arming: Arming) -> Handle:
        """Return the handle of a fault, made where its target is; nothing is changed by it.

        Args:
            arming: the fault, aimed.

        Raises:
            RefuteError: it cannot be done (`INJECTOR-NONE`, `HOST-REFUSED`), or the guardian is gone (`GUARDIAN-…`).
        """
        return choose(arming).prepare(arming)

    async def arm(self, handles: Sequence[Handle], experiment: str, ttl_s: float) -> None:
        """Have handles written down and applied; where it fails, none of them is left.

        Args:
            handles: as prepared.
            experiment: id of the experiment.
            ttl_s: length of the lease, seconds.

        Raises:
            RefuteError: a hand refused, the journal cannot be written, or the guardian is gone (`GUARDIAN-LOST`).
        """
        handed = [handle.to_json() for handle in handles]
        off_limits = self._zone.to_json()
        await self._ask("arm", handles=handed, experiment=experiment, ttl_s=ttl_s, runner=this_process().to_json(), off_limits=off_limits)

    async def renew(self, ttl_s: float) -> None:
        """Extend the lease, and hear what has been seen.

        Raises:
            RefuteError: it had ended (`LINK-LEASE`), or the guardian is gone (`GUARDIAN-LOST`).
        """
        answer = await self._ask("renew", timeout_s=ttl_s, ttl_s=ttl_s)
        if not answer["ok"]:
            problem = Problem("LINK-LEASE", "a lease ended before it was renewed", seen="the guardian has removed the fault")
            raise RefuteError(problem, exit_code=EXIT_INCONCLUSIVE)

    async def disarm(self, handles: Sequence[Handle]) -> bool:
        """Have everything removed.

        Returns:
            Whether each handle is provably gone, by the guardian's word or, where it resists or the guardian died, by the journal's within
            some seconds: whoever took over goes on trying.
        """
        verified: dict[str, bool] = {}
        with contextlib.suppress(RefuteError):
            verified = (await self._ask("disarm"))["verified"]
        left = {handle.id for handle in handles if not verified.get(handle.id)}
        return not left or await self._settled(left)

    def landed(self, handle: Handle) -> Landing:
        """Return what the guardian last saw of a handle."""
        return self._landings.get(handle.id, Landing(reason="nobody has looked at it yet"))

    async def _settled(self, handles: set[str]) -> bool:
        """Wait until the journal says that handles are verified; somebody must be there to do it."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + _SETTLE_S
        while loop.time() < until_s:
            with contextlib.suppress(RefuteError):
                if not handles & {entry.handle.id for entry in self._journal.live()}:
                    return True
                await self._reach()
                await self._ask("mend", wait_s=1.0)
            await asyncio.sleep(_TICK_S)
        return False

    async def _reach(self) -> None:
        """Connect to the guardian where there is no connection.

        Raises:
            RefuteError: there can be none (`GUARDIAN-…`, `JOURNAL-…`).
        """
        if self._writer is None:
            self._reader, self._writer = await self._connected()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Find or start the guardian of this machine, and connect."""
        await asyncio.to_thread(summon, self._post)
        try:
            connection = self._post.connect()
            connection.setblocking(False)
            return await asyncio.open_unix_connection(sock=connection, limit=MAX_LINE_BYTES)
        except OSError as error:
            raise lost(str(error)) from None

    async def _ask(self, op: str, timeout_s: float = _ANSWER_S, **fields: Any) -> Message:
        async with self._turn:
            reader, writer = self._reader, self._writer
            if reader is None or writer is None:
                raise lost("it is gone")
            self._number += 1
            try:
                writer.write(encode({"id": self._number, "op": op, **fields}))
                async with asyncio.timeout(timeout_s):
                    message = decode(await reader.readuntil())
            except asyncio.CancelledError:
                self._leave()  # an answer that nobody takes would be taken for the next one's; the guardian removes what is armed
                raise
            except (OSError, ValueError, EOFError, TimeoutError) as error:
                self._leave()
                raise lost(f"{op}: {type(error).__name__}") from None
        if not message["ok"] and "problems" in message:
            raise RefuteError(*(Problem(**problem) for problem in message["problems"]), exit_code=EXIT_INCONCLUSIVE)
        self._landings.update({name: Landing.from_json(data) for name, data in message.get("landings", {}).items()})
        return message

    def _leave(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None


def lost(why: str) -> RefuteError:
    """Return the error of a guardian that has gone in the middle of a run.

    Args:
        why: in words.
    """
    problem = Problem("GUARDIAN-LOST", "the guardian is gone; whoever takes over removes the fault", seen=why)
    return RefuteError(problem, exit_code=EXIT_INCONCLUSIVE)
