"""What voids a run: a fault that did not land as meant, or a system that was sick before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from refute.core.arming import Arming, Landing
from refute.core.measure import measure
from refute.core.outcome import Outcome
from refute.core.system import Component
from refute.experiment.assess import test_of
from refute.experiment.design import Experiment
from refute.stats import clopper_pearson, compare_arms

_LANDING_ALPHA = 0.001
_UNDELIVERED = 0.9  # share of the hits that must reach the caller: some are under way when the fault is removed
_MISSING = 0.05
_FAILED = 0.5
_ADVICE = "add refute.integrations.asgi.CohortMiddleware to the service, or its twin in refute.integrations.wsgi"
_ENTRANCE = "none of the servers that Refute knows has taken them in: " + _ADVICE
_OBSERVED = "is the middleware around what makes them, and does it pass the unit on to where they are made?"
_PASSED_ON = "does the service pass the header `baggage` on to the proxy, as OpenTelemetry does?"
_NOT_STARTED = "; a service is reached only where the workload's `setup` starts it"


def landing_faults(landings: Sequence[Landing], experiment: Experiment) -> list[str]:
    """Return why landings prove nothing; empty where all are proven: of several faults, each must have landed.

    The share of eligible draws that was hit must agree with the share asked for, by a Clopper-Pearson interval at 99.9 %; a call that was
    still being held when the fault was removed may count as hit.

    Args:
        landings: what was delivered, one a fault; empty where nothing was armed.
        experiment: with what was asked for.
    """
    told = landings or [Landing()] * len(experiment.armings)
    pairs = list(zip(experiment.armings, told, strict=True))
    return [_named(arming, fault, pairs) for arming, landing in pairs for fault in faults_of(landing, arming, experiment)]


def unmet(landings: Sequence[Landing], experiment: Experiment) -> list[str]:
    """Return why a fault could not have hit anything, be it in treatment or in control; empty where each could."""
    pairs = list(zip(experiment.armings, landings or [Landing()] * len(experiment.armings), strict=True))
    return [
        _named(arming, nothing_eligible(experiment, arming, landing), pairs)
        for arming, landing in pairs
        if not landing.eligible + landing.control_eligible
    ]


def _named(arming: Arming, fault: str, among: Sequence[object]) -> str:
    return f"{arming.fault} on {arming.component.name}: {fault}" if len(among) > 1 else fault


def faults_of(landing: Landing, arming: Arming, experiment: Experiment) -> list[str]:
    """Return why one fault's landing proves nothing; see `landing_faults`."""
    if experiment.uncontrolled:
        return _unseen(landing)
    if not landing.eligible:
        return [nothing_eligible(experiment, arming, landing)]
    faults = []
    if landing.control_injected:
        faults.append(f"{landing.control_injected} calls of control units were hit")
    low, _ = clopper_pearson(landing.injected, landing.eligible, _LANDING_ALPHA)
    _, high = clopper_pearson(min(landing.eligible, landing.injected + landing.cut), landing.eligible, _LANDING_ALPHA)
    if not landing.injected:
        faults.append(landing.reason or f"none of {landing.eligible} eligible calls was hit")
    elif high < arming.share * _UNDELIVERED or low > arming.share:
        seen = f"{landing.injected} of {landing.eligible}"
        faults.append(f"{seen} eligible calls were hit, which does not agree with a share of {arming.share:.3g}")
    return faults


def _unseen(landing: Landing) -> list[str]:
    """Return why looks at a component that was struck as a whole prove nothing."""
    if not landing.eligible:
        return [landing.reason or "nobody has looked whether it landed"]
    if landing.injected < _UNDELIVERED * landing.eligible:
        return [f"the effect was seen in {landing.injected} of {landing.eligible} looks: {landing.reason or 'it did not last'}"]
    return []


