"""Can this design test these claims? Checks on an intent whose shape is valid already."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from refute.core.errors import Problem
from refute.intent.checks.audience import check_audience
from refute.intent.checks.criteria import check_criteria
from refute.intent.checks.deviation import check_deviation, check_order
from refute.intent.checks.faults import check_faults
from refute.intent.checks.files import check_files
from refute.intent.checks.journeys import check_journeys
from refute.intent.checks.safety import check_safety
from refute.intent.checks.stand_in import check_stand_in
from refute.intent.checks.subject import Subject
from refute.intent.checks.training import check_training

CHECKS: tuple[Callable[[Subject], Iterator[Problem]], ...] = (
    check_journeys,
    check_criteria,
    check_faults,
    check_safety,
    check_audience,
    check_files,
    check_training,
    check_deviation,
    check_order,
    check_stand_in,
)


def check(subject: Subject) -> list[Problem]:
    """Return everything that keeps this intent from being tested.

    Args:
        subject: the intent with its places and the catalogue.
    """
    return [problem for each in CHECKS for problem in each(subject)]
