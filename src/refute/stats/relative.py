"""Treatment against concurrent control: "worse by at most d", valid at every look.

With A whether a unit is in treatment (probability r), Y its breach or any badness in [0, 1], and m a mean of the past,

    X = A·(Y-m)/r - (1-A)·(Y-m)/(1-r)

has conditional mean P(breach | treatment) - P(breach | control), whatever m is, because r is the hash's probability. Bets against "worse by
at most d" multiply by 1 + λ(X-d), λ = f/(d + max(m/r, (1-m)/(1-r))), which stays positive; the evidence is the mean over
f ∈ {.02 … .5}. The mirror bets against "worse by at least d" (Waudby-Smith and Ramdas 2024, with Horvitz-Thompson scores).

m must be known before the unit's outcome can be, or late outcomes would change past bets: it is fixed in `begin`, from the
outcomes known by then. The share r is given with each unit, so a ramp needs no special care: bets placed at the new share simply
follow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from refute.stats._bets import Bets, Factors
from refute.stats.eprocess import Evidence, check_open, check_score, first_decision

_FRACTIONS: Final = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5)
_PRIOR_WEIGHT: Final = 4.0


@dataclass(frozen=True, slots=True)
class RelativeTest:
    """A sequential test of "treatment breaches at most `bound` more than control".

    Attributes:
        bound: d, a difference of rates (points / 100) or of mean scores, in [0, 1).
        alpha: Probability of a false verdict, a side, in (0, 1).
        baseline: Breach rate to expect before any outcome is known; only power depends on it.
    """

    bound: float
    alpha: float = 0.05
    baseline: float = 0.1

    def __post_init__(self) -> None:
        if not 0.0 <= self.bound < 1.0:
            msg = f"bound must be within [0, 1), got {self.bound!r}"
            raise ValueError(msg)
        check_open("alpha", self.alpha)
        check_score(self.baseline)

    @property
    def threshold(self) -> float:
        """log(1/alpha): where a verdict falls."""
        return -math.log(self.alpha)

    def watch(self) -> RelativeWatch:
        """Start a run of this test."""
        return RelativeWatch(self)


class RelativeWatch:
    """The running state of a `RelativeTest`.

    Attributes:
        test: The test that this watches.
        evidence: What is known now.
    """

    __slots__ = ("_hold", "_refute", "_units", "evidence", "test")

    def __init__(self, test: RelativeTest) -> None:
        self.test = test
        self.evidence = Evidence()
        self._units = PastUnits(test.baseline)
        self._refute = Bets(len(_FRACTIONS))
        self._hold = Bets(len(_FRACTIONS))

    def begin(self, *, treatment: bool, share: float) -> int:
        """Note that the next unit, in the order of intended start, starts now.

        Call it when the unit is due, before its outcome can be known, for both arms.

        Args:
            treatment: Whether the unit sees the fault.
            share: r, the probability with which the hash puts a unit into treatment, in (0, 1).

        Returns:
            The unit's index, for `see`.
        """
        index = self._units.begin(treatment=treatment, share=share)
        self._refute.append(self._refute_factors(index, 0.0 if treatment else 1.0))
        self._hold.append(self._hold_factors(index, 1.0 if treatment else 0.0))
        return index

    def see(self, index: int, breach: float) -> Evidence:
        """Note an outcome: True, False or a badness in [0, 1].

        Raises:
            ValueError: If the unit has not begun or has an outcome already, or the outcome is outside [0, 1].
        """
        check_score(breach)
        self._units.settle(index, float(breach))
        self._refute.settle(index, self._refute_factors(index, breach))
        self._hold.settle(index, self._hold_factors(index, breach))
        return self._update()

    def skip(self, index: int) -> Evidence:
        """Note that a unit turned out not to be eligible, so that it does not count."""
        self._units.settle(index, None)
        self._refute.settle_as_none(index)
        self._hold.settle_as_none(index)
        return self._update()

    def _refute_factors(self, index: int, breach: float) -> Factors:
        return self._units.worse_factors(index, breach, self.test.bound)

    def _hold_factors(self, index: int, breach: float) -> Factors:
        treatment, share, mean = self._units.placed[index]
        largest = max((1.0 - mean) / share, mean / (1.0 - share)) - self.test.bound
        edge = (self.test.bound - contrast(breach, mean, share, treatment=treatment)) / largest
        return tuple([1.0 + f * edge for f in _FRACTIONS])

    def _update(self) -> Evidence:
        refute, hold = self._refute.log_largest, self._hold.log_largest
        decision = self.evidence.decision or first_decision(refute, hold, self.test.threshold)
        self.evidence = Evidence(refute, hold, decision)
        return self.evidence


class PastUnits:
    """Where each unit stands and the mean that was known when it began.

    Attributes:
        placed: For each unit whether it is in treatment, the share r, and m.
    """

    __slots__ = ("_count", "_settled", "_total", "placed")

    def __init__(self, baseline: float) -> None:
        self.placed: list[tuple[bool, float, float]] = []
        self._settled: list[bool] = []
        self._total = baseline * _PRIOR_WEIGHT
        self._count = _PRIOR_WEIGHT

    def begin(self, *, treatment: bool, share: float) -> int:
        """Place the next unit, with the mean of the outcomes known now."""
        check_open("share", share)
        self.placed.append((treatment, share, self._total / self._count))
        self._settled.append(False)
        return len(self.placed) - 1

    def settle(self, index: int, breach: float | None) -> None:
        """Note an outcome for the means to come; None where the unit does not count."""
        if not 0 <= index < len(self.placed):
            msg = f"unit {index} has not begun: call begin() in the order of intended start, {len(self.placed)} have"
            raise ValueError(msg)
        if self._settled[index]:
            msg = f"unit {index} has an outcome already: one outcome per unit"
            raise ValueError(msg)
        self._settled[index] = True
        if breach is not None:
            self._total += breach
            self._count += 1.0

    def worse_factors(self, index: int, breach: float, bound: float) -> Factors:
        """Factors of the bets that treatment is worse by more than `bound`."""
        treatment, share, mean = self.placed[index]
        largest = bound + max(mean / share, (1.0 - mean) / (1.0 - share))
        edge = (contrast(breach, mean, share, treatment=treatment) - bound) / largest
        return tuple([1.0 + f * edge for f in _FRACTIONS])

    @staticmethod
    def strategies() -> int:
        """How many bets run side by side."""
        return len(_FRACTIONS)


def contrast(breach: float, mean: float, share: float, *, treatment: bool) -> float:
    """X, the unit's unbiased contribution to the difference of treatment and control."""
    return (breach - mean) / share if treatment else -(breach - mean) / (1.0 - share)
