"""Makes an `Intent` from the validated shape of its file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

from refute.core.arming import Draw
from refute.core.audience import Audience, Selection
from refute.core.criterion import Criterion
from refute.core.deviation import WEIGHTS, Deviation, Dimension
from refute.core.errors import RefuteError
from refute.core.intent import (
    SERVICES,
    Approvals,
    Belief,
    BlastRadius,
    Environment,
    ErrorBudget,
    Indicator,
    IndicatorKind,
    Intent,
    Journey,
    Notify,
    System,
    When,
    Workload,
)
from refute.core.system import HAZARDS, Component, Hazard, Place
from refute.core.training import RATIOS, Training
from refute.intent import shape as shapes
from refute.intent.deviation_shape import DeviationShape
from refute.intent.document import Document
from refute.intent.magnitudes import UnreadableError, magnitude_of
from refute.intent.objectives import objective_at
from refute.intent.values import Tolerance

PRODUCTION = frozenset({"production", "prod", "live"})
NEVER_IN_PRODUCTION: frozenset[Hazard] = frozenset({"state_write", "data_exposure"})

_RECEIVERS: tuple[Literal["slack", "pagerduty", "webhook"], ...] = ("slack", "pagerduty", "webhook")
_KINDS: tuple[IndicatorKind, ...] = ("ratio", "latency", "score", "cost", "deviation")


def build(shape: shapes.IntentShape, document: Document, path: Path, units: dict[str, str], digest: str) -> Intent:
    """Return the intent.

    Args:
        shape: the valid file.
        document: for places and for the record.
        path: the file, absolute.
        units: unit of the magnitude by fault, for those that have one.
        digest: SHA-256 of the files' content.
    """
    workload = _workload(shape.workload, path.parent)
    radius = _blast_radius(shape.blast_radius, _default_radius(workload), path.parent, frozenset(shape.system.components))
    owner = shape.system.owner or ""
    beliefs = [_belief(about, document.where(("beliefs", number)), owner, units) for number, about in enumerate(shape.beliefs)]
    return Intent(
        path=path,
        system=_system(shape, path.parent),
        workload=workload,
        indicators={name: _indicator(name, about) for name, about in shape.indicators.items()},
        beliefs={belief.id: belief for belief in beliefs},
        steady_window_s=shape.steady_state.window,
        steady_holds=tuple(shape.steady_state.holds),
        stop_when=tuple(shape.stop_when),
        blast_radius=radius,
        environments={name: _environment(name, about, shape, radius, path.parent) for name, about in shape.environments.items()},
        notify=tuple(_notify(about) for about in shape.notify),
        alpha=shape.verdict.alpha,
        digest=digest,
        raw=document.data,
    )


def _system(shape: shapes.IntentShape, folder: Path) -> System:
    components = {
        name: Component(
            name,
            about.kind,
            tuple(about.calls),
            about.endpoint or "",
            about.python or "",
            _place(about, shape.system.hosts, folder),
            about.via or "",
            about.version or "",
            about.stand_in or "",
        )
        for name, about in shape.system.components.items()
    }
    stated = sum(about.share for about in shape.journeys.values() if about.share is not None)
    silent = sum(about.share is None for about in shape.journeys.values())
    left = max(0.0, 1 - stated) / silent if silent else 0.0
    journeys = {
        name: Journey(name, about.entry, left if about.share is None else about.share, about.value)
        for name, about in shape.journeys.items()
    }
    return System(shape.system.name, components, journeys, shape.system.owner or "")


def _place(about: shapes.ComponentShape, hosts: dict[str, shapes.HostShape], folder: Path) -> Place:
    """Return where a component is; a host that nobody states is told by the checks."""
    process, host = about.process, hosts.get(about.host or "")
    return Place(
        pidfile=str(folder / process.pidfile) if process is not None and process.pidfile else "",
        match=(process.match or "") if process is not None else "",
        port=about.port or 0,
        netns=about.netns or "",
        directory=str(folder / about.directory) if about.directory else "",
        authority=str(folder / about.authority.certificate) if about.authority is not None else "",
        authority_key=str(folder / about.authority.key) if about.authority is not None else "",
        host=(about.host or "") if host is not None else "",
        guardian=host.guardian if host is not None else "",
    )


def _workload(about: shapes.WorkloadShape, folder: Path) -> Workload:
    if about.training is not None:
        return _training(about.training, about.timeout)
    assert about.rate is not None
    return Workload(
        kind="observe" if about.observe else "python" if about.python else "http",
        target=about.python or about.http or SERVICES.join(about.observe or ()),
        cases=None if about.cases is None else folder / about.cases,
        rate_per_s=about.rate,
        timeout_s=about.timeout,
        setup=about.setup or "",
    )


def _training(about: shapes.TrainingShape, timeout_s: float) -> Workload:
    training = Training(
        command=tuple(about.command or ()),
        seeds=about.seeds,
        restarts=about.restarts,
        metrics=dict(about.metrics),
        progress=about.progress or "",
        alarm=about.alarm or "",
        files=tuple(about.files),
    )
    return Workload("training", about.python or "", None, 1.0 / timeout_s, "training run", timeout_s, training=training)


def _default_radius(workload: Workload) -> BlastRadius:
    """Return the bounds of a file that states none: of a training, all its pairs, and their time at most."""
    if workload.training is None:
        return BlastRadius()
    units = 2 * workload.training.seeds
    return BlastRadius(units=units, duration_s=(units + 2) * workload.timeout_s)


def _indicator(name: str, about: shapes.IndicatorShape) -> Indicator:
    if about.training is not None:
        return Indicator(name, "ratio" if about.training in RATIOS else "metric", source=about.training, higher=False)
    if about.metric is not None:
        return Indicator(name, "metric", source=about.metric, higher=about.better != "low")
    kind = next(kind for kind in _KINDS if getattr(about, kind) is not None)
    if about.deviation is not None:
        return Indicator(name, kind, deviation=_deviation(about.deviation))
    python = "" if kind == "latency" else str(getattr(about, kind))
    return Indicator(name, kind, python) if about.price is None else Indicator(name, kind, python, about.price.amount, about.price.currency)


def _deviation(about: DeviationShape) -> Deviation:
    functions = {name: getattr(about, name) or "" for name in ("tools", "scope", "completion", "escalation")}
    weights: dict[Dimension, float] = {name: getattr(about.weights, name) for name in WEIGHTS}
    return Deviation(about.agent, about.actions, **functions, patience_s=about.patience or 0.0, weights=weights)


def _belief(about: shapes.BeliefShape, where: str, owner: str, units: dict[str, str]) -> Belief:
    first, *others = (_when(one, units) for one in about.faults)
    stated = about.confidence
    tolerance = stated if isinstance(stated, Tolerance) else None
    return Belief(
        id=about.id,
        claim=about.claim,
        when=replace(first, also=tuple(others)),
        then=about.then,
        confidence=stated if not isinstance(stated, Tolerance) else stated.sure,
        decides=about.decides or "",
        if_wrong=about.if_wrong,
        owner=about.owner or owner,
        among=about.among,
        depends_on=tuple(about.depends_on),
        where=where,
        after=tuple(about.after),
        at_least=None if tolerance is None else _magnitude(tolerance.at_least, units.get(first.fault, "")),
    )


def _when(about: shapes.WhenShape, units: dict[str, str]) -> When:
    magnitude = _magnitude(about.magnitude, units.get(about.fault, ""))
    return When(about.fault, about.target, magnitude, about.share, cast("Draw", about.draw), about.uncontrolled, about.turn or 0)


def _magnitude(written: Any, unit: str) -> float | None:
    try:
        return magnitude_of(written, unit)
    except UnreadableError:
        return None  # told by the checks, which run on every intent that is built


def _blast_radius(about: shapes.BlastRadiusShape, base: BlastRadius, folder: Path, components: frozenset[str]) -> BlastRadius:
    """Return the bounds that are stated, with the base's where none are; what is off limits, and who is, adds up."""
    budget = about.error_budget
    cohort, ramp = _shares(about, base)
    stated: dict[str, Any] = {
        "cohort": cohort,
        "ramp": ramp,
        "audience": _audience(about, base.audience),
        "units": about.units,
        "duration_s": about.duration,
        "hosts": None if about.hosts is None else frozenset(about.hosts),
        "error_budget": None if budget is None else _error_budget(budget, folder),
        "never": base.never | frozenset(about.never) | _struck_never(about, components),
    }
    return BlastRadius(**{name: getattr(base, name) if value is None else value for name, value in stated.items()})


