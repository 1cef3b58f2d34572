"""Can this fault reach that target, and would the criterion notice?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from refute.core.errors import Problem
from refute.core.intent import off_limits
from refute.core.system import Component
from refute.faults.spec import Fault, Seam, seams
from refute.intent.checks.combination import check_combination
from refute.intent.checks.subject import Subject
from refute.intent.checks.whole import check_whole
from refute.intent.document import Steps, listed, shown
from refute.intent.magnitudes import UnreadableError, magnitude_of, shown_magnitude
from refute.intent.shape import BeliefShape, WhenShape
from refute.intent.values import Tolerance
from refute.system.graph import journeys_through, on_path, reachable

_REACHED_BY: dict[Seam, str] = {
    "exchange": "endpoint", "python": "python", "connection": "via", "process": "process", "port": "port", "directory": "directory",
    "training": "kind",
}  # fmt: skip
_HAS: dict[Seam, str] = {
    "exchange": "an `endpoint`",
    "python": "a `python` reference",
    "connection": "an `endpoint` of tcp that is reached `via: proxy`",
    "process": "a `process`, or a port on loopback",
    "port": "a `port`, or an `endpoint` on loopback",
    "directory": "a `directory`",
    "training": "the kind `trainer`",
}


def check_faults(subject: Subject) -> Iterator[Problem]:
    """Yield a problem for each fault that cannot strike as the belief wants."""
    for here, belief, when in subject.faulted():
        fault = subject.faults.get(when.fault)
        target = subject.intent.system.components.get(when.target)
        if fault is not None:
            yield from _magnitude(subject, (*here, "magnitude"), fault, when.magnitude)
        if target is not None:
            yield from _limits(subject, here, target, whole=fault is not None and bool(fault.acts_on))
            yield from _path(subject, here, belief, target)
        if fault is not None and target is not None:
            yield from _kind(subject, here, fault, target)
        if fault is not None:
            yield from check_whole(subject, here, fault, belief, when)
    for steps, belief in subject.beliefs():
        yield from _tolerance(subject, steps, belief)
        yield from check_combination(subject, steps, belief)


def _tolerance(subject: Subject, steps: Steps, belief: BeliefShape) -> Iterator[Problem]:
    """A threshold is sought over magnitudes: the fault must have some, and the belief must not fix one."""
    if not isinstance(belief.confidence, Tolerance):
        return
    if not isinstance(belief.when, WhenShape):
        what = "a threshold is sought over the magnitudes of one fault, not of several at once"
        allowed = "one fault under `when`, or `confidence: 80%` and a `magnitude` for each"
        yield subject.problem("THRESHOLD-COMBINED", what, (*steps, "when"), f"{len(belief.when)} faults", allowed=allowed)
        return
    fault = subject.faults.get(belief.when.fault)
    if fault is None:
        return
    if belief.when.magnitude is not None:
        what, allowed = "a belief about a threshold leaves the magnitude open", "`confidence: 80%`, or no `magnitude` under `when`"
        yield subject.problem("THRESHOLD-MAGNITUDE", what, (*steps, "when", "magnitude"), shown(belief.when.magnitude), allowed=allowed)
    yield from _magnitude(subject, (*steps, "confidence"), fault, belief.confidence.at_least)


def _magnitude(subject: Subject, here: Steps, fault: Fault, written: Any) -> Iterator[Problem]:
    if written is None:
        return
    about, seen = fault.magnitude, shown(written)
    if about is None:
        what = f"`{fault.name}` has no magnitude: it strikes or it does not"
        yield subject.problem("MAGNITUDE-NONE", what, here, seen, allowed="no `magnitude`; `share` says how often")
        return
    low, high, typical = (shown_magnitude(value, about.unit) for value in (about.low, about.high, about.typical))
    allowed = f"{low} to {high} ({about.meaning}), typically {typical}"
    try:
        value = magnitude_of(written, about.unit)
    except UnreadableError:
        what = f"the magnitude of `{fault.name}` is not written in its unit"
        repaired = f"{written:g} s" if about.unit == "s" and isinstance(written, int | float) else ""
        yield subject.problem("MAGNITUDE-UNIT", what, here, seen, allowed=allowed, suggestion=repaired)
        return
    if value is not None and not about.low <= value <= about.high:
        yield subject.problem("MAGNITUDE-RANGE", f"the magnitude of `{fault.name}` is out of range", here, seen, allowed=allowed)


def _limits(subject: Subject, here: Steps, target: Component, *, whole: bool) -> Iterator[Problem]:
    if name := off_limits(subject.intent).entered_by(target, whole=whole):
        where = "" if name == target.name else f", and `{target.name}` is where it is"
        what = f"`{name}` is off limits: `blast_radius.never` names it{where}"
        yield subject.problem("TARGET-OFF-LIMITS", what, (*here, "target"), target.name, allowed="a component that is not named there")


def _path(subject: Subject, when: Steps, belief: BeliefShape, target: Component) -> Iterator[Problem]:
    system, here = subject.intent.system, (*when, "target")
    named_anywhere = {journey.entry for journey in system.journeys.values()}.union(*(each.calls for each in system.components.values()))
    if not system.journeys or not named_anywhere <= system.components.keys():
        return  # the unknown name has been told; where it leads is unknown too
    named = system.journeys.get(belief.then.journey)
    if not journeys_through(system, target.name):
        entered = " or ".join(dict.fromkeys(journey.entry for journey in system.journeys.values()))
        what = f"no journey reaches `{target.name}`: a fault there could not be noticed"
        yield subject.problem("TARGET-UNREACHABLE", what, here, target.name, allowed=f"a component that the `calls` of {entered} lead to")
    elif named is not None and not on_path(system, named, target.name):
        what = f"`{target.name}` is on no path of the journey `{named.name}`, whose indicator the criterion reads"
        allowed = f"on its path: {listed(sorted(reachable(system, named.entry)))}"
        suggestion = f"{journeys_through(system, target.name)[0]}.{belief.then.indicator}"
        yield subject.problem("TARGET-PATH", what, here, target.name, allowed=allowed, suggestion=suggestion)


def _kind(subject: Subject, when: Steps, fault: Fault, target: Component) -> Iterator[Problem]:
    here = (*when, "fault")
    if target.kind not in fault.kinds:
        fitting = [name for name, other in subject.faults.items() if target.kind in other.kinds]
        what = f"`{fault.name}` does not apply to `{target.name}`, a component of kind {target.kind}"
        allowed = f"components of kind {listed(sorted(fault.kinds))}"
        suggestion = next((name for name in fitting if name.partition(".")[2] == fault.name.partition(".")[2]), "")
        yield subject.problem("FAULT-KIND", what, here, fault.name, allowed=allowed, suggestion=suggestion, next="refute faults")
        return
    offered = seams(fault)
    reached = _reached(target)
    if offered & reached:
        return
    if offered:
        wanted = sorted(offered)
        what = (
            f"`{fault.name}` cannot get at `{target.name}`: it strikes where a component has {' or '.join(_HAS[seam] for seam in wanted)}"
        )
        allowed = f"add {' or '.join(f'`{_REACHED_BY[seam]}:`' for seam in wanted)} to `system.components.{target.name}`"
    else:
        what, allowed = f"no injector can carry out `{fault.name}` yet", "a fault that strikes HTTP or a Python function"
    yield subject.problem("FAULT-SEAM", what, here, f"{target.name} is reached by {_how(target)}", allowed=allowed)


def _reached(target: Component) -> set[Seam]:
    place, port = target.place, bool(target.port)
    tcp = target.endpoint.startswith("tcp:")
    said: dict[Seam, bool] = {
        "exchange": bool(target.endpoint) and not tcp,
        "python": bool(target.python),
        "connection": tcp and target.via == "proxy",
        "process": port or bool(place.pidfile or place.match),
        "port": port,
        "directory": bool(place.directory),
        "training": target.kind == "trainer",
    }
    return {seam for seam, given in said.items() if given}


def _how(target: Component) -> str:
    place = target.place
    stated = {
        "endpoint": target.endpoint, "python": target.python, "process": place.pidfile or place.match, "port": place.port,
        "directory": place.directory,
    }  # fmt: skip
    return " and ".join(key for key, value in stated.items() if value) or "neither endpoint nor python"
