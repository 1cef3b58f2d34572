"""Which part of a training each fault strikes."""

from __future__ import annotations

from refute.core.arming import Arming
from refute.core.lease import Lease
from refute.faults.catalogue import catalogue
from refute.injectors.training.armed import Armed
from refute.injectors.training.comms import ArmedExchange
from refute.injectors.training.forward import ArmedForward
from refute.injectors.training.processes import ArmedRank, ArmedResume, ArmedWorker
from refute.injectors.training.saves import ArmedSave
from refute.injectors.training.seeds import ArmedSeed
from refute.injectors.training.steps import ArmedStep

_SITES: dict[str, type[Armed]] = {
    "step": ArmedStep, "checkpoint": ArmedSave, "rank": ArmedRank, "worker": ArmedWorker, "exchange": ArmedExchange,
    "forward": ArmedForward, "seed": ArmedSeed, "resume": ArmedResume,
}  # fmt: skip


def site_of(handle: str, arming: Arming, lease: Lease) -> Armed:
    """Return what strikes as a fault has it, with nothing in place yet.

    Args:
        handle: its id.
        arming: what is armed.
        lease: for how long.
    """
    return _SITES[catalogue()[arming.fault].trains](handle, arming, lease)
