"""Wealth of a mixture of bets over ordered units whose outcomes arrive in any order.

Each strategy starts with a share of one unit of wealth and multiplies it by a factor of conditional mean ≤ 1 for each unit. Unresolved
units carry the factors of their worst outcome; the largest wealth over the prefixes is the evidence.

With restarts, half of the wealth starts at the first unit and ½/(i(i+1)) joins at unit i, so that a change late in a run is not paid for
with everything lost before it (an e-detector of total wealth 1: Shin, Ramdas and Rinaldo 2023).
"""

from __future__ import annotations

import math
from typing import TypeAlias

Factors: TypeAlias = tuple[float, ...]

_CEILING = 1e300


class Bets:
    """Evidence from bets.

    Attributes:
        largest: Largest wealth over all prefixes, ≥ 1.
    """

    __slots__ = ("_factors", "_restarts", "_strategies", "_wealth", "largest")

    def __init__(self, strategies: int, *, restarts: bool = False) -> None:
        self.largest = 1.0
        self._strategies = strategies
        self._restarts = restarts
        self._factors: list[Factors] = []
        self._wealth: list[Factors] = []

    @property
    def log_largest(self) -> float:
        """Natural logarithm of the largest wealth."""
        return math.log(self.largest)

    @property
    def log_now(self) -> float:
        """Natural logarithm of the wealth after the last unit, with unresolved ones at their worst; it falls again where units are good."""
        if not self._wealth:
            return 0.0
        reserve = self._joining(len(self._wealth) - 1)[1]
        return math.log(max(sum(self._wealth[-1]) / self._strategies + reserve, 1 / _CEILING))

    def append(self, worst: Factors) -> None:
        """Add the next unit, unresolved."""
        self._factors.append(worst)
        self._wealth.append(worst)
        self._play(len(self._wealth) - 1)

    def settle(self, index: int, factors: Factors) -> None:
        """Replace a unit's worst case by what happened, and all wealth from there on."""
        self._factors[index] = factors
        for later in range(index, len(self._factors)):
            self._play(later)

    def settle_as_none(self, index: int) -> None:
        """The unit turned out not to count."""
        self.settle(index, (1.0,) * self._strategies)

    def _play(self, index: int) -> None:
        joining, reserve = self._joining(index)
        before = self._wealth[index - 1] if index else (0.0,) * self._strategies
        wealth = tuple([min((w + joining) * f, _CEILING) for w, f in zip(before, self._factors[index], strict=True)])
        self._wealth[index] = wealth
        total = sum(wealth) / self._strategies + reserve
        self.largest = max(self.largest, total)

    def _joining(self, index: int) -> tuple[float, float]:
        """Wealth that starts with this unit, and what is kept for later starts."""
        if not self._restarts:
            return (0.0 if index else 1.0), 0.0
        if index == 0:
            return 0.5, 0.5
        return 0.5 / (index * (index + 1)), 0.5 / (index + 1)
