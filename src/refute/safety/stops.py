"""Stop conditions: declared bounds that end an experiment at once, tested so that looking at every unit costs no false alarm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from refute.core.criterion import Criterion, Relation
from refute.core.feed import Begun, Feed, Settled
from refute.core.intent import Intent, Journey
from refute.core.measure import Measure, measure
from refute.core.outcome import SPEND, Outcome, Slot
from refute.stats import AbsoluteStop, AbsoluteStopWatch, RelativeStop, RelativeStopWatch

_HOLDS: dict[Relation, Relation] = {"<": ">=", ">": "<=", "worse by >": "worse by <=", "<=": "<=", ">=": ">=", "worse by <=": "worse by <="}
_CAPS = {"loss", "spend"}


@dataclass(frozen=True, slots=True)
class Breach:
    """A stop condition that fired.

    Attributes:
        condition: as stated.
        value: what was seen.
        bound: what is allowed.
        units: treatment units that had ended by then.
    """

    condition: str
    value: float
    bound: float
    units: int


class Stop(Protocol):
    """Looks at all units of an injection so far, in the order of their intended start."""

    def see(self, slots: Sequence[Slot]) -> Breach | None:
        """Return the breach, or None while all is well."""
        ...


class _Alarm:
    """One sequential test with what it reads: treatment against a bound, or treatment against the concurrent control.

    Args:
        one: reads an outcome as a breach.
        watch: the test.
        cohort: share in treatment, in [0, 1].
    """

    def __init__(self, one: Measure, watch: AbsoluteStopWatch | RelativeStopWatch, cohort: float) -> None:
        self._watch = watch
        self._cohort = cohort
        self._feed = Feed(one, control=isinstance(watch, RelativeStopWatch))

    def raised(self, slots: Sequence[Slot]) -> bool:
        """Read what is new; say whether the alarm was ever raised."""
        for step in self._feed.read(slots):
            self._read(step)
        return self._watch.fired

    def _read(self, step: Begun | Settled) -> None:
        if isinstance(step, Begun):
            if isinstance(self._watch, RelativeStopWatch):
                self._watch.begin(treatment=step.treatment, share=self._cohort)
            else:
                self._watch.see(step.place, None)
        elif step.breach is None:
            self._watch.skip(step.place)
        else:
            self._watch.see(step.place, step.breach)


class IndicatorStop:
    """Fires when the condition's opposite is refuted at the given error rate.

    `worse by` on a quantile says two things: more units than the quantile allows are above the baseline's quantile plus the difference,
    and more than in control, where everything may have become slow. Each is tested by itself, and both must be refuted; so the
    error rate stays, whichever of the two is in truth not so.

    Args:
        one: reads an outcome as a breach of what should hold; relative limits are fixed.
        cohort: share in treatment, in [0, 1].
        alpha: error rate of all conditions together.
        conditions: how many there are.
        text: as stated.
    """

    def __init__(self, one: Measure, cohort: float, alpha: float, conditions: int, text: str) -> None:
        """Start with nothing seen."""
        self._measure = one
        self._text = text
        tests: list[AbsoluteStop | RelativeStop] = []
        if not one.relative:
            tests.append(AbsoluteStop(one.bound, alpha, conditions))
        if one.criterion.relative:
            tests.append(RelativeStop(one.bound if one.relative else 0.0, alpha, conditions))
        self._alarms = [_Alarm(one, test.watch(), cohort) for test in tests]

    def see(self, slots: Sequence[Slot]) -> Breach | None:
        """Return the breach, or None while all is well."""
        raised = [alarm.raised(slots) for alarm in self._alarms]
        return self._breach(slots) if all(raised) else None

    def _breach(self, slots: Sequence[Slot]) -> Breach:
        known = self._measure.breaches([slot.outcome for slot in slots if slot.outcome and slot.arm == "treatment"])
        return Breach(self._text, sum(known) / max(1, len(known)), self._measure.bound, len(known))


@dataclass(frozen=True, slots=True)
class LossStop:
    """Fires when the value of answers lost in treatment, beyond what control loses too, passes a cap.

    Attributes:
        cap: in money.
        journeys: with the value of one good answer.
        ratios: indicators that say whether an answer was good.
        text: as stated.
    """

    cap: float
    journeys: Mapping[str, Journey]
    ratios: frozenset[str]
    text: str

    def see(self, slots: Sequence[Slot]) -> Breach | None:
        """Return the breach, or None while all is well."""
        ended = [slot for slot in slots if slot.outcome is not None]
        treated = [slot for slot in ended if slot.arm == "treatment"]
        control = [slot for slot in ended if slot.arm == "control"]
        excess = sum(map(self._lost, treated))
        if control:
            excess -= sum(map(self._lost, control)) * len(treated) / len(control)
        return Breach(self.text, excess, self.cap, len(treated)) if excess > self.cap else None

    def _lost(self, slot: Slot) -> float:
        journey = self.journeys.get(slot.journey)
        if journey is None or journey.value is None or slot.outcome is None:
            return 0.0
        bad = any(slot.outcome.values.get(name) == 0 for name in self.ratios)
        return journey.value.amount if slot.outcome.error or bad else 0.0


@dataclass(frozen=True, slots=True)
class SpendStop:
    """Fires when what the run has spent so far, over all phases, passes a cap.

    Attributes:
        cap: in money.
        spent: running totals by name, kept by the run; `spend` is read.
        text: as stated.
    """

    cap: float
    spent: Mapping[str, float]
    text: str

    def see(self, slots: Sequence[Slot]) -> Breach | None:
        """Return the breach, or None while all is well."""
        value = self.spent.get(SPEND, 0.0)
        treated = sum(1 for slot in slots if slot.outcome is not None and slot.arm == "treatment")
        return Breach(self.text, value, self.cap, treated) if value > self.cap else None


def stops_of(intent: Intent, cohort: float, baseline: Sequence[Outcome]) -> list[Stop]:
    """Return the stop conditions of an injection; all tested ones share alpha. `caps_of` has those of a whole run.

    Args:
        intent: validated.
        cohort: share in treatment, in [0, 1].
        baseline: outcomes of the phase before, by which relative limits are fixed.

    Raises:
        NoBaselineError: a relative condition cannot be watched, so that nothing may be injected.
    """
    tested = [criterion for criterion in intent.stop_when if criterion.indicator not in _CAPS]
    stops: list[Stop] = [_tested(criterion, intent, cohort, len(tested), baseline) for criterion in tested]
    ratios = frozenset(name for name, indicator in intent.indicators.items() if indicator.kind == "ratio")
    losses = (criterion for criterion in intent.stop_when if criterion.indicator == "loss")
    return [*stops, *(LossStop(criterion.value, intent.system.journeys, ratios, criterion.text) for criterion in losses)]


def caps_of(intent: Intent, spent: Mapping[str, float]) -> list[Stop]:
    """Return the stop conditions that bind all phases of a run: caps on what it spends.

    Args:
        intent: validated.
        spent: running totals by name, kept by the run.
    """
    return [SpendStop(criterion.value, spent, criterion.text) for criterion in intent.stop_when if criterion.indicator == SPEND]


def _tested(criterion: Criterion, intent: Intent, cohort: float, conditions: int, baseline: Sequence[Outcome]) -> Stop:
    holds = replace(criterion, relation=_HOLDS[criterion.relation])
    one = measure(holds, intent.indicators).with_baseline(baseline)
    return IndicatorStop(one, cohort, intent.alpha, conditions, criterion.text)
