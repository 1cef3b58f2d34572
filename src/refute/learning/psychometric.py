"""How the breach rate rises with the dose: shapes around a threshold, and what so many units at a dose would say.

A unit at dose x breaches with probability

    below + (above - below) · σ((x - threshold)/slope + offset),    σ(t) = 1/(1 + exp(-t)),

where `offset` makes the rate at the threshold the criterion's bound c: up to the threshold the criterion holds. Slope 0 is a step.
`below` and `above` are the lapse rates of psychophysics (Wichmann and Hill 2001): what breaches with hardly any fault, and what breaches
under one that is too large (less than 1 where the fault hits only a share of the calls).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_SLOPES: Final = ((0.0, 0.4), (0.015, 0.25), (0.05, 0.2), (0.12, 0.15))  # each with its weight: most criteria break rather than bend
_BELOW: Final = ((0.005, 0.45), (0.03, 0.45), (0.1, 0.1))
_ABOVE: Final = ((0.98, 0.8), (0.6, 0.1), (0.3, 0.1))
_LEVELS: Final = 48


@dataclass(frozen=True, slots=True)
class Shape:
    """One way in which the breach rate can rise.

    Attributes:
        bound: c, the rate at the threshold, in (below, above).
        slope: dose over which the odds of a breach change by e; 0 for a step.
        below: rate far below the threshold, in (0, 1).
        above: rate far above it, in (below, 1).
    """

    bound: float
    slope: float
    below: float
    above: float

    def __post_init__(self) -> None:
        if not (0.0 < self.below < self.bound < self.above < 1.0 and self.slope >= 0.0):
            msg = f"a shape needs 0 < below < bound < above < 1 and slope >= 0, got {self!r}"
            raise ValueError(msg)

    def rate(self, excess: float) -> float:
        """Breach rate at a dose that lies `excess` above the threshold; -inf is far below it."""
        if self.slope == 0.0 or math.isinf(excess):
            return self.above if excess > 0.0 else self.below
        share = (self.bound - self.below) / (self.above - self.below)
        logit = excess / self.slope + math.log(share / (1.0 - share))
        return self.below + (self.above - self.below) / (1.0 + math.exp(-max(-700.0, min(700.0, logit))))


def shapes(bound: float, share: float = 1.0) -> tuple[tuple[Shape, float], ...]:
    """Return the shapes that are thought possible for a criterion, with their prior weights, which sum to 1.

    Args:
        bound: c, the largest breach rate that is within the criterion, in (0, 1).
        share: of the calls that the fault hits, in (0, 1]: where it is too large, hardly more than these units breach.

    Raises:
        ValueError: If one is out of range.
    """
    if not (0.0 < bound < 1.0 and 0.0 < share <= 1.0):
        msg = f"need a bound in (0, 1) and a share in (0, 1], got {bound!r} and {share!r}"
        raise ValueError(msg)
    lows = [(rate, weight) for rate, weight in _BELOW if rate < 0.9 * bound] or [(0.4 * bound, 1.0)]
    highs = [(rate * share, weight) for rate, weight in _ABOVE if rate * share > 1.1 * bound] or [(0.5 * (1.0 + bound), 1.0)]
    found = [
        (Shape(bound, slope, low, high), of_slope * of_low * of_high)
        for slope, of_slope in _SLOPES
        for low, of_low in lows
        for high, of_high in highs
    ]
    total = math.fsum(weight for _, weight in found)
    return tuple((shape, weight / total) for shape, weight in found)


def level_of(rate: float) -> int:
    """Return the number of the level that stands for a rate.

    Levels are even on arcsin √rate, where counts have the same noise everywhere, and lie closer than a third of that of 32 units.
    """
    return min(_LEVELS - 1, int(math.asin(math.sqrt(rate)) * 2.0 / math.pi * _LEVELS))


def rate_of(level: int) -> float:
    """Return the rate that a level stands for."""
    return math.sin((level + 0.5) * math.pi / 2.0 / _LEVELS) ** 2


@lru_cache(maxsize=8)
def count_chances(units: int) -> tuple[tuple[float, ...], ...]:
    """Return, for each level, the probability of 0 … `units` breaches."""
    combinations = [math.comb(units, count) for count in range(units + 1)]
    rates = [rate_of(level) for level in range(_LEVELS)]
    return tuple(tuple(ways * rate**count * (1.0 - rate) ** (units - count) for count, ways in enumerate(combinations)) for rate in rates)


def count_mixture(weights: Sequence[float], units: int) -> list[float]:
    """Return Σ weight · probability of 0 … `units` breaches, over the levels."""
    mixture = [0.0] * (units + 1)
    for weight, chances in zip(weights, count_chances(units), strict=True):
        if weight > 1e-12:
            for count, chance in enumerate(chances):
                mixture[count] += weight * chance
    return mixture


def empty_levels() -> list[float]:
    """Return a weight of 0 for each level."""
    return [0.0] * _LEVELS
