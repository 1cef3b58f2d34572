"""Do all names mean something, and only one thing? Asked of the file as it is written, whatever else is wrong with it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import chain
from typing import Any

from refute.core.criterion import Criterion, CriterionError, parse_criterion
from refute.core.errors import Problem
from refute.intent.document import Document, Steps

MONEY_INDICATORS = ("loss", "spend")

_Named = Iterator[tuple[Steps, Any]]


def check_names(document: Document, faults: Collection[str]) -> Iterator[Problem]:
    """Yield a problem for each name that is unknown, reserved or given twice; what is misshapen is left to the models.

    Args:
        document: as read.
        faults: names in the catalogue.
    """
    data = document.data
    beliefs = list(_items(data, "beliefs"))
    if document.whole:
        faulted = ((_to(steps, "fault"), _at(one, "fault")) for steps, one in _faults(beliefs))
        yield from _unknown(document, "FAULT-UNKNOWN", "fault", faults, faulted)
        yield from _unknown(document, "COMPONENT-UNKNOWN", "component", _names(data, "system", "components"), _called(data, beliefs))
        yield from _hosts(document)
        yield from _indicators(document, beliefs)
        yield from _unknown(document, "JOURNEY-UNKNOWN", "journey", _names(data, "journeys"), _selected_journeys(data))
    yield from _twice(document, beliefs)


def _unknown(document: Document, code: str, noun: str, known: Collection[str], named: _Named) -> Iterator[Problem]:
    next_ = "refute faults" if noun == "fault" else ""
    for steps, name in named:
        if known and isinstance(name, str) and name.strip() not in known and not document.is_marred(steps):
            yield document.unknown(code, noun, name, known, steps, next=next_)


def _called(data: Any, beliefs: list[tuple[Steps, Any]]) -> _Named:
    """Yield each component that something names."""
    for name in _names(data, "system", "components"):
        yield from _items(data, "system", "components", name, "calls")
    for name in _names(data, "journeys"):
        yield ("journeys", name, "entry"), _at(data, "journeys", name, "entry")
    for radius in _radii(data):
        for key in ("never", ("only", "components"), ("except", "components")):
            yield from _items(data, *radius, *((key,) if isinstance(key, str) else key))
    for steps, when in _faults(beliefs):
        yield _to(steps, "target"), _at(when, "target")


def _faults(beliefs: list[tuple[Steps, Any]]) -> _Named:
    """Yield each fault of each belief, with the way to it."""
    for steps, belief in beliefs:
        when, here = _at(belief, "when"), _to(steps, "when")
        for number, one in enumerate(when if isinstance(when, list) else [when]):
            yield (*here, number) if isinstance(when, list) else here, one


def _hosts(document: Document) -> Iterator[Problem]:
    """Yield a problem for each component on a host that nobody states: it must never be taken for this one."""
    data = document.data
    known = _names(data, "system", "hosts")
    for name in _names(data, "system", "components"):
        steps, host = ("system", "components", name, "host"), _at(data, "system", "components", name, "host")
        if isinstance(host, str) and host not in known and not document.is_marred(("system", "hosts")) and not document.is_marred(steps):
            yield document.unknown("HOST-UNKNOWN", "host", host, known, steps)


def _radii(data: Any) -> Iterator[tuple[str, ...]]:
    """Yield the way to each blast radius."""
    yield ("blast_radius",)
    for name in _names(data, "environments"):
        yield "environments", name, "blast_radius"


def _selected_journeys(data: Any) -> _Named:
    for radius in _radii(data):
        for key in ("only", "except"):
            yield from _items(data, *radius, key, "journeys")


def _indicators(document: Document, beliefs: list[tuple[Steps, Any]]) -> Iterator[Problem]:
    data = document.data
    known, journeys = _names(data, "indicators"), _names(data, "journeys")
    for name in MONEY_INDICATORS:
        if name in known:
            what = f"`{name}` is what stop conditions call money; an indicator cannot have that name"
            yield document.problem("NAME-RESERVED", what, ("indicators", name), name, allowed="another name")
    read = [*_criteria(_items(data, "steady_state", "holds")), *_criteria((_to(steps, "then"), _at(one, "then")) for steps, one in beliefs)]
    here = (_items(data, "environments", name, "stop_when") for name in _names(data, "environments"))
    stops = list(_criteria(chain(_items(data, "stop_when"), *here)))
    stated = ((steps, one.indicator) for steps, one in [*read, *(stop for stop in stops if stop[1].indicator not in MONEY_INDICATORS)])
    yield from _unknown(document, "INDICATOR-UNKNOWN", "indicator", known, stated)
    for steps, one in [*read, *stops]:
        if one.journey and one.journey not in journeys and not document.is_marred(steps):
            yield document.unknown("JOURNEY-UNKNOWN", "journey", one.journey, journeys, steps)


def _twice(document: Document, beliefs: list[tuple[Steps, Any]]) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for steps, belief in beliefs:
        name, here = _at(belief, "id"), _to(steps, "id")
        if not isinstance(name, str) or document.is_marred(here):
            continue
        if name in first:
            allowed = f"an id of its own; this one stands at {first[name]}"
            yield document.problem("BELIEF-TWICE", "two beliefs have the same id", here, name, allowed=allowed)
        first.setdefault(name, document.where(here))


def _criteria(named: _Named) -> Iterator[tuple[Steps, Criterion]]:
    """Yield the criteria that can be read."""
    for steps, text in named:
        try:
            yield steps, parse_criterion(text)
        except (CriterionError, TypeError):
            continue


def _at(value: Any, *steps: str) -> Any:
    """Return what stands at the end of a way through mappings, None where it leads nowhere."""
    for step in steps:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _names(value: Any, *steps: str) -> list[str]:
    """Return the names that a mapping declares."""
    found = _at(value, *steps)
    return [name for name in found if isinstance(name, str)] if isinstance(found, dict) else []


def _items(value: Any, *steps: str) -> _Named:
    """Yield the items of a list with the way to each."""
    found = _at(value, *steps)
    for number, item in enumerate(found if isinstance(found, list) else []):
        yield (*steps, number), item


def _to(steps: Steps, *more: str) -> Steps:
    return (*steps, *more)
