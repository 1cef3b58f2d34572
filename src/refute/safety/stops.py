"""Stop conditions: declared bounds that end an experiment at once, tested so that looking at every unit costs no false alarm."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from refute.core.criterion import Criterion, Relation
from refute.core.intent import Intent, Journey
from refute.core.measure import Measure, measure
from refute.core.outcome import Slot
from refute.stats import RatioTest, RelativeTest

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


@dataclass(frozen=True, slots=True)
class IndicatorStop:
    """Fires when the condition's opposite is refuted at the given error rate.

    Attributes:
        measure: reads an outcome as a breach of what should hold.
        cohort: share in treatment.
        alpha: error rate of this condition: the run's divided among all.
        text: as stated.
    """

    measure: Measure
    cohort: float
    alpha: float
    text: str

    def see(self, slots: Sequence[Slot]) -> Breach | None:
        """Return the breach, or None while all is well."""
        journey = self.measure.criterion.journey
        mine = [slot for slot in slots if not journey or slot.journey == journey]
        if self.measure.relative:
            series = [(slot.arm == "treatment", self._breach(slot)) for slot in mine]
            _, log_refute = RelativeTest(self.measure.bound, self.cohort, self.alpha).look(series)
        else:
            mine = [slot for slot in mine if slot.arm == "treatment"]
            _, log_refute = RatioTest(self.measure.bound, self.alpha).look([self._breach(slot) for slot in mine])
        if log_refute < -math.log(self.alpha):
            return None
        known = [breach for slot in mine if slot.arm == "treatment" and (breach := self._breach(slot)) is not None]
        return Breach(self.text, sum(known) / max(1, len(known)), self.measure.bound, len(known))

    def _breach(self, slot: Slot) -> float | None:
        return None if slot.outcome is None else self.measure.breach(slot.outcome)


@dataclass(frozen=True, slots=True)
class LossStop:
    """Fires when the value of answers lost in treatment, beyond what control loses too, passes a cap.

    Attributes:
        cap: in money.
        journeys: with the value of one good answer.
        text: as stated.
    """

    cap: float
    journeys: Mapping[str, Journey]
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
        ratios = [value for value in slot.outcome.values.values() if value is not None and value == 0]
        return journey.value.amount if slot.outcome.error or ratios else 0.0


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
        value = self.spent.get("spend", 0.0)
        return Breach(self.text, value, self.cap, len(slots)) if value > self.cap else None


def stops_of(intent: Intent, cohort: float, spent: Mapping[str, float]) -> list[Stop]:
    """Return the stop conditions of an intent; each tested one gets alpha/k.

    Args:
        intent: validated.
        cohort: share in treatment, in [0, 1].
        spent: running totals, kept by the run.
    """
    tested = [criterion for criterion in intent.stop_when if criterion.indicator not in _CAPS]
    stops: list[Stop] = [_tested(criterion, intent, cohort, intent.alpha / len(tested)) for criterion in tested]
    for criterion in intent.stop_when:
        if criterion.indicator == "loss":
            stops.append(LossStop(criterion.value, intent.system.journeys, criterion.text))
        elif criterion.indicator == "spend":
            stops.append(SpendStop(criterion.value, spent, criterion.text))
    return stops


def _tested(criterion: Criterion, intent: Intent, cohort: float, alpha: float) -> Stop:
    holds = replace(criterion, relation=_HOLDS[criterion.relation])
    return IndicatorStop(measure(holds, intent.indicators), cohort, alpha, criterion.text)
