"""Faults of how a training is configured."""

from __future__ import annotations

from functools import partial

from refute.faults.numerics import TRAINERS, UNDONE
from refute.faults.spec import Fault, Magnitude

_fault = partial(Fault, kinds=TRAINERS, hazard="wrong_answer", undone_by=UNDONE)

FAULTS = (
    _fault(
        name="config.wrong_seed",
        summary="The seed is another one than was asked for.",
        trains="seed",
        effect="Every whole number with which the global generators of torch, Python or numpy are seeded is raised by the magnitude.",
        landing="a generator was seeded otherwise, and that was written down",
        belief="The result depends on the seed by less than a point.",
        source="seeds that a launcher overrides, or that differ between ranks; what a difference of a point is worth",
        magnitude=Magnitude(unit="1", low=1.0, high=1e9, typical=1000.0, meaning="raised by", log=True),
    ),
    _fault(
        name="config.overflow",
        summary="Mixed precision overflows.",
        trains="step",
        effect="At the first step from the due one on where that overflows, all gradients pass through 16-bit numbers at the magnitude as "
        "loss scale: what is beyond 65504 becomes infinite.",
        landing="gradient entries overflowed, and were counted",
        belief="Steps that overflow are skipped.",
        source="a loss scale that is not lowered; half precision without one",
        magnitude=Magnitude(unit="1", low=1.0, high=1e12, typical=65536.0, meaning="loss scale", log=True),
    ),
)
