"""How a criterion reads one outcome: as a breach or not, with the breach rate that it allows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from refute.core.criterion import Criterion
from refute.core.intent import Indicator
from refute.core.outcome import Outcome

_BY_QUANTILE = frozenset({"latency", "cost"})


class NoBaselineError(ValueError):
    """A bound that is relative to the baseline, and a baseline that gives none; the message says why."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A criterion made ready to read outcomes.

    A failed or timed-out unit is a breach of everything. A ratio's unit is good where its value is 1; a score counts by what it
    lacks, a deviation by what it is; a latency and a cost are good where they are within the limit.

    Attributes:
        criterion: as stated.
        kind: of its indicator.
        bound: allowed breach rate in (0, 1), or mean badness of a score; for `worse by` on a ratio or a score the allowed difference. Of a
            training metric: the share of runs, or for `worse by` of pairs, that may be beyond the value.
        limit: of a latency (seconds) or a cost (in its indicator's own unit): largest value of a good unit. None where it is
            relative and the baseline is not known yet.
        difference: of a relative latency or cost, what is allowed above the baseline's quantile, in the same unit.
    """

    criterion: Criterion
    kind: str
    bound: float
    limit: float | None = None
    difference: float = 0.0

    @property
    def by_quantile(self) -> bool:
        """Whether a unit is held against a limit, and the share of units above it against the bound."""
        return self.kind in _BY_QUANTILE

    @property
    def relative(self) -> bool:
        """Whether treatment is compared with control unit by unit."""
        return self.criterion.relative and not self.by_quantile and self.kind != "metric"

    def covers(self, journey: str) -> bool:
        """Say whether units of a journey count."""
        return not self.criterion.journey or journey == self.criterion.journey

    def breach(self, outcome: Outcome) -> float | None:
        """Return 1 for a breach, 0 for none, a number between for a score, None where it could not be evaluated.

        Raises:
            NoBaselineError: the limit is relative, and `with_baseline` has not fixed it.
        """
        if outcome.error:
            return 1.0
        value = self._value(outcome)
        if value is None:
            return None
        if self.by_quantile:
            return float(value > self._limit())
        bad_if_high = self.criterion.higher_is_better is False or self.kind == "deviation"
        clipped = min(1.0, max(0.0, value))
        return clipped if bad_if_high else 1.0 - clipped

    def breaches(self, outcomes: Sequence[Outcome]) -> list[float]:
        """Return what is known of the units that count, in their order."""
        read = (self.breach(outcome) for outcome in outcomes if self.covers(outcome.journey))
        return [breach for breach in read if breach is not None]

    def with_baseline(self, outcomes: Sequence[Outcome]) -> Measure:
        """Fix a relative limit at the baseline's quantile plus the allowed difference; change nothing else.

        Args:
            outcomes: of the baseline, both arms, all journeys. A failed unit took longer, and cost more, than any other.

        Raises:
            NoBaselineError: no unit of the journey is known, or so many failed that the quantile is one of them.
        """
        if not (self.by_quantile and self.criterion.relative):
            return self
        known = [math.inf if outcome.error else self._value(outcome) for outcome in outcomes if self.covers(outcome.journey)]
        ordered = sorted(value for value in known if value is not None)
        if not ordered:
            raise NoBaselineError(f"`{self.criterion}` has nothing to be worse than: no unit of the baseline could be read for it")
        rank = max(1, math.ceil(len(ordered) * (1.0 - self.bound) - 1e-9))
        if math.isinf(ordered[rank - 1]):
            raise NoBaselineError(f"`{self.criterion}` has nothing to be worse than: that quantile of the baseline is a failed unit")
        return replace(self, limit=ordered[rank - 1] + self.difference)

    def _value(self, outcome: Outcome) -> float | None:
        return (outcome.cost if self.kind == "cost" else outcome.values).get(self.criterion.indicator)

    def _limit(self) -> float:
        if self.limit is None:
            raise NoBaselineError(f"`{self.criterion}` needs a baseline first")
        return self.limit


def measure(criterion: Criterion, indicators: dict[str, Indicator]) -> Measure:
    """Return how a criterion on a known indicator reads outcomes.

    Args:
        criterion: validated.
        indicators: by name.
    """
    indicator = indicators[criterion.indicator]
    kind = indicator.kind
    if kind in _BY_QUANTILE:
        quantile = criterion.quantile if criterion.quantile is not None else 0.5
        allowed = criterion.value / indicator.price if criterion.kind == "money" and indicator.price else criterion.value
        bound = round(1.0 - quantile, 12)  # 1 - 0.95 is the 5 % that was meant
        return Measure(criterion, kind, bound, None if criterion.relative else allowed, allowed if criterion.relative else 0.0)
    if kind == "metric":
        quantile = criterion.quantile if criterion.quantile is not None else 0.5
        return Measure(criterion, kind, round(quantile if criterion.higher_is_better else 1.0 - quantile, 12))
    if criterion.relative or criterion.higher_is_better is False:
        return Measure(criterion, kind, criterion.value)
    return Measure(criterion, kind, 1.0 - criterion.value)
