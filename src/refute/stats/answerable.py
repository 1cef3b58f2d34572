"""Can a run of this size answer the question at all?

Forward recursion over (units, breaches) with absorbing verdicts. The recursion carries the probability of each path as if the
rate were c itself, which neither under- nor overflows, and weighs a path by its likelihood under the claim when a verdict ends
it. Likelihoods depend on the counts alone, so that one pass serves every confidence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING

from refute.stats.eprocess import RatioTest, check_open, log_e_hold, log_e_refute, walk_boundaries
from refute.stats.predictive import BASE_WEIGHT, Base, balanced_base

if TYPE_CHECKING:
    from collections.abc import Iterator

ENOUGH = 0.5
PAIRED_WEIGHT = 0.5
"""Weight of the base for pairs that share their seed: most often all of them, or none, are beyond a value."""
SEARCH_LIMIT = 5_000


@dataclass(frozen=True, slots=True)
class Answerability:
    """Forecast of one run's verdict.

    Attributes:
        p_held: Probability of `held` within the units.
        p_refuted: Probability of `refuted`.
        p_inconclusive: Probability of neither.
        expected_units: Mean number of treatment units until the verdict or the end.
        both_reachable: Whether some outcomes lead to `held` and some to `refuted`.
        smallest_n: Fewest treatment units with an answer in half of the runs or more and either verdict reachable; None if
            more than `SEARCH_LIMIT` would be needed.
    """

    p_held: float
    p_refuted: float
    p_inconclusive: float
    expected_units: float
    both_reachable: bool
    smallest_n: int | None

    @property
    def answerable(self) -> bool:
        """Whether the run is worth starting: an answer in half of the runs or more, and either verdict reachable."""
        return self.both_reachable and self.p_held + self.p_refuted >= ENOUGH


def answerable(  # noqa: PLR0913 - numbers that do not depend on each other, and most have defaults
    bound: float, alpha: float, n_max: int, *, confidence: float, limit: int = SEARCH_LIMIT, weight: float = BASE_WEIGHT
) -> Answerability:
    """Forecast the verdict of a run of up to `n_max` eligible treatment units.

    Args:
        bound: c, the largest breach rate that the criterion allows, in (0, 1).
        alpha: Probability of a false verdict, a side.
        n_max: Most eligible treatment units that the blast radius leaves, ≥ 0.
        confidence: z₀, probability that the claim is true, in (0, 1).
        limit: Largest n to consider for `smallest_n`.
        weight: of the base, a + b: small where a rate is expected near 0 or near 1.

    Returns:
        The forecast.

    Raises:
        ValueError: If an argument is out of range.
    """
    check_open("confidence", confidence)
    if n_max < 0:
        msg = f"n_max must be >= 0, got {n_max!r}"
        raise ValueError(msg)
    return _forecast(RatioTest(bound, alpha), n_max, confidence, limit, weight)


@lru_cache(maxsize=1024)
def _forecast(test: RatioTest, n_max: int, confidence: float, limit: int, weight: float) -> Answerability:
    base = balanced_base(test.bound, weight)
    held = refuted = at_end_held = at_end_refuted = 0.0
    expected, smallest = 0.0, None
    for n, (held_paths, refuted_paths) in enumerate(_absorbed(test, base, max(n_max, limit)), start=1):
        if n <= n_max:
            expected += 1.0 - held - refuted
        held += _mix(held_paths, confidence)
        refuted += _mix(refuted_paths, confidence)
        if n <= n_max:
            at_end_held, at_end_refuted = held, refuted
        if smallest is None and held + refuted >= ENOUGH and _both_reachable(n, test):
            smallest = n
        if n >= n_max and (smallest is not None or n >= limit):
            break
    none = max(0.0, 1.0 - at_end_held - at_end_refuted)
    return Answerability(at_end_held, at_end_refuted, none, expected, _both_reachable(n_max, test), smallest)


def futile(breaches: float, units: int, n_max: int, bound: float, alpha: float) -> bool:
    """Whether a verdict is out of reach: not `held` if all the rest is good, nor `refuted` if all the rest breaches.

    Args:
        breaches: s so far.
        units: n so far, eligible treatment units, with no verdict yet.
        n_max: Most eligible treatment units that the blast radius leaves.
        bound: c in (0, 1).
        alpha: Probability of a false verdict, a side.

    Returns:
        True if the run can stop now.
    """
    rest, threshold = max(0, n_max - units), RatioTest(bound, alpha).threshold
    best, worst = log_e_hold(breaches, units + rest, bound), log_e_refute(breaches + rest, units + rest, bound)
    return best < threshold and worst < threshold


def _both_reachable(n: int, test: RatioTest) -> bool:
    return n > 0 and not (log_e_hold(0, n, test.bound) < test.threshold or log_e_refute(n, n, test.bound) < test.threshold)


def _mix(given: tuple[float, float], confidence: float) -> float:
    true, false = given
    return confidence * true + (1.0 - confidence) * false


def _absorbed(test: RatioTest, base: Base, n_max: int) -> Iterator[tuple[tuple[float, float], tuple[float, float]]]:
    """For each n from 1: the probabilities of `held` and of `refuted` at exactly n, each given that the claim is true and false.

    `row[k]` is the probability, at rate c, of `lowest + k` breaches in n units without a verdict.
    """
    bound = test.bound
    row, lowest = [1.0], 0
    walk = islice(walk_boundaries(bound, test.threshold), 1, n_max + 1)
    for n, (hold, refute) in enumerate(walk, start=1):
        ok, bad = [p * (1.0 - bound) for p in row], [p * bound for p in row]
        row = [ok[0], *[x + y for x, y in zip(ok[1:], bad, strict=False)], bad[-1]]
        held = refuted = (0.0, 0.0)
        while row and lowest <= hold:
            held = _add(held, _weigh(row.pop(0), lowest, n, base))
            lowest += 1
        while row and lowest + len(row) - 1 >= refute:
            refuted = _add(refuted, _weigh(row.pop(), lowest + len(row), n, base))
        yield held, refuted
        if not row:
            return


def _weigh(paths: float, breaches: int, units: int, base: Base) -> tuple[float, float]:
    at_bound = breaches * math.log(base.bound) + (units - breaches) * math.log1p(-base.bound)
    true, false = base.log_likelihoods(breaches, units)
    return paths * math.exp(true - at_bound), paths * math.exp(false - at_bound)


def _add(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    return one[0] + other[0], one[1] + other[1]
