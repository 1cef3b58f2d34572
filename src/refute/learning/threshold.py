"""How much of a fault does a criterion bear? Adaptive choice of the dose, and what the answers say of the threshold.

A grid posterior over thresholds and shapes (`learning/psychometric.py`). `ask` names the dose that teaches most, in bits about "does it
hold at this dose?", per (c₀ + λR) where R is the expected overshoot Σ P(threshold)·max(0, dose - threshold). The harm of what is too
much grows with how much too much it is, so the search comes from below: carefully where little is known, boldly near the end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate
from typing import Final, TypeAlias

from refute.learning.psychometric import Shape, count_mixture, empty_levels, level_of, rate_of, shapes
from refute.learning.value import Prices, score

STEPS: Final = 256
_MOST_CANDIDATES: Final = 32
_MOST_UNITS: Final = 32  # more units tell hardly more about a dose, and the sum over counts grows with them
_NEGLIGIBLE: Final = 1e-9
CAREFUL: Final = Prices(fixed=1.0, risk=125.0)


@dataclass(frozen=True, slots=True)
class _Stretches:
    """Stretches of distance between threshold and dose on which a shape's rate stays on one level: (from, to, level).

    A distance is counted in cells, from `STEPS` below the dose upwards, so that `STEPS` is the dose itself.

    Attributes:
        below: thresholds below the dose.
        above: thresholds above it.
        beyond: level where the threshold lies beyond the largest dose.
    """

    below: tuple[tuple[int, int, int], ...]
    above: tuple[tuple[int, int, int], ...]
    beyond: int


_Sums: TypeAlias = tuple[_Stretches, list[float]]  # of a shape, and running sums of its weights with a margin of `STEPS` cells on each side


@dataclass(frozen=True, slots=True)
class Interval:
    """A credible interval of doses.

    Attributes:
        low: lower end.
        middle: posterior median, the estimate.
        high: upper end; inf where the threshold may lie beyond the largest dose.
    """

    low: float
    middle: float
    high: float


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """The breach rate to be expected at one dose.

    Attributes:
        dose: in [0, 1].
        rate: posterior mean.
        low: lower end of the band.
        high: upper end.
    """

    dose: float
    rate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Threshold:
    """What is known of the largest dose that a criterion bears. `tell` returns a new one.

    Attributes:
        shapes: ways in which the rate can rise.
        weights: for each shape the posterior of each threshold: `STEPS` cells of [0, 1], then one for "beyond the largest dose".
    """

    shapes: tuple[Shape, ...]
    weights: tuple[tuple[float, ...], ...]

    @classmethod
    def believed(cls, bound: float, prior: Sequence[float] | None = None, *, share: float = 1.0) -> Threshold:
        """Start from a prior.

        Args:
            bound: c, the largest breach rate within the criterion, in (0, 1).
            prior: of each cell, as from `prior_of`; None for an even one on [0, 1].
            share: of the calls that the fault hits, in (0, 1].

        Raises:
            ValueError: If bound or share is out of range, or the prior is not one of `STEPS` + 1 weights ≥ 0 with a positive sum.
        """
        cells = [1.0] * STEPS + [0.0] if prior is None else list(prior)
        total = math.fsum(cells)
        if len(cells) != STEPS + 1 or min(cells) < 0.0 or not 0.0 < total < math.inf:
            raise ValueError(f"a prior has {STEPS + 1} weights >= 0 with a positive sum")
        possible = shapes(bound, share)
        rows = tuple(tuple(cell / total * weight for cell in cells) for _, weight in possible)
        return cls(tuple(shape for shape, _ in possible), rows)

    def tell(self, dose: float, breaches: float, units: float) -> Threshold:
        """Return what is known after more units at a dose; control units are units at dose 0.

        Args:
            dose: that they got, in [0, 1]; read to the nearest 1/`STEPS`.
            breaches: how many of them breached.
            units: how many there were; fractions where they count for less.

        Raises:
            ValueError: If dose or counts are out of range.
        """
        if not (0.0 <= dose <= 1.0 and 0 <= breaches <= units):
            msg = f"need a dose within [0, 1] and 0 <= breaches <= units, got {dose!r}, {breaches!r} and {units!r}"
            raise ValueError(msg)
        logs = [_log_likelihoods(shape, round(dose * STEPS), breaches, units) for shape in self.shapes]
        top = max(map(max, logs))
        rows = [
            [weight * math.exp(value - top) for weight, value in zip(row, values, strict=True)]
            for row, values in zip(self.weights, logs, strict=True)
        ]
        total = math.fsum(map(math.fsum, rows))
        return replace(self, weights=tuple(tuple(weight / total for weight in row) for row in rows))

    def ask(self, units: int, prices: Prices = CAREFUL, *, most: float = 1.0) -> float:
        """Return the dose at which `units` units teach most per (c₀ + λR).

        Args:
            units: of the next run, ≥ 1.
            prices: c₀ and λ; λ = 0 asks for information alone.
            most: largest dose allowed, in (0, 1].
        """
        marginal, sums = self.marginal(), self._sums()
        candidates = [index for index in _candidates(marginal) if index / STEPS <= most] or [max(1, int(most * STEPS))]
        best = max(candidates, key=lambda index: score(_bits(sums, index, units), _overshoot(marginal, index / STEPS), prices))
        return best / STEPS

    def bits(self, dose: float, units: int) -> float:
        """Expected information, in bits, of `units` units at a dose about whether the criterion holds there."""
        return _bits(self._sums(), round(dose * STEPS), units)

    def overshoot(self, dose: float) -> float:
        """Expected overshoot over the threshold at a dose."""
        return _overshoot(self.marginal(), dose)

    def marginal(self) -> list[float]:
        """Posterior of each cell of the threshold, over all shapes."""
        return [math.fsum(column) for column in zip(*self.weights, strict=True)]

    def holds(self, dose: float) -> float:
        """Probability that the criterion holds at a dose: that the threshold is not below it."""
        return 1.0 - _below(self.marginal(), dose)

    def interval(self, sure: float = 0.9) -> Interval:
        """Return the threshold's median and the credible interval that leaves (1 - sure)/2 on either side."""
        marginal = self.marginal()
        tail = 0.5 * (1.0 - sure)
        return Interval(_quantile(marginal, tail), _quantile(marginal, 0.5), _quantile(marginal, 1.0 - tail))

    def largest_that_holds(self, sure: float = 0.95) -> float:
        """Return the largest dose at which the criterion holds with probability `sure`."""
        return min(1.0, _quantile(self.marginal(), 1.0 - sure))

    def curve(self, points: int = 33, sure: float = 0.9) -> tuple[CurvePoint, ...]:
        """Return the dose-response curve with its band, at evenly spaced doses."""
        sums = self._sums()
        return tuple(_point(sums, round(STEPS * at / (points - 1)), 0.5 * (1.0 - sure)) for at in range(points))

    def point(self, dose: float, sure: float = 0.9) -> CurvePoint:
        """Return the breach rate to be expected at a dose, with its band."""
        return _point(self._sums(), round(dose * STEPS), 0.5 * (1.0 - sure))

    def _sums(self) -> list[_Sums]:
        """Running sums of the weights of each shape that is still possible."""
        found = []
        for shape, row in zip(self.shapes, self.weights, strict=True):
            running = list(accumulate(row[:STEPS], initial=0.0))
            if running[-1] + row[STEPS] > _NEGLIGIBLE:
                padded = [0.0] * STEPS + running + [running[-1]] * STEPS
                found.append((_stretches(shape), [*padded, running[-1] + row[STEPS]]))
        return found


