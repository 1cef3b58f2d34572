"""One claim, "the breach rate θ stays within c", and what counts say about it.

The stated confidence z₀ and the shape of θ are kept apart. The shape is a base Beta(a*, b*) of weight 4 with half of itself on
either side of c, cut at c by whether the claim is true. After s breaches in n units

    odds = z₀/(1-z₀) · I/(1-I),    I = I_c(a*+s, b*+n-s).

Folding the opinion into the shape instead (a beta whose mass below c is z₀) lets a strong opinion decide how much a unit counts,
which costs calibration.

Relative claims and mean scores use the same model with effective counts, which is an approximation, for confidence only (a
verdict never uses it):

- "Treatment breaches at most d more than control": the bound becomes c = (control's rate, shrunk by half a unit) + d. Control's
  rate is itself uncertain; its variance is added to treatment's by shrinking treatment's counts by v_T/(v_T + v_C), v =
  rate·(1-rate)/n. With an endless control this is the absolute claim, with an empty one it says nothing. The base is balanced at
  the new bound, so that the stated confidence is kept.
- "The mean badness is at most b": a mean m with variance v of the units counts as n·m(1-m)/v yes-or-no units at rate m, at most 16 a unit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from refute.stats import Base, balanced_base, betainc, binary_entropy, log_beta

_MOST_PER_UNIT = 16.0
_LEAST, _MOST = -700.0, 36.0  # log-odds beyond which a double rounds a probability to 0 and to 1


@dataclass(frozen=True, slots=True)
class Counts:
    """Breaches among units; fractions where they are effective counts.

    Attributes:
        breaches: s ≥ 0.
        units: n ≥ s.
    """

    breaches: float = 0.0
    units: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.breaches <= self.units:
            msg = f"counts must satisfy 0 <= breaches <= units, got {self.breaches!r} of {self.units!r}"
            raise ValueError(msg)

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.breaches + other.breaches, self.units + other.units)


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim with what was seen of it so far.

    Attributes:
        stated: z₀, the confidence before any evidence, in (0, 1).
        bound: c, the largest breach rate that is within the claim, in (0, 1).
        seen: Evidence so far.
    """

    stated: float
    bound: float
    seen: Counts = Counts()

    def __post_init__(self) -> None:
        if not 0.0 < self.stated < 1.0:
            msg = f"a confidence must be above 0 % and below 100 %, got {self.stated!r}: nothing could change a certain mind"
            raise ValueError(msg)
        if not 0.0 < self.bound < 1.0:
            msg = f"bound must be within (0, 1), got {self.bound!r}"
            raise ValueError(msg)

    def after(self, breaches: float, units: float) -> Claim:
        """The claim with more evidence."""
        return replace(self, seen=self.seen + Counts(breaches, units))

    @property
    def base(self) -> Base:
        """Shape of the breach rate before any evidence."""
        return balanced_base(self.bound)

    @property
    def log_odds(self) -> float:
        """Natural logarithm of the odds that the claim is true, now."""
        shift = self.base.log_odds_shift(self.seen.breaches, self.seen.units)
        return math.log(self.stated) - math.log1p(-self.stated) + shift

    @property
    def confidence(self) -> float:
        """Probability that the claim is true, now; never quite 0 or 1, whatever was seen. `log_odds` goes on beyond."""
        odds = min(_MOST, max(_LEAST, self.log_odds))
        return 1.0 / (1.0 + math.exp(-odds)) if odds > 0 else math.exp(odds) / (1.0 + math.exp(odds))

    def p_breach(self) -> float:
        """Predictive probability that the next unit breaches."""
        return self.predict(1)[1]

    def predict(self, units: int) -> list[float]:
        """Predictive probabilities of 0 … `units` breaches in as many more units."""
        return [weight for weight, _ in self._futures(units)]

    def information(self, units: int = 1) -> float:
        """Expected information about the claim, in bits, of `units` more units: h(now) - Σ P(count)·h(after count).

        Never more than `binary_entropy(confidence)`. A run that stops at a verdict learns a little less.
        """
        left = math.fsum(weight * binary_entropy(after) for weight, after in self._futures(units))
        return max(0.0, binary_entropy(self.confidence) - left)

    def _futures(self, units: int) -> list[tuple[float, float]]:
        """For each count of breaches in `units` more: its predictive probability and the confidence after it."""
        if units < 0:
            msg = f"units must be >= 0, got {units!r}"
            raise ValueError(msg)
        a, b = self.base.a + self.seen.breaches, self.base.b + self.seen.units - self.seen.breaches
        now = betainc(a, b, self.bound)
        scale = self.stated * now + (1.0 - self.stated) * betainc(b, a, 1.0 - self.bound)
        below, above = _sides(a, b, self.bound, units)
        futures = []
        for chance, true, false in zip(_beta_binomial(a, b, units), below, above, strict=True):
            joint_true, joint_false = self.stated * true, (1.0 - self.stated) * false
            joint = joint_true + joint_false
            futures.append((chance * joint / scale, min(1.0, joint_true / joint)))
        return futures


