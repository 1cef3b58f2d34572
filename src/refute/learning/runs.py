"""What several runs say of one claim, each at its own bound, and repeats of a run no more than once.

**Own bound.** A claim "worse by at most d" is held against control's rate plus d, and control's rate differs from run to run. What the runs
share is how far treatment is from the bound. With c the mean of the runs' bounds, weighted by units, and the base of `Claim` on θ,

    L(θ) = Π over runs (θ + c_r - c)^s_r · (1 - θ - c_r + c)^(n_r - s_r),

and the log-odds of the claim rise by log ∫_{θ<c} base·L - log ∫_{θ>c} base·L. Where all bounds are equal this is the closed form of
`Claim`. What is handed on is a bound c with the counts that move a claim there as far: n = Σ n_r, and s by bisection.

**Repeats.** A run with the seed and the cases of an earlier one asks the same questions under the same faults; only the model's own
randomness is new. Were both counted in full, repeating a run until everybody is sure would be cheap. k runs of one draw therefore weigh
1/k each: the mean of their logarithmic likelihoods. (Keeping the last one only would let somebody repeat a run until they like it.)
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from refute.learning.claim import Counts
from refute.stats import Base, balanced_base

_EDGE = 1e-9
_WIDEST_STEP = 0.02
_FROM, _TO = -80.0, 40.0  # logit of θ: what lies beyond has no mass to speak of under any base


@dataclass(frozen=True, slots=True)
class Seen:
    """What one run saw.

    Attributes:
        bound: largest breach rate within the claim, in that run, in (0, 1).
        counts: breaches among its units; effective counts for relative claims.
        draw: what its units and faults were drawn with; runs of one draw are repeats.
    """

    bound: float
    counts: Counts
    draw: str


def combined(runs: Iterable[Seen]) -> tuple[float, Counts] | None:
    """Return one bound, and the counts that say against it what all runs say together.

    Args:
        runs: in any order.

    Returns:
        The arguments of a `Claim`; None where no run saw a unit.
    """
    kept = [run for run in runs if run.counts.units > 0]
    if not kept:
        return None
    repeats = Counter(run.draw for run in kept)
    weighed = tuple((run.bound, run.counts.breaches / repeats[run.draw], run.counts.units / repeats[run.draw]) for run in kept)
    return _combined(weighed)


@lru_cache(maxsize=256)
def _combined(runs: tuple[tuple[float, float, float], ...]) -> tuple[float, Counts]:
    units = math.fsum(n for _, _, n in runs)
    breaches = min(units, math.fsum(s for _, s, _ in runs))
    if len({bound for bound, _, _ in runs}) == 1:
        return runs[0][0], Counts(breaches, units)
    centre = math.fsum(bound * n for bound, _, n in runs) / units
    base = balanced_base(centre)
    return centre, Counts(_equivalent(base, _shift(base, runs), units), units)


def _shift(base: Base, runs: Sequence[tuple[float, float, float]]) -> float:
    """By how much the runs raise the log-odds of the claim, by the midpoint rule on the logit of θ."""
    middle = math.log(base.bound) - math.log1p(-base.bound)
    step = min(_WIDEST_STEP, 0.2 / math.sqrt(1.0 + max(n for _, _, n in runs)))
    below, above = _integral(base, runs, _FROM, middle, step), _integral(base, runs, middle, _TO, step)
    return below - above


def _integral(base: Base, runs: Sequence[tuple[float, float, float]], low: float, high: float, step: float) -> float:
    """Logarithm of the integral of base times likelihood over a piece of the logit of θ, up to what both pieces share."""
    pieces = math.ceil((high - low) / step)
    width = (high - low) / pieces
    terms = [_log_density(base, runs, low + (number + 0.5) * width) for number in range(pieces)]
    largest = max(terms)
    return largest + math.log(math.fsum(math.exp(term - largest) for term in terms)) + math.log(width)


def _log_density(base: Base, runs: Sequence[tuple[float, float, float]], logit: float) -> float:
    log_rate, log_rest = -_softplus(-logit), -_softplus(logit)
    total, rate = base.a * log_rate + base.b * log_rest, math.exp(log_rate)
    for bound, s, n in runs:
        here = min(1.0 - _EDGE, max(_EDGE, rate + bound - base.bound))
        total += s * math.log(here) + (n - s) * math.log1p(-here)
    return total


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def _equivalent(base: Base, shift: float, units: float) -> float:
    """Breaches among so many units that move the log-odds by `shift`; the nearest there are where none do."""
    low, high = 0.0, units
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if base.log_odds_shift(middle, units) > shift else (low, middle)
    return 0.5 * (low + high)
