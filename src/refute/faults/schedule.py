"""Faults of a training's schedule: learning rate and optimiser."""

from __future__ import annotations

from functools import partial

from refute.faults.numerics import TRAINERS, UNDONE
from refute.faults.spec import Fault, Magnitude

_fault = partial(
    Fault, kinds=TRAINERS, hazard="wrong_answer", trains="step", undone_by=UNDONE,
    landing="the hook before the step has changed the optimiser, and written it down",
)  # fmt: skip

FAULTS = (
    _fault(
        name="schedule.lr_spike",
        summary="The learning rate of one step is far too large.",
        effect="For one step, the learning rate of every group is multiplied by the magnitude; after it, it is what it was.",
        belief="One step at a wrong learning rate costs some steps, and not the run.",
        source="schedules that restart at the wrong step; warm-up lost on resuming",
        magnitude=Magnitude(unit="1", low=1.0, high=1e6, typical=100.0, meaning="factor", log=True),
    ),
    _fault(
        name="schedule.optimizer_lost",
        summary="The optimiser has forgotten everything.",
        effect="Before one step, all that the optimiser keeps is cleared, as on resuming from weights alone.",
        belief="Resuming without the optimiser's state costs nothing that matters.",
        source="checkpoints that hold the weights alone",
    ),
)
