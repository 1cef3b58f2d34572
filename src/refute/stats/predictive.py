"""What a claim predicts: breach counts before they are seen, when opinion and shape are kept apart.

The claim "the breach rate θ stays within c" is believed with confidence z. Given that it is true, θ follows a base Beta(a, b) cut
to θ < c; given that it is false, the same base cut to θ > c. The base has little weight (a + b = 4) and puts half of itself on
either side of c, so it says nothing about z.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from refute.stats.beta import log1mexp, log_beta, log_betainc
from refute.stats.eprocess import check_open

BASE_WEIGHT = 4.0


@dataclass(frozen=True, slots=True)
class Base:
    """Shape of the breach rate around a bound, free of opinion.

    Attributes:
        a: First shape of the beta distribution.
        b: Second shape.
        bound: c in (0, 1).
    """

    a: float
    b: float
    bound: float

    def log_odds_shift(self, breaches: float, units: float) -> float:
        """log(I/(1-I)) with I = I_c(a+s, b+n-s): what the counts add to the log-odds of the claim."""
        return self._log_below(breaches, units) - self._log_above(breaches, units)

    def log_likelihoods(self, breaches: float, units: float) -> tuple[float, float]:
        """Log probability of one sequence of outcomes with s breaches in n units, given that the claim is true and that it is false."""
        common = log_beta(self.a + breaches, self.b + units - breaches) - log_beta(self.a, self.b)
        true = common + self._log_below(breaches, units) - self._log_below(0.0, 0.0)
        return true, common + self._log_above(breaches, units) - self._log_above(0.0, 0.0)

    def _log_below(self, breaches: float, units: float) -> float:
        return _cached_log_betainc(self.a + breaches, self.b + units - breaches, self.bound)

    def _log_above(self, breaches: float, units: float) -> float:
        below = self._log_below(breaches, units)
        if below < -0.1:
            return log1mexp(below)
        return _cached_log_betainc(self.b + units - breaches, self.a + breaches, 1.0 - self.bound)


@lru_cache(maxsize=1024)
def balanced_base(bound: float, weight: float = BASE_WEIGHT) -> Base:
    """The base with a + b = `weight` and I_c(a, b) = ½, by bisection.

    Raises:
        ValueError: If the bound is not within (0, 1) or the weight is not positive.
    """
    check_open("bound", bound)
    if weight <= 0.0:
        msg = f"weight must be > 0, got {weight!r}"
        raise ValueError(msg)
    low, high, target = 0.0, weight, math.log(0.5)
    for _ in range(200):
        middle = 0.5 * (low + high)
        if middle in {low, high}:
            break
        if log_betainc(middle, weight - middle, bound) > target:
            low = middle
        else:
            high = middle
    a = 0.5 * (low + high)
    return Base(a, weight - a, bound)


_cached_log_betainc = lru_cache(maxsize=1 << 15)(log_betainc)
