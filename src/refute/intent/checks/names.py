"""Do all names mean something, and only one thing?"""

from __future__ import annotations

from collections.abc import Iterator

from refute.core.errors import Problem
from refute.core.units import show_share
from refute.intent.checks.subject import Subject
from refute.intent.document import Steps

MONEY_INDICATORS = ("loss", "spend")


def check_names(subject: Subject) -> Iterator[Problem]:
    """Yield a problem for each name that is unknown, reserved or given twice."""
    yield from _components(subject)
    yield from _indicators(subject)
    yield from _journeys(subject)
    yield from _beliefs(subject)


def _components(subject: Subject) -> Iterator[Problem]:
    known = subject.intent.system.components
    named: list[tuple[str, Steps]] = []
    for name, component in known.items():
        named += [(called, ("system", "components", name, "calls", number)) for number, called in enumerate(component.calls)]
    named += [(about.entry, ("journeys", name, "entry")) for name, about in subject.shape.journeys.items()]
    named += [(name, ("blast_radius", "never", number)) for number, name in enumerate(subject.shape.blast_radius.never)]
    for environment, about in subject.shape.environments.items():
        never = about.blast_radius.never if about.blast_radius else []
        named += [(name, ("environments", environment, "blast_radius", "never", number)) for number, name in enumerate(never)]
    named += [(belief.when.target, (*steps, "when", "target")) for steps, belief in subject.beliefs()]
    for name, steps in named:
        if name not in known:
            yield subject.unknown("COMPONENT-UNKNOWN", "component", name, known, steps)


def _indicators(subject: Subject) -> Iterator[Problem]:
    known = subject.intent.indicators
    for name in MONEY_INDICATORS:
        if name in known:
            what = f"`{name}` is what stop conditions call money; an indicator cannot have that name"
            yield subject.problem("NAME-RESERVED", what, ("indicators", name), name, allowed="another name")
    for steps, criterion, role in subject.criteria():
        name = criterion.indicator
        if name not in known and not (role == "stop condition" and name in MONEY_INDICATORS):
            yield subject.unknown("INDICATOR-UNKNOWN", "indicator", name, known, steps)


def _journeys(subject: Subject) -> Iterator[Problem]:
    journeys = subject.intent.system.journeys
    for steps, criterion, _role in subject.criteria():
        if criterion.journey and criterion.journey not in journeys:
            yield subject.unknown("JOURNEY-UNKNOWN", "journey", criterion.journey, journeys, steps)
    total = sum(about.share or 0.0 for about in subject.shape.journeys.values())
    if total > 1 + 1e-9:
        what = "the journeys' shares add up to more than all traffic"
        yield subject.problem("JOURNEY-SHARES", what, ("journeys",), show_share(total), allowed="at most 100% together")
    elif total > 1 - 1e-9 and any(about.share is None for about in subject.shape.journeys.values()):
        silent = ", ".join(name for name, about in subject.shape.journeys.items() if about.share is None)
        what = "the stated shares leave no traffic for the other journeys"
        yield subject.problem("JOURNEY-SHARES", what, ("journeys",), silent, allowed="a share for each journey")


def _beliefs(subject: Subject) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for steps, belief in subject.beliefs():
        here = (*steps, "id")
        if belief.id in first:
            allowed = f"an id of its own; this one stands at {first[belief.id]}"
            yield subject.problem("BELIEF-TWICE", "two beliefs have the same id", here, belief.id, allowed=allowed)
        first.setdefault(belief.id, subject.document.where(here))
        if belief.when.fault not in subject.faults:
            fault = (*steps, "when", "fault")
            yield subject.unknown("FAULT-UNKNOWN", "fault", belief.when.fault, subject.faults, fault, next="refute faults")
