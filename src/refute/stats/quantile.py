"""Quantiles without assumptions, and how a quantile criterion becomes a breach rate.

`latency p95 <= 4 s` says that at most 5 % of the units take longer than 4 s: a breach is a unit that took longer, failed or timed
out, and the bound on the breach rate is 5 %. `latency p95 worse by <= 1 s` becomes absolute at the baseline's p95 plus 1 s,
before anything is injected.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from refute.stats.beta import betainc
from refute.stats.eprocess import check_open

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class QuantileEstimate:
    """A sample quantile with a distribution-free interval.

    Attributes:
        value: The order statistic of rank ⌈n·p⌉.
        low: Lower end; -inf where the sample is too small to bound it.
        high: Upper end; inf where the sample is too small to bound it.
        units: n.
    """

    value: float
    low: float
    high: float
    units: int


@dataclass(frozen=True, slots=True)
class QuantileCriterion:
    """A bound on a quantile, as a bound on a breach rate.

    Attributes:
        limit: A unit above it breaches (or below it, if `at_least`), in the indicator's unit.
        bound: c, the largest breach rate that meets the criterion.
        at_least: True for a criterion such as `score p05 >= 0.4`.
    """

    limit: float
    bound: float
    at_least: bool = False

    @classmethod
    def absolute(cls, quantile: float, limit: float, *, at_least: bool = False) -> QuantileCriterion:
        """From `p95 <= limit` (or `p05 >= limit`), with `quantile` in (0, 1)."""
        check_open("quantile", quantile)
        # written out to 12 digits, so that 1 - 0.95 is the 5 % that a user meant
        return cls(limit, quantile if at_least else round(1.0 - quantile, 12), at_least)

    @classmethod
    def worse_by(cls, quantile: float, difference: float, baseline: Sequence[float], *, at_least: bool = False) -> QuantileCriterion:
        """From `p95 worse by <= difference`, fixed at the quantile of the baseline's values (failures as `math.inf`).

        Raises:
            ValueError: If the baseline is empty or its quantile is itself a failure.
        """
        estimate = sample_quantile(baseline, quantile).value
        if not math.isfinite(estimate):
            msg = f"the baseline's p{100 * quantile:g} is a failed unit ({estimate}): there is nothing to be worse than"
            raise ValueError(msg)
        return cls.absolute(quantile, estimate - difference if at_least else estimate + difference, at_least=at_least)

    def breaches(self, value: float | None) -> bool:
        """Whether a unit breaches; None (or NaN) is a failed or timed-out unit, which always does."""
        if value is None or math.isnan(value):
            return True
        return value < self.limit if self.at_least else value > self.limit


def sample_quantile(values: Sequence[float], quantile: float, alpha: float = 0.05) -> QuantileEstimate:
    """Order-statistic quantile with its interval (David and Nagaraja 2003, §7.1); one look at a fixed size.

    The number of values at or below the true quantile is Binomial(n, p); ranks are cut where its tails exceed alpha/2.

    Args:
        values: One a unit, any order; a failed unit as `math.inf`.
        quantile: p in (0, 1).
        alpha: Probability that the interval misses the quantile, at most.

    Returns:
        The estimate, in the unit of the values.

    Raises:
        ValueError: If there are no values, or an argument is out of range.
    """
    check_open("quantile", quantile)
    check_open("alpha", alpha)
    if not values:
        raise ValueError("a quantile needs at least one value, got none")
    ordered, n = sorted(values), len(values)
    rank = max(1, math.ceil(n * quantile - 1e-9))
    lower = _last_rank(n, quantile, alpha / 2)
    upper = n + 1 - _last_rank(n, 1.0 - quantile, alpha / 2)
    low = ordered[lower - 1] if lower >= 1 else -math.inf
    high = ordered[upper - 1] if upper <= n else math.inf
    return QuantileEstimate(ordered[rank - 1], low, high, n)


def _last_rank(n: int, p: float, tail: float) -> int:
    """Largest rank k with P(Binomial(n, p) < k) ≤ tail; 0 if there is none."""
    low, high = 0, n
    while low < high:
        middle = (low + high + 1) // 2
        below = betainc(n - middle + 1, middle, 1.0 - p)  # P(Binomial(n, p) ≤ middle - 1)
        low, high = (middle, high) if below <= tail else (low, middle - 1)
    return low
