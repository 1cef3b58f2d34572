"""How a criterion reads one outcome: as a breach or not, with the breach rate that it allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from refute.core.criterion import Criterion
from refute.core.intent import Indicator
from refute.core.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Measure:
    """A criterion made ready to read outcomes.

    A failed or timed-out unit is a breach of everything. A ratio's unit is good where its value is 1; a latency's where it is
    within the bound.

    Attributes:
        criterion: as stated.
        kind: of its indicator.
        bound: allowed breach rate in (0, 1); for `worse by` on a ratio or a score the allowed difference.
        limit_s: latency bound in seconds; for `worse by` on a quantile known only after the baseline.
    """

    criterion: Criterion
    kind: str
    bound: float
    limit_s: float | None = None

    @property
    def relative(self) -> bool:
        """Whether treatment is compared with control unit by unit."""
        return self.criterion.relative and self.kind != "latency"

    def breach(self, outcome: Outcome) -> float | None:
        """Return 1 for a breach, 0 for none, a number between for a score, None where it could not be evaluated."""
        if outcome.error:
            return 1.0
        value = outcome.values.get(self.criterion.indicator)
        if value is None:
            return None
        if self.kind == "latency":
            return float(value > (self.limit_s if self.limit_s is not None else self.criterion.value))
        bad_if_high = self.criterion.higher_is_better is False
        clipped = min(1.0, max(0.0, value))
        return clipped if bad_if_high else 1.0 - clipped

    def with_baseline(self, outcomes: Sequence[Outcome]) -> Measure:
        """Fix a relative latency bound at the baseline's quantile plus the allowed difference.

        Args:
            outcomes: of the baseline, both arms.
        """
        if self.kind != "latency" or not self.criterion.relative:
            return self
        latencies = sorted(outcome.latency_s for outcome in outcomes if not outcome.error)
        quantile = self.criterion.quantile or 0.5
        place = min(len(latencies) - 1, int(quantile * len(latencies)))
        return replace(self, limit_s=(latencies[place] if latencies else 0.0) + self.criterion.value)


def measure(criterion: Criterion, indicators: dict[str, Indicator]) -> Measure:
    """Return how a criterion on a known indicator reads outcomes.

    Args:
        criterion: validated.
        indicators: by name.
    """
    kind = indicators[criterion.indicator].kind
    if kind == "latency":
        quantile = criterion.quantile if criterion.quantile is not None else 0.5
        return Measure(criterion, kind, 1.0 - quantile, None if criterion.relative else criterion.value)
    if criterion.relative or criterion.higher_is_better is False:
        return Measure(criterion, kind, criterion.value)
    return Measure(criterion, kind, 1.0 - criterion.value)