def prior_of(at_least: float, sure: float) -> list[float]:
    """Return a prior that gives "the criterion holds at this dose" the stated confidence, evenly spread on either side.

    Of what lies above, as much is kept for "beyond the largest dose" as there would be on another tenth of the scale.

    Args:
        at_least: dose up to which it is believed to hold, in (0, 1].
        sure: confidence in that, in (0, 1).

    Raises:
        ValueError: If either is out of range.
    """
    if not (0.0 < at_least <= 1.0 and 0.0 < sure < 1.0):
        msg = f"need a dose in (0, 1] and a confidence in (0, 1), got {at_least!r} and {sure!r}"
        raise ValueError(msg)
    split = min(STEPS, max(1, round(at_least * STEPS)))
    above = sure / (STEPS - split + 0.1 * STEPS)
    return [(1.0 - sure) / split] * split + [above] * (STEPS - split) + [above * 0.1 * STEPS]


def _log_likelihoods(shape: Shape, index: int, breaches: float, units: float) -> list[float]:
    """Logarithm of the likelihood of each cell of the threshold."""
    good = units - breaches
    bad_logs, good_logs = _log_rates(shape)
    first = STEPS - index
    near = zip(bad_logs[first : first + STEPS], good_logs[first : first + STEPS], strict=True)
    return [breaches * bad_log + good * good_log for bad_log, good_log in (*near, (bad_logs[-1], good_logs[-1]))]


