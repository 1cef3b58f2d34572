"""Stop conditions: declared bounds that end an experiment at once, tested so that looking at every unit costs no false alarm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from refute.core.criterion import Criterion, Relation
from refute.core.feed import Begun, Feed, Settled
from refute.core.intent import Intent, Journey
from refute.core.measure import Measure, measure
from refute.core.outcome import SPEND, Outcome, Slot
from refute.stats import AbsoluteStop, RelativeStop, RelativeStopWatch

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

    @property
    def text(self) -> str:
        """Return the condition as stated."""
        ...

    @property
    def nearness(self) -> float:
        """How near it is to firing by what was seen last: 0 where nothing speaks for it, 1 where it fires."""
        ...

    def see(self, slots: Sequence[Slot]) -> Breach | None:
        """Return the breach, or None while all is well."""
        ...


class _Alarm:
    """One sequential test with what it reads: treatment against a bound, or treatment against the concurrent control.

    Against a bound every unit counts: it says what happens to those who are in treatment. Against control one unit of each user does.

    Args:
        one: reads an outcome as a breach.
        test: the sequential test.
        step: the step of a ramp that it reads; None for all.
    """

    def __init__(self, one: Measure, test: AbsoluteStop | RelativeStop, step: int | None = None) -> None:
        self._watch = test.watch()
        self._threshold = test.threshold
        compared = isinstance(test, RelativeStop)
        self._feed = Feed(one, control=compared, independent=compared, step=step)

    @property
    def nearness(self) -> float:
        """How far the evidence has come now, on the way to the alarm: 1 where it is raised."""
        return 1.0 if self._watch.fired else max(0.0, self._watch.log_now / self._threshold)

    def raised(self, slots: Sequence[Slot]) -> bool:
        """Read what is new; say whether the alarm was ever raised."""
        for step in self._feed.read(slots):
            self._read(step)
        return self._watch.fired

    def _read(self, step: Begun | Settled) -> None:
        if isinstance(step, Begun):
            if isinstance(self._watch, RelativeStopWatch):
                self._watch.begin(treatment=step.treatment, share=step.share)
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
        alpha: error rate of all conditions together.
        conditions: how many there are.
        text: as stated.
        steps: of a ramp under which a user's units stay in one arm; 1 otherwise. Each then has a comparison of its own, in which every user
            is new, and they share alpha.
    """

    def __init__(self, one: Measure, alpha: float, conditions: int, text: str, steps: int = 1) -> None:
        """Start with nothing seen."""
        self._measure = one
        self.text = text
        self._alarms: list[list[_Alarm]] = []
        if not one.relative:
            self._alarms.append([_Alarm(one, AbsoluteStop(one.bound, alpha, conditions))])
        if one.criterion.relative:
            test = RelativeStop(one.bound if one.relative else 0.0, alpha, conditions * steps)
            self._alarms.append([_Alarm(one, test, step if steps > 1 else None) for step in range(steps)])

    def see(self, slots: Sequence[Slot]) -> Breach | None:
        """Return the breach, or None while all is well."""
        raised = [any(alarm.raised(slots) for alarm in alarms) for alarms in self._alarms]
        return self._breach(slots) if all(raised) else None

    @property
    def nearness(self) -> float:
        """How far the evidence has come now, on the way to the alarm."""
        return min(max(alarm.nearness for alarm in alarms) for alarms in self._alarms)

    def _breach(self, slots: Sequence[Slot]) -> Breach:
        known = self._measure.breaches([slot.outcome for slot in slots if slot.outcome and slot.arm == "treatment"])
        return Breach(self.text, sum(known) / max(1, len(known)), self._measure.bound, len(known))


@dataclass(frozen=True, slots=True)
class LossStop:
    """Fires when the value of answers lost in treatment, beyond what control loses too, passes a cap.

    Attributes:
        cap: in money.
        journeys: with the value of one good answer.
        ratios: indicators that say whether an answer was good.
        text: as stated.
        seen: the excess at the last look.
    """

    cap: float
    journeys: Mapping[str, Journey]
    ratios: frozenset[str]
    text: str
    seen: dict[str, float] = field(default_factory=dict)

    def see(self, slots: Sequence[Slot]) -> Breach | None:
        """Return the breach, or None while all is well."""
        ended = [slot for slot in slots if slot.outcome is not None]
        excess = sum(self._excess([slot for slot in ended if slot.step == step]) for step in {slot.step for slot in ended})
        self.seen["excess"] = excess
        treated = sum(slot.arm == "treatment" for slot in ended)
        return Breach(self.text, excess, self.cap, treated) if excess > self.cap else None

    @property
    def nearness(self) -> float:
        """How much of the cap is lost."""
        return min(1.0, max(0.0, self.seen.get("excess", 0.0) / self.cap)) if self.cap else 0.0

    def _excess(self, ended: list[Slot]) -> float:
        """Return what one step of a ramp has lost beyond what control would have; its share of treatment is its own."""
        treated = [slot for slot in ended if slot.arm == "treatment"]
        control = [slot for slot in ended if slot.arm == "control"]
        lost = sum(map(self._lost, treated))
        return lost - sum(map(self._lost, control)) * len(treated) / len(control) if control else lost

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

    @property
    def nearness(self) -> float:
        """How much of the cap is spent."""
        return min(1.0, self.spent.get(SPEND, 0.0) / self.cap) if self.cap else 0.0

    def see(self, slots: Sequence[Slot]) -> Breach | None:
        """Return the breach, or None while all is well."""
        value = self.spent.get(SPEND, 0.0)
        treated = sum(1 for slot in slots if slot.outcome is not None and slot.arm == "treatment")
        return Breach(self.text, value, self.cap, treated) if value > self.cap else None


def stops_of(intent: Intent, baseline: Sequence[Outcome], steps: int = 1) -> list[Stop]:
    """Return the stop conditions of an injection; all tested ones share alpha. `caps_of` has those of a whole run.

    Args:
        intent: validated.
        baseline: outcomes of the phase before, by which relative limits are fixed.
        steps: of the ramp.

    Raises:
        NoBaselineError: a relative condition cannot be watched, so that nothing may be injected.
    """
    tested = [criterion for criterion in intent.stop_when if criterion.indicator not in _CAPS]
    stops: list[Stop] = [_tested(criterion, intent, len(tested), baseline, steps) for criterion in tested]
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


def _tested(criterion: Criterion, intent: Intent, conditions: int, baseline: Sequence[Outcome], steps: int) -> Stop:
    holds = replace(criterion, relation=_HOLDS[criterion.relation])
    one = measure(holds, intent.indicators).with_baseline(baseline)
    own = steps if intent.blast_radius.audience.by else 1
    return IndicatorStop(one, intent.alpha, conditions, criterion.text, own)
