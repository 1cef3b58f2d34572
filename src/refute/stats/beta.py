"""The beta distribution in plain Python: log-beta, its incomplete function, quantiles, and intervals for a rate.

Everything is also available in logarithms, because the e-values of long runs multiply numbers far below the smallest float.
"""

from __future__ import annotations

import math
from typing import Final

_TINY: Final = 1e-300
_EPSILON: Final = 2e-16
_MAX_STEPS: Final = 100_000
_STIRLING_FROM: Final = 10.0
_HALF_LOG_2PI: Final = 0.5 * math.log(2.0 * math.pi)
_LN2: Final = math.log(2.0)


def log_beta(a: float, b: float) -> float:
    """Natural logarithm of the beta function B(a, b).

    Large arguments use Stirling's series for the ratio, so that nothing cancels (Didonato and Morris, ACM TOMS 708, 1992).

    Args:
        a: First shape, > 0.
        b: Second shape, > 0.

    Returns:
        log B(a, b), with a relative error of the order of 1e-15.

    Raises:
        ValueError: If a shape is not positive.
    """
    if not (a > 0.0 and b > 0.0):
        msg = f"shapes of a beta must be > 0, got {a!r} and {b!r}"
        raise ValueError(msg)
    small, large = (a, b) if a <= b else (b, a)
    if large < _STIRLING_FROM:
        return math.lgamma(small) + math.lgamma(large) - math.lgamma(small + large)
    total = small + large
    share = small / total
    if small < _STIRLING_FROM:
        correction = _stirling_tail(large) - _stirling_tail(total)
        return math.lgamma(small) + correction + small - small * math.log(total) + (large - 0.5) * math.log1p(-share)
    correction = _stirling_tail(small) + _stirling_tail(large) - _stirling_tail(total)
    return _HALF_LOG_2PI - 0.5 * math.log(large) + correction + (small - 0.5) * math.log(share) + large * math.log1p(-share)


def betainc(a: float, b: float, x: float) -> float:
    """Regularised incomplete beta function I_x(a, b) = P(q < x) for q ~ Beta(a, b).

    Args:
        a: First shape, > 0.
        b: Second shape, > 0.
        x: Point in [0, 1].

    Returns:
        A probability in [0, 1].

    Raises:
        ValueError: If an argument is out of range.
    """
    return math.exp(log_betainc(a, b, x))


def log_betainc(a: float, b: float, x: float) -> float:
    """Logarithm of I_x(a, b); for the upper tail ask for `log_betainc(b, a, 1 - x)`.

    Lentz's evaluation of the continued fraction DLMF 8.17.22, on the side of the mean where it converges quickly.

    Args:
        a: First shape, > 0.
        b: Second shape, > 0.
        x: Point in [0, 1].

    Returns:
        log I_x(a, b) ≤ 0; -inf at x = 0.

    Raises:
        ValueError: If an argument is out of range.
    """
    if not 0.0 <= x <= 1.0:
        msg = f"x must be within [0, 1], got {x!r}"
        raise ValueError(msg)
    if x == 0.0:
        return -math.inf
    if x == 1.0:
        return 0.0
    if x * (a + b + 2.0) <= a + 1.0:
        return min(0.0, _log_lower_tail(a, b, x))
    return log1mexp(min(0.0, _log_lower_tail(b, a, 1.0 - x)))


def log1mexp(value: float) -> float:
    """log(1 - exp(value)) for value ≤ 0 without cancellation (Mächler 2012); -inf at 0."""
    if value == 0.0:
        return -math.inf
    return math.log(-math.expm1(value)) if value > -_LN2 else math.log1p(-math.exp(value))


