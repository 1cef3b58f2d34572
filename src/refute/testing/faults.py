"""What every fault must say of itself."""

from __future__ import annotations

import math
import re

from refute.core.system import COMPONENT_KINDS, HAZARDS
from refute.faults.spec import Fault, Magnitude, seams

_DRAWS = {"call", "attempt", "conversation", "user"}


def check_fault(fault: Fault) -> None:
    """Check that a fault is described in full, and that what it says fits together.

    Raises:
        AssertionError: it is not; the message says what is wrong.
    """
    assert re.fullmatch(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*", fault.name), f"{fault.name!r} is not of the form family.kind"
    assert fault.kinds, f"{fault.name} applies to nothing"
    assert fault.kinds <= set(COMPONENT_KINDS), f"{fault.name} applies to kinds that there are not: {fault.kinds - set(COMPONENT_KINDS)}"
    assert fault.hazard in HAZARDS, f"{fault.name}: {fault.hazard!r} is no hazard"
    for field in ("summary", "effect", "landing", "undone_by", "belief", "source"):
        assert getattr(fault, field), f"{fault.name} does not say its {field}"
    assert 0 < fault.typical_share <= 1, f"{fault.name}: a share lies over 0 and at most at 1"
    assert fault.typical_draw in _DRAWS, f"{fault.name}: {fault.typical_draw!r} cannot be drawn"
    assert seams(fault), f"{fault.name} strikes nowhere"
    assert not fault.remembers or fault.strike_python, f"{fault.name} remembers what no function answered"
    if fault.magnitude is not None:
        _check_magnitude(fault.name, fault.magnitude)


def _check_magnitude(name: str, scale: Magnitude) -> None:
    assert scale.meaning, f"{name} does not say what its magnitude means"
    assert scale.low <= scale.typical <= scale.high, f"{name}: the typical magnitude lies outside its range"
    assert not scale.log or scale.low > 0, f"{name}: a magnitude that is spaced by ratios starts over 0"
    assert math.isclose(scale.dose(scale.low), 0), f"{name}: the least magnitude has the dose 0"
    assert math.isclose(scale.dose(scale.high), 1), f"{name}: the greatest magnitude has the dose 1"
