"""One training run with a fault armed in all its processes: written down first, kept under a lease, proven to be gone at its end."""

from __future__ import annotations

import os

from refute.core.arming import Arming, Landing
from refute.core.link import Message
from refute.experiment.armament import Armament, Rollback, to_the_end
from refute.experiment.link import Link
from refute.experiment.peer import Peer
from refute.experiment.training.record import Record
from refute.experiment.training.trial import Alive, Trial
from refute.injectors.boot import python_path
from refute.injectors.boot.join import ALONE_VARIABLE
from refute.safety.journal import Journal


class ArmedTrial:
    """Runs one training with one fault.

    Args:
        trial: the training.
        arming: the fault, aimed.
        experiment: its id.
        journal: the rollback journal.

    Attributes:
        rollback: what became of the fault; None where it was never armed.
    """

    def __init__(self, trial: Trial, arming: Arming, experiment: str, journal: Journal) -> None:
        """Arm nothing yet."""
        self._trial = trial
        self._arming = arming
        self._experiment = experiment
        self._link = Link(_heard)
        self._armament = Armament(journal, self._link)
        self._started = False
        self.rollback: Rollback | None = None

    async def run(self, alive: Alive) -> tuple[Record, Landing]:
        """Run it to its end.

        Args:
            alive: awaited a few times a second; what it raises ends the run.

        Returns:
            What the run told, and what was delivered as its processes counted it.

        Raises:
            RefuteError: it could not be started, or the journal could not be written.
        """

        async def kept() -> None:
            if not self._started:
                self._started = True
                self._armament.applied()
            await self._armament.keep()
            await alive()

        async with self._link:
            try:
                await self._armament.arm_joining(self._arming, self._experiment, [])
                record = await self._trial.run(self._environment(), kept)
            finally:
                self.rollback = await to_the_end(self._armament.roll_back("the training run ended"))
        return record, sum(self.rollback.landings, Landing()) if self.rollback else Landing()

    def _environment(self) -> dict[str, str]:
        """Return what has every Python process of the run join the link before its first line."""
        path = os.pathsep.join(filter(None, [str(self._trial.folder), os.environ.get("PYTHONPATH", "")]))
        return {**self._link.environment, ALONE_VARIABLE: "1", "PYTHONPATH": python_path({"PYTHONPATH": path})}


def _heard(_peer: Peer, _message: Message) -> None:
    """Nothing but landings is told, and those the link keeps."""
