"""Does the intent stay within what may be risked, and where?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from refute.core.errors import Problem, RefuteError
from refute.core.hosts import may_load, widened
from refute.core.intent import BlastRadius, Intent, off_limits
from refute.core.system import Hazard
from refute.core.units import show_seconds, show_share
from refute.faults.spec import Fault
from refute.intent.build import NEVER_IN_PRODUCTION, PRODUCTION, default_hazards, same_bound
from refute.intent.checks.subject import Subject
from refute.intent.document import Steps, listed
from refute.intent.objectives import objective_at
from refute.intent.shape import BlastRadiusShape

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9A-Fa-f:]*:[0-9A-Fa-f:]*")


def check_safety(subject: Subject) -> Iterator[Problem]:
    """Yield a problem for each thing that is not allowed here, or that would loosen what is."""
    yield from _hosts(subject)
    yield from _paths_elsewhere(subject)
    yield from _environments(subject)
    yield from _hazards(subject)
    yield from _named_files(subject)


def refused_in(intent: Intent, environment: str, faults: Mapping[str, Fault]) -> dict[str, Problem]:
    """Return the beliefs that may not be tested in an environment, each with why.

    Args:
        intent: valid.
        environment: name of a declared environment, "" where none is named: live traffic is then taken for production's.
        faults: the catalogue.

    Returns:
        A problem by belief id; beliefs that may be tested are left out.
    """
    about = intent.environments.get(environment)
    where = f"`{environment}`" if environment else "live traffic"
    allow = _allowed(intent, environment) if about is None else about.allow
    radius = intent.blast_radius if about is None or about.blast_radius is None else about.blast_radius
    zone, components = off_limits(replace(intent, blast_radius=radius)), intent.system.components
    refused: dict[str, Problem] = {}
    for belief in intent.beliefs.values():
        for part in belief.when.parts:
            hazard = faults[part.fault].hazard
            if hazard not in allow:
                what = f"`{part.fault}` is a hazard that {where} does not allow"
                refused.setdefault(belief.id, Problem("HAZARD-NOT-ALLOWED", what, belief.where, hazard, listed(sorted(allow))))
            elif zone.entered_by(components[part.target], whole=bool(faults[part.fault].acts_on)):
                what = f"`{part.target}` is off limits in {where}"
                refused.setdefault(belief.id, Problem("TARGET-OFF-LIMITS", what, belief.where, part.target))
    return refused


def _allowed(intent: Intent, environment: str) -> frozenset[Hazard]:
    """Return the hazards allowed where no declared environment says it."""
    return default_hazards("production" if intent.workload.observed else environment)


def _hosts(subject: Subject) -> Iterator[Problem]:
    radius, url = subject.intent.blast_radius, subject.intent.workload.target
    served = subject.intent.workload.kind == "http"
    yield from _host_names(subject, ("blast_radius", "hosts"), subject.shape.blast_radius)
    if served and not may_load(url, radius.hosts):
        allowed = f"{listed(sorted(radius.hosts))}; other hosts only where `blast_radius.hosts` names them"
        what = f"load may not be sent to `{urlsplit(url).hostname}`"
        yield subject.problem("HOST-NOT-ALLOWED", what, ("workload", "http"), url, allowed=allowed)
    for name, about in subject.shape.environments.items():
        stated, steps = about.blast_radius, ("environments", name, "blast_radius", "hosts")
        if stated is None or stated.hosts is None:
            continue
        yield from _host_names(subject, steps, stated)
        if served and may_load(url, radius.hosts) and not may_load(url, stated.hosts):
            what = f"in `{name}` load may not be sent to the workload, so that nothing could be run there"
            yield subject.problem("HOST-NOT-ALLOWED", what, steps, listed(sorted(stated.hosts)), allowed=f"the host of {url} among them")


def _paths_elsewhere(subject: Subject) -> Iterator[Problem]:
    for name, about in subject.shape.system.components.items():
        here: Steps = ("system", "components", name)
        stated = {(*here, "directory"): about.directory, (*here, "process", "pidfile"): about.process and about.process.pidfile}
        for steps, path in stated.items():
            if about.host and path and not path.startswith("/"):
                what = f"`{name}` is on `{about.host}`: a path there cannot be relative to this file"
                yield subject.problem("HOST-PATH", what, steps, path, allowed="a path from the root")


def _host_names(subject: Subject, steps: Steps, stated: BlastRadiusShape) -> Iterator[Problem]:
    for number, host in enumerate(stated.hosts or []):
        if not _HOST.fullmatch(host):
            what = "a host is a name or an address, without scheme, port or wildcard"
            yield subject.problem("HOST-SYNTAX", what, (*steps, number), host, allowed="127.0.0.1, staging.example.org")


def _environments(subject: Subject) -> Iterator[Problem]:
    for name, about in subject.shape.environments.items():
        loose = sorted(NEVER_IN_PRODUCTION & set(about.allow or ()))
        if name.lower() in PRODUCTION and loose:
            what = "a rollback does not undo data: such hazards are refused in production"
            allowed = "availability, wrong_answer"
            yield subject.problem("HAZARD-PRODUCTION", what, ("environments", name, "allow"), ", ".join(loose), allowed=allowed)
        yield from _looser_stops(subject, name)
        if about.blast_radius is not None:
            yield from _looser(subject, name, about.blast_radius, subject.intent.blast_radius)
            yield from _looser_ramp(subject, name, about.blast_radius)
            yield from _looser_budget(subject, name)


def _looser_stops(subject: Subject, name: str) -> Iterator[Problem]:
    for number, own in enumerate(subject.shape.environments[name].stop_when):
        for stated in subject.shape.stop_when:
            later = own.value < stated.value if own.relation == "<" else own.value > stated.value
            if same_bound(stated, own) and later:
                what = f"an environment may only tighten: this stops later than `{stated.text}` at the top does"
                here: Steps = ("environments", name, "stop_when", number)
                yield subject.problem("ENVIRONMENT-LOOSER", what, here, own.text, allowed="a bound that stops sooner")


def _looser_ramp(subject: Subject, name: str, stated: BlastRadiusShape) -> Iterator[Problem]:
    base = subject.intent.blast_radius
    if stated.ramp is not None:
        steps = (*base.ramp, base.cohort)
        own = (*stated.ramp, *(stated.ramp[-1:] * max(0, len(steps) - len(stated.ramp))))
        if any(share > limit for share, limit in zip(own, (*steps, *(steps[-1:] * len(own))), strict=False)):
            seen, allowed = _shown(stated.ramp), f"no step larger than at the top: {_shown(steps)}"
            yield _loosened(subject, name, "ramp", seen, allowed)
    if stated.cohort_by is not None and base.audience.by not in {"", stated.cohort_by}:
        yield _loosened(subject, name, "cohort_by", stated.cohort_by, base.audience.by)


def _shown(steps: Sequence[float]) -> str:
    return ", ".join(map(show_share, steps))


def _looser_budget(subject: Subject, name: str) -> Iterator[Problem]:
    tightened, limits = subject.intent.environments[name].blast_radius, subject.intent.blast_radius.error_budget
    budget = tightened.error_budget if tightened is not None else None
    if budget and limits and (1 - budget.objective) * budget.spend > (1 - limits.objective) * limits.spend + 1e-12:
        yield _loosened(subject, name, "error_budget", "more failures than at the top", "the same or fewer")


def _named_files(subject: Subject) -> Iterator[Problem]:
    """Yield a problem for each file of objectives, and of those who may approve, that cannot be used."""
    yield from _objectives(subject, ("blast_radius",), subject.shape.blast_radius)
    for name, about in subject.shape.environments.items():
        here: Steps = ("environments", name)
        if about.blast_radius is not None:
            yield from _objectives(subject, (*here, "blast_radius"), about.blast_radius)
        if about.approvals is not None and not (subject.intent.folder / about.approvals.signers).is_file():
            what = "the file of those who may approve does not exist"
            yield subject.problem("APPROVAL-SIGNERS", what, (*here, "approvals", "signers"), about.approvals.signers)


def _objectives(subject: Subject, steps: Steps, radius: BlastRadiusShape) -> Iterator[Problem]:
    budget = radius.error_budget
    if budget is None or budget.slo is None:
        return
    try:
        objective_at(subject.intent.folder, budget.slo)
    except RefuteError as error:
        told = error.problems[0]
        yield subject.problem(told.code, told.what, (*steps, "error_budget", "slo"), told.seen, allowed=told.allowed)


def _looser(subject: Subject, name: str, stated: BlastRadiusShape, base: BlastRadius) -> Iterator[Problem]:
    bounds = (
        ("cohort", stated.cohort, base.cohort, show_share),
        ("units", stated.units, base.units, str),
        ("duration", stated.duration, base.duration_s, show_seconds),
    )
    for key, value, limit, show in bounds:
        if value is not None and value > limit:
            seen, allowed = show(value), f"at most {show(limit)}"
            yield _loosened(subject, name, key, seen, allowed)
    extra = sorted(widened(stated.hosts or ()) - widened(base.hosts))
    if extra:
        yield _loosened(subject, name, "hosts", ", ".join(extra), listed(sorted(base.hosts)))


def _loosened(subject: Subject, name: str, key: str, seen: str, allowed: str) -> Problem:
    what = f"an environment may only tighten: `{key}` of `{name}` is looser than at the top"
    return subject.problem("ENVIRONMENT-LOOSER", what, ("environments", name, "blast_radius", key), seen, allowed=allowed)


def _hazards(subject: Subject) -> Iterator[Problem]:
    environments = subject.intent.environments
    live = subject.intent.workload.observed and not environments
    for steps, _belief, when in subject.faulted():
        fault = subject.faults.get(when.fault)
        if fault is not None and live and fault.hazard in NEVER_IN_PRODUCTION:
            what = f"live traffic is observed, and a rollback does not undo what `{fault.name}` does to data"
            yield subject.problem("HAZARD-PRODUCTION", what, (*steps, "fault"), fault.hazard, allowed="availability, wrong_answer")
        if fault is not None and environments and not any(fault.hazard in about.allow for about in environments.values()):
            what = f"no environment allows `{fault.name}`, whose hazard is {fault.hazard}"
            allowed = "; ".join(f"{name}: {listed(sorted(about.allow))}" for name, about in environments.items())
            yield subject.problem("HAZARD-NOT-ALLOWED", what, (*steps, "fault"), fault.hazard, allowed=allowed)