def _rates(shape: Shape) -> list[float]:
    """Rate for each distance between threshold and dose, in cells from `STEPS` below the dose upwards; last, for one far above it."""
    return [*(shape.rate((STEPS - place - 0.5) / STEPS) for place in range(2 * STEPS)), shape.rate(-math.inf)]


@lru_cache(maxsize=512)
def _log_rates(shape: Shape) -> tuple[tuple[float, ...], tuple[float, ...]]:
    rates = _rates(shape)
    return tuple(math.log(rate) for rate in rates), tuple(math.log1p(-rate) for rate in rates)


@lru_cache(maxsize=512)
def _stretches(shape: Shape) -> _Stretches:
    *levels, beyond = map(level_of, _rates(shape))
    starts = [place for place in range(2 * STEPS) if place in {0, STEPS} or levels[place] != levels[place - 1]]
    found = [(start, stop, levels[start]) for start, stop in zip(starts, [*starts[1:], 2 * STEPS], strict=True)]
    sides = ([one for one in found if one[1] <= STEPS], [one for one in found if one[0] >= STEPS])
    return _Stretches(tuple(sides[0]), tuple(sides[1]), beyond)


def _levels(sums: Sequence[_Sums], index: int) -> tuple[list[float], list[float]]:
    """Weight of each level of the breach rate at a dose: where the threshold is below it, and where it is not."""
    broken, holding = empty_levels(), empty_levels()
    for stretches, running in sums:
        for start, stop, level in stretches.below:
            broken[level] += running[stop + index] - running[start + index]
        for start, stop, level in stretches.above:
            holding[level] += running[stop + index] - running[start + index]
        holding[stretches.beyond] += running[-1] - running[2 * STEPS]
    return broken, holding


def _bits(sums: Sequence[_Sums], index: int, units: int) -> float:
    """Information between "the threshold is below this dose" and the count of breaches: H(count) - Σ P(answer)·H(count | answer)."""
    counted = min(units, _MOST_UNITS)
    broken, holding = (count_mixture(levels, counted) for levels in _levels(sums, index))
    both = [one + other for one, other in zip(broken, holding, strict=True)]
    return max(0.0, _entropy(both) - _entropy(broken) - _entropy(holding))


def _point(sums: Sequence[_Sums], index: int, tail: float) -> CurvePoint:
    broken, holding = _levels(sums, index)
    weights = [one + other for one, other in zip(broken, holding, strict=True)]
    cumulated = list(accumulate(weights))
    mean = math.fsum(weight * rate_of(level) for level, weight in enumerate(weights)) / cumulated[-1]
    low, high = (next(level for level, mass in enumerate(cumulated) if mass >= share * cumulated[-1]) for share in (tail, 1.0 - tail))
    return CurvePoint(index / STEPS, mean, min(mean, rate_of(low)), max(mean, rate_of(high)))


def _candidates(marginal: Sequence[float]) -> list[int]:
    """Doses, in cells, that some threshold that is still possible would tell from its neighbours; few enough to look at each."""
    likely = [cell for cell, weight in enumerate(marginal) if weight > _NEGLIGIBLE]
    first, last = max(1, likely[0]), min(STEPS, likely[-1] + 1)
    stride = max(1, math.ceil((last - first + 1) / _MOST_CANDIDATES))
    return [*range(first, last + 1, stride)]


def _overshoot(marginal: Sequence[float], dose: float) -> float:
    return math.fsum(weight * max(0.0, dose - (cell + 0.5) / STEPS) for cell, weight in enumerate(marginal[:STEPS]))


def _below(marginal: Sequence[float], dose: float) -> float:
    whole = min(STEPS, int(dose * STEPS))
    part = marginal[whole] * (dose * STEPS - whole) if whole < STEPS else 0.0
    return min(1.0, math.fsum(marginal[:whole]) + part)


def _quantile(marginal: Sequence[float], share: float) -> float:
    """Return the dose below which the threshold lies with this probability; inf where that is beyond the largest."""
    mass = 0.0
    for cell, weight in enumerate(marginal[:STEPS]):
        if mass + weight >= share:
            return (cell + (share - mass) / weight) / STEPS if weight else cell / STEPS
        mass += weight
    return math.inf if marginal[STEPS] > _NEGLIGIBLE else 1.0


def _entropy(masses: Sequence[float]) -> float:
    """Return -Σ m·log₂(m / Σ m) of masses that need not sum to 1."""
    total = math.fsum(masses)
    return -math.fsum(mass * math.log2(mass / total) for mass in masses if mass > 0.0)
