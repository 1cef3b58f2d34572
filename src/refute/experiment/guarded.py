"""Arms faults that outlive their process: the guardian writes them down, applies, looks and removes; the run keeps the lease."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Self

from refute.core.arming import Arming, Handle
from refute.core.intent import off_limits
from refute.core.process import ProcessIdentity
from refute.experiment.armament import RENEW_S, Armament, Rollback
from refute.experiment.design import LEASE_TTL_S, Experiment
from refute.experiment.link import Link
from refute.experiment.peer import Proof
from refute.injectors.registry import choose, struck_elsewhere
from refute.safety.far_guard import FarGuard
from refute.safety.guard import Guard
from refute.safety.journal import Journal


class GuardedArmament:
    """Does over the guardian what `Armament` does over the link; enter it around the whole run.

    Args:
        guard: to the guardian of the component's host.
    """

    def __init__(self, guard: Guard) -> None:
        """Reach nobody yet."""
        self._guard = guard
        self._handles: list[Handle] = []
        self._renewed = 0.0

    async def __aenter__(self) -> Self:
        await self._guard.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._guard.__aexit__(*error)

    @property
    def lease_s(self) -> float:
        """Seconds that the lease lasts from now; 0 where nothing is armed."""
        return max(0.0, LEASE_TTL_S - (time.monotonic() - self._renewed)) if self._handles else 0.0

    async def arm(self, armings: Sequence[Arming], experiment: str, _holders: Sequence[ProcessIdentity]) -> None:
        """Have the faults written down and applied; where one cannot be, none of them is left.

        Args:
            armings: the faults, aimed.
            experiment: its id.

        Raises:
            RefuteError: it cannot be done here, or the guardian is gone; `roll_back` is due.
        """
        self._handles = [await self._guard.prepare(arming) for arming in armings]
        self._renewed = time.monotonic()
        await self._guard.arm(self._handles, experiment, LEASE_TTL_S)

    async def keep(self) -> None:
        """Renew the lease where it is time to.

        Raises:
            RefuteError: it had ended, or the guardian is gone.
        """
        if self._handles and time.monotonic() - self._renewed >= RENEW_S:
            self._renewed = time.monotonic()
            await self._guard.renew(LEASE_TTL_S)

    async def roll_back(self, why: str) -> Rollback | None:
        """Have it removed and proven; None where nothing is armed. Call it through `to_the_end`.

        Args:
            why: in words.
        """
        handles = list(self._handles)
        if not handles:
            return None
        start = time.perf_counter()
        gone = await self._guard.disarm(handles)
        if gone:
            self._handles = []
        how = "the guardian has looked, and it is gone" if gone else self._guard.resisting
        landings = tuple(self._guard.landed(handle) for handle in handles)
        return Rollback(Proof(gone, how), why, time.perf_counter() - start, landings, self._guard.unnoted)


def armament_of(experiment: Experiment, journal: Journal, link: Link) -> Armament | GuardedArmament:
    """Return what arms an experiment's fault.

    Args:
        experiment: what is to run.
        journal: the rollback journal.
        link: to the workload's processes.

    Raises:
        RefuteError: nothing installed can inject it (`INJECTOR-NONE`).
    """
    arming, zone = experiment.arming, off_limits(experiment.intent)
    if struck_elsewhere(arming):
        return GuardedArmament(FarGuard(journal, arming.component.place, zone))
    expiring = all(choose(one).rollback_kind == "expiring" for one in experiment.armings)
    return Armament(journal, link) if expiring else GuardedArmament(Guard(journal, zone=zone))
