"""Can the faults of a belief strike at once? Those on one component stand one behind the other, in the order of the file."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from refute.core.errors import Problem
from refute.faults.combining import Part, conflict
from refute.intent.checks.subject import Subject
from refute.intent.document import Steps
from refute.intent.shape import BeliefShape, WhenShape


def check_combination(subject: Subject, steps: Steps, belief: BeliefShape) -> Iterator[Problem]:
    """Yield a problem for each pair of faults that cannot strike together.

    Args:
        subject: the intent.
        steps: the way to the belief.
        belief: as written.
    """
    for (_, first), (number, second) in combinations(enumerate(belief.faults), 2):
        if why := _conflict(subject, first, second):
            allowed = "another order or a smaller `share`, another fault, or a belief of its own"
            yield subject.problem("FAULT-COMBINE", why, (*steps, "when", number, "fault"), second.fault, allowed=allowed)


def _conflict(subject: Subject, first: WhenShape, second: WhenShape) -> str:
    fault, other = subject.faults.get(first.fault), subject.faults.get(second.fault)
    component, beside = (subject.intent.system.components.get(when.target) for when in (first, second))
    if fault is None or other is None or component is None or beside is None:
        return ""
    if fault.whole != other.whole:
        return f"`{fault.name}` and `{other.name}`: one of them leaves units out, the other none, so that no two arms could be compared"
    if bool(fault.acts_on) != bool(other.acts_on):
        return f"`{fault.name}` and `{other.name}`: one outlives its process and the other does not, so that they cannot share a lease"
    if fault.acts_on and component.place.host != beside.place.host:
        return f"`{component.name}` and `{beside.name}` are on different hosts: two guardians cannot share a lease"
    if first.target != second.target:
        return ""
    return conflict(Part(fault, _always(first)), Part(other, _always(second)), component)


def _always(when: WhenShape) -> bool:
    return when.share >= 1.0 and when.turn is None