def _shares(about: shapes.BlastRadiusShape, base: BlastRadius) -> tuple[float, tuple[float, ...]]:
    """Return the cohort and the steps before it; a smaller cohort keeps those of the base's steps that are smaller still."""
    if about.ramp is not None:
        return about.ramp[-1], tuple(about.ramp[:-1])
    cohort = base.cohort if about.cohort is None else about.cohort
    return cohort, tuple(share for share in base.ramp if share < cohort)


def _audience(about: shapes.BlastRadiusShape, base: Audience) -> Audience:
    only, without = _selected(about.only), _selected(about.except_)
    return Audience(about.cohort_by or base.by, (*base.only, *only), (*base.without, *without))


def _selected(about: shapes.SelectionShape | None) -> tuple[Selection, ...]:
    """Return which units a selection names; none where it speaks of components alone."""
    if about is None or not (about.journeys or about.cases):
        return ()
    return (Selection(frozenset(about.journeys), dict(about.cases)),)


def _struck_never(about: shapes.BlastRadiusShape, components: frozenset[str]) -> frozenset[str]:
    """Return the components that selections put off limits."""
    spared = frozenset(about.except_.components if about.except_ is not None else ())
    chosen = frozenset(about.only.components if about.only is not None else ())
    return spared | (components - chosen if chosen else frozenset())


