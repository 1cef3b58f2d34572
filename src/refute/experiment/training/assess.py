"""What pairs of training runs say of one belief: a sign test, valid at every look.

A claim about a metric is a claim about its median, or another quantile: of all pairs (`worse by <= 2 points`) or of all runs with the
fault (`>= 0.9`). A pair breaches or it does not, and at most the bound's share of all pairs may. Nothing is assumed of how metrics are
distributed, and the evidence is that of any other ratio; see design/training.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from refute.core.criterion import Criterion
from refute.core.intent import Belief, Indicator
from refute.core.measure import measure
from refute.core.outcome import Outcome
from refute.core.training import ABOUT_TROUBLE
from refute.core.units import show_share
from refute.experiment.assess import Count, Look
from refute.experiment.design import Experiment
from refute.stats import RatioTest, futile

_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Pair:
    """Two runs of one seed.

    Attributes:
        control: without the fault.
        treatment: with it.
        landed: whether the fault struck.
    """

    control: Outcome
    treatment: Outcome
    landed: bool


@dataclass(frozen=True, slots=True)
class PairLook(Look):
    """The evidence at one moment, with the pairs behind it.

    Attributes:
        pairs: for each pair that counts: its seed, both values, and whether it breaches.
        allowed: in words.
        middle: median of what the criterion bounds, None where no pair has it.
    """

    pairs: tuple[tuple[str, float | None, float | None, bool], ...] = ()
    allowed: str = ""
    middle: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the fields of a verdict event."""
        told = [dict(zip(("seed", "control", "treatment", "breach"), pair, strict=True)) for pair in self.pairs]
        return {**Look.to_json(self), "pairs": told, "median": self.middle}

    @property
    def counts(self) -> str:
        """The evidence in words."""
        middle = "" if self.middle is None else f", median {self.middle:.4g}"
        return f"{self.treatment.breaches:g} of {self.n} {self.allowed}{middle}; at most {show_share(self.bound)} may"


class PairAssessor:
    """Reads one belief off pairs of runs; once decided it stays decided.

    Args:
        belief: what is tested.
        experiment: with alpha and size.
    """

    def __init__(self, belief: Belief, experiment: Experiment) -> None:
        """Start with no evidence."""
        intent = experiment.intent
        self._criterion = belief.then
        self._indicator = intent.indicators[belief.then.indicator]
        self._planned = experiment.units // 2
        self._test = RatioTest(measure(belief.then, intent.indicators).bound, intent.alpha)
        self._watch = self._test.watch()
        self._known: list[tuple[str, float | None, float | None, bool]] = []
        self._seen = 0
        self.last = PairLook(bound=self._test.bound, threshold=self._test.threshold, allowed=self._words())

    def look(self, pairs: Sequence[Pair], repeat: Count) -> PairLook:
        """Return the evidence so far.

        Args:
            pairs: in the order of their seeds.
            repeat: breaches among pairs of runs without the fault, from the A/A check.
        """
        if self.last.over:
            return self.last
        for place, pair in enumerate(pairs[self._seen :], self._seen):
            self._take(place, pair)
        self._seen = len(pairs)
        evidence, breaches = self._watch.evidence, sum(known[3] for known in self._known)
        treatment, left = Count(len(self._known), float(breaches)), self._planned - self._seen
        self.last = PairLook(
            treatment=treatment, control=repeat, bound=self._test.bound, log_hold=evidence.log_hold, log_refute=evidence.log_refute,
            threshold=self._test.threshold, control_meets=1.0, cases=treatment.n, pairs=tuple(self._known), allowed=self._words(),
            futile=futile(treatment.breaches, treatment.n, treatment.n + left, self._test.bound, self._test.alpha), middle=self._middle(),
        )  # fmt: skip
        return self.last

    def breach(self, control: Outcome, treatment: Outcome) -> bool:
        """Say whether a run breaches: one that failed breaches everything, but what asks whether trouble is told of."""
        if treatment.error and self._indicator.source not in ABOUT_TROUBLE:
            return True
        one, other = control.values.get(self._indicator.name), treatment.values.get(self._indicator.name)
        return beyond(self._criterion, self._indicator, one, other)

    def _take(self, place: int, pair: Pair) -> None:
        if not pair.landed:
            self._watch.skip(place)
            return
        breach = self.breach(pair.control, pair.treatment)
        self._watch.see(place, float(breach))
        values = pair.control.values.get(self._indicator.name), pair.treatment.values.get(self._indicator.name)
        self._known.append((pair.treatment.cluster, *values, breach))

    def _middle(self) -> float | None:
        read = [_bounded(self._criterion, self._indicator, control, treatment) for _, control, treatment, _ in self._known]
        known = [value for value in read if value is not None]
        return median(known) if known else None

    def _words(self) -> str:
        if self._criterion.relative:
            return f"pairs were worse by more than {self._criterion.text.rpartition('<=')[2].strip()}"
        return (
            f"runs did not meet “{self._criterion.text}”" if self._indicator.kind == "metric" else f"runs were not {self._indicator.name}"
        )


def beyond(criterion: Criterion, indicator: Indicator, control: float | None, treatment: float | None) -> bool:
    """Say whether a value, or for `worse by` its distance from control's, is beyond what a criterion allows.

    Args:
        criterion: of a belief.
        indicator: that it reads.
        control: value of the run without the fault.
        treatment: value of the run with it; None breaches.
    """
    value = _bounded(criterion, indicator, control, treatment)
    if value is None:
        return True
    if indicator.kind == "ratio":
        return value < 1.0 if criterion.higher_is_better else value > 0.0
    upper = criterion.relative or not indicator.higher
    return value > criterion.value + _ROUNDING if upper else value < criterion.value - _ROUNDING


def _bounded(criterion: Criterion, indicator: Indicator, control: float | None, treatment: float | None) -> float | None:
    """Return what a criterion bounds: how much worse than control, or the value itself."""
    if treatment is None or not criterion.relative:
        return treatment
    if control is None:
        return None
    worse = control - treatment if indicator.higher else treatment - control
    return worse if math.isfinite(worse) else None