def learned_bits(before: float, after: float) -> float:
    """h(before) - h(after) in bits: negative where we became less sure."""
    return binary_entropy(before) - binary_entropy(after)


def surprise_bits(before: float, after: float) -> float:
    """Bayesian surprise: KL divergence of the new confidence from the old, in bits (Itti and Baldi 2009)."""
    terms = ((after, before), (1.0 - after, 1.0 - before))
    if any(new > 0.0 and old <= 0.0 for new, old in terms):
        return math.inf
    return max(0.0, math.fsum(new * math.log2(new / old) for new, old in terms if new > 0.0))


def surprisal_bits(probability: float) -> float:
    """-log₂ of the probability that was forecast for what happened; inf for what was held impossible.

    Raises:
        ValueError: If it is not a probability.
    """
    if not 0.0 <= probability <= 1.0:
        msg = f"a probability must be within [0, 1], got {probability!r}"
        raise ValueError(msg)
    return -math.log2(probability) if probability > 0.0 else math.inf


def relative_counts(treatment: Counts, control: Counts, difference: float) -> tuple[float, Counts]:
    """Effective bound and counts of a "worse by at most d" claim; see the module's text.

    Args:
        treatment: Counts of the treatment units.
        control: Counts of the concurrent control.
        difference: d ≥ 0, in rates (points / 100).

    Returns:
        The bound c for `Claim`, kept within (0, 1), and the counts for `Claim.after`.

    Raises:
        ValueError: If the difference is not in [0, 1).
    """
    if not 0.0 <= difference < 1.0:
        msg = f"difference must be within [0, 1), got {difference!r}"
        raise ValueError(msg)
    rate = (control.breaches + 0.5) / (control.units + 1.0)
    bound = min(max(rate + difference, 1e-6), 1.0 - 1e-6)
    if treatment.units == 0 or control.units == 0:
        return bound, Counts()
    of_treatment = bound * (1.0 - bound) / treatment.units
    of_control = rate * (1.0 - rate) / control.units
    shrink = of_treatment / (of_treatment + of_control)
    return bound, Counts(treatment.breaches * shrink, treatment.units * shrink)


def mean_counts(mean: float, variance: float, units: int) -> Counts:
    """Effective counts of badness scores in [0, 1] with this mean and variance (of the units, not of the mean).

    Raises:
        ValueError: If the mean is outside [0, 1] or the variance or the number of units is negative.
    """
    if not 0.0 <= mean <= 1.0 or variance < 0.0 or units < 0:
        msg = f"need a mean within [0, 1], variance >= 0 and units >= 0, got {mean!r}, {variance!r} and {units!r}"
        raise ValueError(msg)
    largest = mean * (1.0 - mean)
    each = 1.0 if largest == 0.0 else min(_MOST_PER_UNIT, largest / max(variance, largest / _MOST_PER_UNIT))
    return Counts(mean * units * each, units * each)


def _beta_binomial(a: float, b: float, units: int) -> list[float]:
    """Probability of each count under Beta(a, b), by the recurrence of its logarithm."""
    log_chance = log_beta(a, b + units) - log_beta(a, b)
    chances = [math.exp(log_chance)]
    for s in range(units):
        log_chance += math.log((units - s) / (s + 1.0) * (a + s) / (b + units - s - 1.0))
        chances.append(math.exp(log_chance))
    return chances


def _sides(a: float, b: float, x: float, units: int) -> tuple[list[float], list[float]]:
    """I_x(a+s, b+n-s) and its complement for s = 0 … n.

    Neighbours differ by x^(a+s)·(1-x)^(b+n-s-1)/((a+s)·B(a+s, b+n-s)) (DLMF 8.17.20 and 8.17.21), so that each side is a sum of
    positive terms from its small end, and nothing cancels.
    """
    log_step = a * math.log(x) + (b + units - 1.0) * math.log1p(-x) - math.log(a) - log_beta(a, b + units)
    log_ratio = math.log(x) - math.log1p(-x)
    steps = []
    for s in range(units):
        steps.append(math.exp(log_step))
        if s + 1 < units:
            log_step += log_ratio + math.log((b + units - s - 1.0) / (a + s + 1.0))
    above, below = [betainc(b + units, a, 1.0 - x)], [betainc(a + units, b, x)]
    for forward, backward in zip(steps, reversed(steps), strict=True):
        above.append(above[-1] + forward)
        below.append(below[-1] + backward)
    return below[::-1], above
