"""Faults inside a training run: at one step of the optimiser, at one save, in one exchange of gradients, once in a run."""

from __future__ import annotations

from refute.core.arming import Arming, Handle, Landing, RollbackKind
from refute.core.errors import refuse
from refute.core.lease import Lease
from refute.faults.catalogue import catalogue
from refute.injectors.training.armed import Armed
from refute.injectors.training.sites import site_of


class TrainingInjector:
    """Strikes from hooks that torch calls around each step of any optimiser, and from what stands in for functions of torch meanwhile."""

    name = "training"
    rollback_kind: RollbackKind = "expiring"

    def __init__(self) -> None:
        """Arm nothing yet."""
        self._armed: dict[str, Armed] = {}

    def refuses(self, arming: Arming) -> str:
        """Say why this injector cannot do it, or return ""."""
        fault = catalogue().get(arming.fault)
        if fault is None or not fault.trains:
            return f"not a fault for training runs: {arming.fault}"
        return fault.objection(arming.component.kind, arming.magnitude)

    def prepare(self, arming: Arming) -> Handle:
        """Make the handle.

        Raises:
            RefuteError: it cannot be done (`TRAINING-REFUSED`).
        """
        if reason := self.refuses(arming):
            raise refuse("TRAINING-REFUSED", reason, where=arming.component.name)
        return Handle(self.name, "expiring", {"arming": arming.to_json()})

    def apply(self, handle: Handle, lease: Lease) -> None:
        """Put the hooks in place, now or as soon as the program has imported torch.

        Raises:
            RefuteError: it cannot be done (`TRAINING-REFUSED`), or the component is off limits (`BLAST-NEVER`).
        """
        arming = Arming.from_json(handle.data["arming"])
        if reason := self.refuses(arming):
            raise refuse("TRAINING-REFUSED", reason, where=arming.component.name)
        lease.permits(arming.component)
        armed = site_of(handle.id, arming, lease)
        self._armed[handle.id] = armed
        armed.put()

    def landed(self, handle: Handle) -> Landing:
        """Return what this process has delivered; what a killed one has is written down in the run's folder."""
        armed = self._armed.get(handle.id)
        return armed.landing() if armed is not None else Landing(reason="never applied in this process")

    def rollback(self, handle: Handle) -> None:
        """Take the hooks away."""
        if handle.id in self._armed:
            self._armed[handle.id].remove()

    def verify(self, handle: Handle) -> bool:
        """Say whether no hook of this handle is left in this process."""
        return handle.id not in self._armed or self._armed[handle.id].gone


INJECTOR = TrainingInjector()
"""The one of this process."""
