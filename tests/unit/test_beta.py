"""Known values; those with many digits come from mpmath at 40 digits."""

import math
from fractions import Fraction

import pytest

from refute.stats import beta_quantile, betainc, binary_entropy, clopper_pearson, jeffreys_interval, log_beta, log_betainc


def binomial_upper_tail(k: int, n: int, p: Fraction) -> Fraction:
    return sum((Fraction(math.comb(n, j)) * p**j * (1 - p) ** (n - j) for j in range(k, n + 1)), Fraction(0))


@pytest.mark.parametrize(("k", "n", "p"), [(1, 1, "1/2"), (3, 10, "3/10"), (1, 100, "1/100"), (40, 200, "1/10"), (180, 200, "9/10")])
def test_the_incomplete_beta_is_an_exact_binomial_tail(k, n, p):
    exact = float(binomial_upper_tail(k, n, Fraction(p)))
    assert betainc(k, n - k + 1, float(Fraction(p))) == pytest.approx(exact, rel=1e-12)


LOG_BETAINC = [
    (0.5, 0.5, 0.05, -1.9409583774368013),
    (0.43, 3.57, 0.05, -0.69289032422817751),
    (2.5, 75.5, 0.01, -2.3999411228144661),
    (14.5, 86.5, 0.05, -8.2812964604159456),
    (100.5, 1900.5, 0.05, -0.70551721972019635),
    (1, 2000, 0.9, 0.0),
    (1999.5, 1.5, 0.5, -1382.3728153085738),
    (1000, 1000, 0.5, -0.69314718055994531),
    (20.5, 1980.5, 0.3, 0.0),
]


@pytest.mark.parametrize(("a", "b", "x", "expected"), LOG_BETAINC)
def test_log_betainc_agrees_with_high_precision(a, b, x, expected):
    assert log_betainc(a, b, x) == pytest.approx(expected, rel=1e-12, abs=1e-14)


LOG_BETA = [
    (0.5, 0.5, 1.1447298858494002),
    (0.001, 4, 6.9059226258172821),
    (3, 1200.5, -20.580830292257802),
    (15.5, 9.5, -16.558481486199437),
    (2000.5, 0.5, -3.2281487868456901),
    (100000.0, 200000.0, -190958.88527911685),
]


@pytest.mark.parametrize(("a", "b", "expected"), LOG_BETA)
def test_log_beta_agrees_with_high_precision(a, b, expected):
    assert log_beta(a, b) == pytest.approx(expected, rel=1e-14)
    assert log_beta(b, a) == log_beta(a, b)


def test_arcsine_law():
    assert betainc(0.5, 0.5, 0.3) == pytest.approx(2 / math.pi * math.asin(math.sqrt(0.3)), rel=1e-14)


def test_logarithms_do_not_underflow():
    value = log_betainc(5000.5, 0.5, 0.01)
    assert value < -20_000
    assert math.isfinite(value)
    assert betainc(5000.5, 0.5, 0.01) == 0.0


def test_ends():
    assert log_betainc(2, 3, 0.0) == -math.inf
    assert log_betainc(2, 3, 1.0) == 0.0
    assert beta_quantile(0.0, 2, 3) == 0.0
    assert beta_quantile(1.0, 2, 3) == 1.0


def test_published_intervals():
    # Agresti and Coull (1998), five successes in ten; Brown, Cai and DasGupta (2001) for Jeffreys
    assert clopper_pearson(5, 10) == pytest.approx((0.1871, 0.8129), abs=5e-5)
    assert clopper_pearson(0, 10) == pytest.approx((0.0, 1 - 0.025 ** (1 / 10)), abs=1e-12)
    assert clopper_pearson(10, 10)[1] == 1.0
    assert jeffreys_interval(5, 10) == pytest.approx((0.2235, 0.7765), abs=2e-4)
    assert jeffreys_interval(0, 10)[0] == 0.0


def test_entropy():
    assert binary_entropy(0.5) == 1.0
    assert binary_entropy(0.0) == binary_entropy(1.0) == 0.0
    assert binary_entropy(0.9) == pytest.approx(0.4689955935892812, rel=1e-14)
    assert binary_entropy(1e-300) > 0.0


@pytest.mark.parametrize(
    "call",
    [
        lambda: log_beta(0, 1),
        lambda: log_beta(1, math.nan),
        lambda: betainc(1, 1, 1.5),
        lambda: beta_quantile(-0.1, 1, 1),
        lambda: binary_entropy(1.1),
        lambda: clopper_pearson(3, 2),
        lambda: clopper_pearson(1, 2, 0.0),
    ],
)
def test_arguments_out_of_range_are_refused_with_the_value_seen(call):
    with pytest.raises(ValueError, match="got"):
        call()
