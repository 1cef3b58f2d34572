"""Mean scores in [0, 1] against a bound, valid at every look.

With Y a score and b the bound, bets on a higher mean multiply by 1 + f(Y-b)/b and bets on a lower one by 1 + f(b-Y)/(1-b); both
have a conditional mean of at most 1 where the mean is on the other side, whatever the distribution and however it drifts. The
mean over f adapts to the variance, as an empirical-Bernstein bound does, and is tighter (Waudby-Smith and Ramdas 2024,
"Estimating means of bounded random variables by betting").
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from refute.stats._bets import Bets, Factors
from refute.stats.eprocess import Evidence, check_open, check_score, first_decision

if TYPE_CHECKING:
    from collections.abc import Sequence

FRACTIONS: Final = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)


@dataclass(frozen=True, slots=True)
class MeanTest:
    """A sequential test of "the mean score is at least (or at most) `bound`".

    Attributes:
        bound: b in (0, 1); scores of another range are scaled to [0, 1] first.
        at_least: True for `>=`, False for `<=`.
        alpha: Probability of a false verdict, a side, in (0, 1).
    """

    bound: float
    at_least: bool = True
    alpha: float = 0.05

    def __post_init__(self) -> None:
        check_open("bound", self.bound)
        check_open("alpha", self.alpha)

    @property
    def threshold(self) -> float:
        """log(1/alpha): where a verdict falls."""
        return -math.log(self.alpha)

    def watch(self) -> MeanWatch:
        """Start a run of this test."""
        return MeanWatch(self)


class MeanWatch:
    """The running state of a `MeanTest`.

    Attributes:
        test: The test that this watches.
        evidence: What is known now.
    """

    __slots__ = ("_bets_high", "_bets_low", "_settled", "evidence", "test")

    def __init__(self, test: MeanTest) -> None:
        self.test = test
        self.evidence = Evidence()
        self._bets_high = Bets(len(FRACTIONS))
        self._bets_low = Bets(len(FRACTIONS))
        self._settled: list[bool] = []

    def see(self, index: int, score: float | None) -> Evidence:
        """Note a unit's score.

        Args:
            index: Place in the order of intended start, from 0. Every place below the highest seen counts as started.
            score: In [0, 1]; None: started, but unresolved.

        Returns:
            The evidence now.

        Raises:
            ValueError: If the unit has a score already, or the score is outside [0, 1].
        """
        self._reach(index)
        if score is None:
            return self.evidence
        check_score(score)
        self._settled[index] = True
        self._bets_high.settle(index, factors_high(score, self.test.bound))
        self._bets_low.settle(index, factors_low(score, self.test.bound))
        return self._update()

    def skip(self, index: int) -> Evidence:
        """Note that a unit turned out not to be eligible, so that it does not count."""
        self._reach(index)
        self._settled[index] = True
        self._bets_high.settle_as_none(index)
        self._bets_low.settle_as_none(index)
        return self._update()

    def _reach(self, index: int) -> None:
        if index < len(self._settled) and self._settled[index]:
            msg = f"unit {index} has a score already: one outcome per unit"
            raise ValueError(msg)
        while len(self._settled) <= index:
            self._settled.append(False)
            self._bets_high.append(factors_high(0.0, self.test.bound))
            self._bets_low.append(factors_low(1.0, self.test.bound))

    def _update(self) -> Evidence:
        high, low = self._bets_high.log_largest, self._bets_low.log_largest
        refute, hold = (low, high) if self.test.at_least else (high, low)
        self.evidence = Evidence(refute, hold, self.evidence.decision or first_decision(refute, hold, self.test.threshold))
        return self.evidence


def mean_interval(scores: Sequence[float], alpha: float = 0.05) -> tuple[float, float]:
    """Confidence sequence for a mean: the bounds that no prefix rejects, at alpha/2 a side, by bisection.

    Args:
        scores: In the order of intended start, each in [0, 1].
        alpha: Probability that the mean is ever outside, both sides together.

    Returns:
        Lower and upper end.

    Raises:
        ValueError: If a score or alpha is out of range.
    """
    check_open("alpha", alpha)
    for score in scores:
        check_score(score)
    return _lower_end(scores, alpha / 2), 1.0 - _lower_end([1.0 - score for score in scores], alpha / 2)


def factors_high(score: float, bound: float) -> Factors:
    """Factors of the bets that the mean is above `bound`."""
    edge = (score - bound) / bound
    return tuple([1.0 + f * edge for f in FRACTIONS])


def factors_low(score: float, bound: float) -> Factors:
    """Factors of the bets that the mean is below `bound`."""
    edge = (bound - score) / (1.0 - bound)
    return tuple([1.0 + f * edge for f in FRACTIONS])


def _lower_end(scores: Sequence[float], alpha: float) -> float:
    """Largest bound that bets on a higher mean reject; their wealth falls as the bound rises."""
    low, high = 0.0, 1.0
    while high - low > 1e-6:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _rejects(scores, middle, alpha) else (low, middle)
    return low


def _rejects(scores: Sequence[float], bound: float, alpha: float) -> bool:
    bets = Bets(len(FRACTIONS))
    for score in scores:
        bets.append(factors_high(score, bound))
        if bets.largest >= 1.0 / alpha:
            return True
    return False