def _stops(shape: shapes.IntentShape, about: shapes.EnvironmentShape) -> tuple[Criterion, ...] | None:
    """Return the stop conditions of an environment: its own, and those at the top that none of its own tightens."""
    if not about.stop_when:
        return None
    kept = (one for one in shape.stop_when if not any(same_bound(one, tighter) for tighter in about.stop_when))
    return (*kept, *about.stop_when)


def same_bound(one: Criterion, other: Criterion) -> bool:
    """Say whether two stop conditions bound the same thing from the same side, so that one of them is the tighter."""
    return all(getattr(one, name) == getattr(other, name) for name in ("indicator", "journey", "statistic", "relation", "kind", "currency"))


def _error_budget(about: shapes.ErrorBudgetShape, folder: Path) -> ErrorBudget | None:
    """Return the budget; None where its file cannot be used, which the checks tell."""
    if about.slo is None:
        assert about.objective is not None
        assert about.window is not None
        return ErrorBudget(about.objective, about.window, about.spend)
    try:
        stated = objective_at(folder, about.slo)
    except RefuteError:
        return None
    return ErrorBudget(stated.objective, stated.window_s, about.spend, (stated.bad, stated.total), about.prometheus or "")


def _notify(about: shapes.NotifyShape) -> Notify:
    shape = next(shape for shape in _RECEIVERS if getattr(about, shape) is not None)
    return Notify(shape, str(getattr(about, shape)), frozenset(about.tell))


def _environment(name: str, about: shapes.EnvironmentShape, shape: shapes.IntentShape, base: BlastRadius, folder: Path) -> Environment:
    allow = default_hazards(name) if about.allow is None else frozenset(about.allow)
    components = frozenset(shape.system.components)
    radius = None if about.blast_radius is None else _blast_radius(about.blast_radius, base, folder, components)
    asked = about.approvals
    approvals = None if asked is None else Approvals(asked.need, folder / asked.signers, asked.not_ == "author")
    return Environment(name, allow, radius, approvals, about.windows, about.freezes, _stops(shape, about))


def default_hazards(environment: str) -> frozenset[Hazard]:
    """Return the hazards that an environment allows where it does not say: in production none that a rollback cannot undo.

    Args:
        environment: its name.
    """
    hazards = frozenset(cast("list[Hazard]", list(HAZARDS)))
    return hazards - NEVER_IN_PRODUCTION if environment.lower() in PRODUCTION else hazards