def nothing_eligible(experiment: Experiment, arming: Arming, landing: Landing) -> str:
    """Say why nothing could be hit."""
    target, fault = arming.component.name, arming.fault
    served = experiment.intent.workload.kind == "http" and not arming.component.via
    if landing.unattributed:
        advice = _outside(arming.component, experiment.intent.workload.kind)
        return f"{landing.unattributed} calls to {target} came from outside any unit ({advice})"
    reason = landing.reason or "nothing landed"
    return f"no call to {target} that {fault} could hit was seen: {reason}{_NOT_STARTED if served else ''}"


def _outside(component: Component, kind: str) -> str:
    """Say what may be the matter with calls from outside any unit."""
    if component.via == "proxy":
        return _PASSED_ON
    if kind == "observe":
        return _OBSERVED
    if kind == "http":
        return _ENTRANCE if component.program else _ADVICE
    return "background work is never faulted"


def sick(outcomes: list[Outcome], experiment: Experiment) -> list[str]:
    """Return why the system or its instrumentation is not well with no fault applied; empty where it is.

    Args:
        outcomes: of units without a fault; those that are overdue among them as failures.
        experiment: with its steady state.
    """
    if not outcomes:
        return ["no unit ended"]
    failed = Counter(outcome.error for outcome in outcomes if outcome.error)
    if sum(failed.values()) > _FAILED * len(outcomes):
        name, _ = failed.most_common(1)[0]
        return [f"control is sick: {sum(failed.values())} of {len(outcomes)} units failed with no fault applied, mostly by {name}"]
    return [*_missing(outcomes), *_unsteady(outcomes, experiment), *_unequal(outcomes, experiment)]


def _unequal(outcomes: list[Outcome], experiment: Experiment) -> list[str]:
    """Return the indicators in which the arms differ although neither has a fault: sick instrumentation."""
    reasons = []
    mine = _one_of_each_user(outcomes) if experiment.intent.blast_radius.audience.by else outcomes
    for name, indicator in experiment.intent.indicators.items():
        if indicator.kind != "ratio":
            continue
        treatment, control = (_bad(mine, name, arm) for arm in ("treatment", "control"))
        if treatment[1] and control[1] and compare_arms(treatment, control, experiment.arming.cohort).sick:
            reasons.append(f"the arms differ in {name} with no fault applied: {treatment} and {control} (bad units, units)")
    return reasons


def _one_of_each_user(outcomes: list[Outcome]) -> list[Outcome]:
    """Return the first outcome of each user: all of a user's are in one arm, and alike."""
    first: dict[str, Outcome] = {}
    for outcome in sorted(outcomes, key=lambda one: one.index):
        first.setdefault(outcome.cluster, outcome)
    return list(first.values())


def _bad(outcomes: list[Outcome], indicator: str, arm: str) -> tuple[int, int]:
    """Return the bad units of one arm, and all of them."""
    mine = [outcome for outcome in outcomes if outcome.arm == arm]
    values = [0.0 if outcome.error else value for outcome in mine if (value := outcome.values.get(indicator)) is not None or outcome.error]
    return sum(1 for value in values if value is not None and value < 1), len(values)


def _missing(outcomes: list[Outcome]) -> list[str]:
    names = sorted({name for outcome in outcomes for name in outcome.values})
    missing = {name: sum(1 for outcome in outcomes if name in outcome.values and outcome.values[name] is None) for name in names}
    return [
        f"the indicator {name} could not be evaluated in {count} of {len(outcomes)} units"
        for name, count in missing.items()
        if count > _MISSING * len(outcomes)
    ]


def _unsteady(outcomes: list[Outcome], experiment: Experiment) -> list[str]:
    """Return the steady-state criteria that these units refute."""
    intent = experiment.intent
    reasons = []
    ordered = sorted(outcomes, key=lambda outcome: outcome.index)
    for criterion in intent.steady_holds:
        one = measure(criterion, intent.indicators)
        test = test_of(one, intent.alpha)
        watch, seen = test.watch(), one.breaches(ordered)
        for place, breach in enumerate(seen):
            watch.see(place, breach)
        if watch.evidence.log_refute >= test.threshold:
            counts = f"{sum(seen):.4g} breaches in {len(seen)} units"
            reasons.append(f"control is sick: {criterion.text} does not hold with no fault applied ({counts})")
    return reasons
