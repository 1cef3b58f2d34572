"""Every fault says all of itself."""

from __future__ import annotations

import pytest

from refute.core.system import COMPONENT_KINDS, HAZARDS
from refute.faults.catalogue import catalogue
from refute.faults.spec import seams


@pytest.mark.parametrize("fault", catalogue().values(), ids=catalogue())
def test_fault_is_described(fault):
    assert fault.name.count(".") == 1
    assert fault.kinds
    assert fault.kinds <= set(COMPONENT_KINDS)
    assert fault.hazard in HAZARDS
    assert all((fault.summary, fault.effect, fault.landing, fault.undone_by, fault.belief, fault.source))
    assert 0 < fault.typical_share <= 1
    assert seams(fault)
    if fault.magnitude is not None:
        size = fault.magnitude
        assert size.low <= size.typical <= size.high
        assert (size.dose(size.low), size.dose(size.high)) == pytest.approx((0, 1))
