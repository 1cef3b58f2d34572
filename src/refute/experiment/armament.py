"""One run's faults on their way from `intended` to `verified`: journal, link and lease together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from refute.core.arming import Arming, Handle, Landing
from refute.core.errors import Problem, RefuteError
from refute.core.process import ProcessIdentity
from refute.experiment.design import LEASE_TTL_S
from refute.experiment.link import Link
from refute.experiment.peer import Proof
from refute.injectors.registry import choose
from refute.safety.journal import Journal, State

T = TypeVar("T")
RENEW_S = LEASE_TTL_S / 3


@dataclass(frozen=True, slots=True)
class Rollback:
    """What became of a fault that was to be removed.

    Attributes:
        proof: whether it is gone, and by what.
        why: it was removed.
        seconds: that took.
        landings: what each fault had delivered, in the order of arming.
        unnoted: what the journal could not write down of it.
    """

    proof: Proof
    why: str
    seconds: float
    landings: tuple[Landing, ...]
    unnoted: tuple[Problem, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the data of a `rollback` event."""
        pids = " ".join(map(str, self.proof.left))
        by_hand = "" if self.proof else f"kill {pids}, then: refute recover" if pids else "refute recover"
        return {"ok": self.proof.proven, "seconds": self.seconds, "how": self.why, "proof": self.proof.how, "remove_by_hand": by_hand}


class Armament:
    """Arms what joins a link, the faults of one run under one lease, with the rollback journal one step ahead.

    Args:
        journal: the rollback journal.
        link: to the processes.
    """

    def __init__(self, journal: Journal, link: Link) -> None:
        """Arm nothing yet."""
        self._journal = journal
        self._link = link
        self._handles: list[Handle] = []
        self._renewed = 0.0
        self._renew = link.renew

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Do nothing: the link ends by itself."""

    @property
    def lease_s(self) -> float:
        """Seconds that the lease lasts from now; 0 where nothing is armed."""
        return max(0.0, LEASE_TTL_S - (time.monotonic() - self._renewed)) if self._handles else 0.0

    async def arm(self, armings: Sequence[Arming], experiment: str, holders: Sequence[ProcessIdentity]) -> None:
        """Write the faults down, arm every process that has joined, and those that join later; all of them, or none is left.

        Args:
            armings: the faults, aimed.
            experiment: its id.
            holders: processes in which it will live.

        Raises:
            RefuteError: one cannot be written down, and nothing is armed; or a process refused; `roll_back` is due.
        """
        self._intend(armings, experiment, holders)
        await self._link.arm(self._handles, LEASE_TTL_S)
        self.applied()

    async def arm_joining(self, arming: Arming, experiment: str, holders: Sequence[ProcessIdentity]) -> None:
        """Write the fault down and arm every process that has joined or joins from now on, before its first line; none of them must last.

        Args:
            arming: the fault, aimed.
            experiment: its id.
            holders: processes that have joined, in which it will live.

        Raises:
            RefuteError: it cannot be written down, and nothing will be armed.
        """
        self._intend([arming], experiment, holders)
        self._link.arm_joining(self._handles, LEASE_TTL_S)
        self._renew = self._link.renew_live
        await self._link.arm_live()

    def applied(self) -> None:
        """Write down that they are there.

        Raises:
            RefuteError: that cannot be written; `roll_back` is due.
        """
        for handle in self._handles:
            self._journal.advance(handle, "applied")

    def _intend(self, armings: Sequence[Arming], experiment: str, holders: Sequence[ProcessIdentity]) -> None:
        """Write all faults down before any of them is applied."""
        for handle in [choose(arming).prepare(arming) for arming in armings]:
            self._journal.advance(handle, "intended", experiment=experiment, holders=holders)
            self._handles.append(handle)
        self._renewed = time.monotonic()

    async def keep(self) -> None:
        """Renew the lease where it is time to.

        Raises:
            RefuteError: it had ended, or a process is lost.
        """
        if self._handles and time.monotonic() - self._renewed >= RENEW_S:
            self._renewed = time.monotonic()
            await self._renew(LEASE_TTL_S)

    async def roll_back(self, why: str) -> Rollback | None:
        """Remove what is armed and prove it; None where nothing is armed. Call it through `to_the_end`.

        What cannot be proven stays armed as far as this knows, so that it can be tried again.

        Args:
            why: in words.
        """
        handles = list(self._handles)
        if not handles:
            return None
        start = time.perf_counter()
        proof = await self._link.disarm()
        unnoted = [
            problem for handle in handles for problem in self._noted(handle, ["rolled_back", "verified"] if proof else ["rolled_back"])
        ]
        if proof:
            self._handles = []
        landings = tuple(self._link.landed(handle) for handle in handles)
        return Rollback(proof, why, time.perf_counter() - start, landings, tuple(dict.fromkeys(unnoted)))

    def _noted(self, handle: Handle, states: Sequence[State]) -> tuple[Problem, ...]:
        """Advance the journal; what it cannot write changes nothing about the fault."""
        try:
            for state in states:
                self._journal.advance(handle, state)
        except RefuteError as error:
            return error.problems
        return ()


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Finish work even where its caller is cancelled meanwhile; the caller is cancelled after it.

    Args:
        work: what must not be left half done, and ends by itself.
    """
    task = asyncio.ensure_future(work)
    interrupted: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            interrupted = error
    if interrupted is not None:
        if not task.cancelled() and task.exception() is not None:
            raise interrupted from task.exception()
        raise interrupted
    return task.result()