def beta_quantile(p: float, a: float, b: float) -> float:
    """The x with I_x(a, b) = p, by bisection.

    Args:
        p: Probability in [0, 1].
        a: First shape, > 0.
        b: Second shape, > 0.

    Returns:
        A point in [0, 1], to about 15 significant digits.

    Raises:
        ValueError: If an argument is out of range.
    """
    if not 0.0 <= p <= 1.0:
        msg = f"a probability must be within [0, 1], got {p!r}"
        raise ValueError(msg)
    if p in {0.0, 1.0}:
        return p
    target, low, high = math.log(p), 0.0, 1.0
    while high - low > 1e-15 * high and high > _TINY:
        middle = 0.5 * (low + high)
        if middle in {low, high}:
            break
        if log_betainc(a, b, middle) < target:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def binary_entropy(p: float) -> float:
    """Entropy in bits of a yes-or-no question with probability `p` of yes; 0 at p = 0 and 1.

    Raises:
        ValueError: If `p` is not a probability.
    """
    if not 0.0 <= p <= 1.0:
        msg = f"a probability must be within [0, 1], got {p!r}"
        raise ValueError(msg)
    if p in {0.0, 1.0}:
        return 0.0
    return -(p * math.log2(p) + (1.0 - p) * math.log1p(-p) / _LN2)


def clopper_pearson(successes: int, units: int, alpha: float = 0.05) -> tuple[float, float]:
    """Exact two-sided interval for a rate (Clopper and Pearson 1934), valid for a sample size that was fixed beforehand.

    Args:
        successes: Count, 0 ≤ successes ≤ units.
        units: Number of trials.
        alpha: Probability of missing the rate, both sides together.

    Returns:
        Lower and upper end.

    Raises:
        ValueError: If the counts or alpha are out of range.
    """
    _check_counts(successes, units, alpha)
    failures = units - successes
    low = 0.0 if successes == 0 else beta_quantile(alpha / 2, successes, failures + 1)
    high = 1.0 if failures == 0 else beta_quantile(1 - alpha / 2, successes + 1, failures)
    return low, high


def jeffreys_interval(successes: float, units: float, alpha: float = 0.05) -> tuple[float, float]:
    """Credible interval of a rate under Jeffreys' prior, with its ends at 0 and 1 where no or all units counted (Brown et al. 2001).

    Args:
        successes: Count, 0 ≤ successes ≤ units.
        units: Number of trials.
        alpha: Posterior probability outside, both sides together.

    Returns:
        Lower and upper end.

    Raises:
        ValueError: If the counts or alpha are out of range.
    """
    _check_counts(successes, units, alpha)
    a, b = successes + 0.5, units - successes + 0.5
    low = 0.0 if successes == 0 else beta_quantile(alpha / 2, a, b)
    high = 1.0 if successes == units else beta_quantile(1 - alpha / 2, a, b)
    return low, high


def _check_counts(successes: float, units: float, alpha: float) -> None:
    if not 0 <= successes <= units:
        msg = f"counts must satisfy 0 <= successes <= units, got {successes!r} of {units!r}"
        raise ValueError(msg)
    if not 0.0 < alpha < 1.0:
        msg = f"alpha must be within (0, 1), got {alpha!r}"
        raise ValueError(msg)


def _stirling_tail(x: float) -> float:
    """What Stirling's formula leaves out of log Γ(x), for x ≥ 10 (DLMF 5.11.1)."""
    inverse = 1.0 / x
    square = inverse * inverse
    series = 1 / 1188 - square * 691 / 360360
    series = 1 / 1680 - square * series
    series = 1 / 1260 - square * series
    series = 1 / 360 - square * series
    return inverse * (1 / 12 - square * series)


def _log_lower_tail(a: float, b: float, x: float) -> float:
    log_front = a * math.log(x) + b * math.log1p(-x) - log_beta(a, b) - math.log(a)
    return log_front + math.log(_continued_fraction(a, b, x))


def _continued_fraction(a: float, b: float, x: float) -> float:
    total = a + b
    c, d = 1.0, _inverse(1.0 - total * x / (a + 1.0))
    result = d
    for step in range(1, _MAX_STEPS):
        twice = 2 * step
        even = step * (b - step) * x / ((a + twice - 1.0) * (a + twice))
        d = _inverse(1.0 + even * d)
        c = 1.0 + even / c or _TINY
        result *= d * c
        odd = -(a + step) * (total + step) * x / ((a + twice) * (a + twice + 1.0))
        d = _inverse(1.0 + odd * d)
        c = 1.0 + odd / c or _TINY
        change = d * c
        result *= change
        if abs(change - 1.0) <= _EPSILON:
            return result
    msg = f"the incomplete beta function did not converge for a={a!r}, b={b!r}, x={x!r}"
    raise ArithmeticError(msg)


def _inverse(value: float) -> float:
    return 1.0 / (value or _TINY)
