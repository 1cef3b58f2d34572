"""Faults of the numbers in one step of training: they strike once in a run, at the step that `turn` names, else at one of 10 to 30."""

from __future__ import annotations

from functools import partial

from refute.core.system import ComponentKind
from refute.faults.spec import Fault, Magnitude

TRAINERS: frozenset[ComponentKind] = frozenset({"trainer"})
UNDONE = "the lease: the hooks are taken away; what the run has learned meanwhile stays in that run, which is thrown away"
BIT = Magnitude(
    unit="1", low=0.0, high=31.0, typical=30.0, meaning="bit of a 32-bit number, from the lowest; of others the one that means the same"
)

_fault = partial(
    Fault, kinds=TRAINERS, hazard="wrong_answer", trains="step", undone_by=UNDONE,
    landing="the hook before the step has changed the number, and written it down",
)  # fmt: skip

FAULTS = (
    _fault(
        name="numerics.nan_gradient",
        summary="One entry of one gradient is NaN.",
        effect="Once the gradients of one step are computed, one entry, each as likely as any other, becomes NaN; optimisers spread it.",
        belief="A run whose loss is no number is stopped, not finished.",
        source="overflow in mixed precision, division by zero in a rare batch; one such entry: 0.962 to 0.088, exit code 0",
    ),
    _fault(
        name="numerics.inf_gradient",
        summary="One entry of one gradient is infinite.",
        effect="Once the gradients of one step are computed, one entry becomes infinite.",
        belief="Steps with gradients that are no numbers are skipped.",
        source="overflow in mixed precision without loss scaling",
    ),
    _fault(
        name="numerics.spike",
        summary="The gradients of one step are far too large.",
        effect="Once the gradients of one step are computed, before anybody clips them, all are multiplied by the magnitude.",
        belief="One bad batch costs some steps, and not the run.",
        source="loss spikes of large language models; corrupted batches",
        magnitude=Magnitude(unit="1", low=1.0, high=1e9, typical=1000.0, meaning="factor", log=True),
    ),
    _fault(
        name="numerics.bit_flip_weight",
        summary="A bit of one weight flips.",
        effect="Before one step, one bit of one weight, each weight as likely as any other, is inverted.",
        belief="A flipped bit costs at most a point of accuracy.",
        source="silent data corruption: six interruptions in 54 days of one large training",
        magnitude=BIT,
    ),
    _fault(
        name="numerics.bit_flip_gradient",
        summary="A bit of one gradient entry flips.",
        effect="Once the gradients of one step are computed, one bit of one entry is inverted; of several ranks on one, after they agreed.",
        belief="A flipped bit in a gradient is forgotten within a few steps.",
        source="silent data corruption on one accelerator",
        magnitude=BIT,
    ),
    _fault(
        name="numerics.bit_flip_optimizer",
        summary="A bit of the optimiser's memory flips.",
        effect="Before one step, one bit of one number that the optimiser keeps (a momentum, a second moment) is inverted.",
        belief="A flipped bit in the optimiser's memory is forgotten.",
        source="silent data corruption; state that lives longer than a gradient",
        magnitude=BIT,
    ),
    _fault(
        name="numerics.bit_flip_activation",
        summary="A bit of one activation flips.",
        trains="forward",
        effect="In the forward pass before one step, one bit of one number that one layer, which is drawn, returns is inverted.",
        landing="the hook after the layer has changed what it returns, and written it down",
        belief="A flipped bit in an activation is forgotten within a few steps.",
        source="silent data corruption; of all places the one where most flips are harmless",
        magnitude=BIT,
    ),
)
