import math
import random

import pytest

from refute.stats import (
    QuantileCriterion,
    betainc,
    compare_arms,
    control_healthy,
    log_harm,
    p_meets,
    sample_quantile,
    units_to_be_healthy,
)


def test_control_health_is_a_posterior_probability():
    assert p_meets(2, 100, 0.05) == pytest.approx(betainc(2.5, 98.5, 0.05))
    assert control_healthy(0, 38, 0.05)
    assert not control_healthy(0, 37, 0.05)
    assert not control_healthy(0, 0, 0.05)
    assert not control_healthy(10, 100, 0.05)


def test_units_that_a_healthy_control_needs():
    assert [units_to_be_healthy(c) for c in (0.01, 0.05, 0.1, 0.3)] == [191, 38, 18, 6]
    assert units_to_be_healthy(0.05, rate=0.06, limit=2000) is None


def test_harm_signal():
    assert log_harm([]) == 0.0
    assert log_harm([(0, 0, 0.2)]) == pytest.approx(0.0, abs=1e-12)
    assert log_harm([(10, 2, 0.2)]) > math.log(20)
    assert log_harm([(2, 10, 0.2)]) < 0.5
    assert log_harm([(3, 2, 0.2), (4, 1, 0.4)]) == pytest.approx(log_harm([(3, 2, 0.2)]) + log_harm([(4, 1, 0.4)]))


def test_harm_signal_is_a_fair_mixture():
    """At the boundary, the mean of the evidence over all splits of m failures is 1."""
    m, share = 12, 0.2
    total = sum(math.comb(m, k) * share**k * (1 - share) ** (m - k) * math.exp(log_harm([(k, m - k, share)])) for k in range(m + 1))
    assert total == pytest.approx(1.0)


def test_equal_arms_are_not_sick_and_unequal_ones_are():
    equal = compare_arms((10, 100), (11, 100), 0.5)
    assert not equal.sick
    assert equal.low < 0 < equal.high
    assert equal.noise == max(-equal.low, equal.high)
    assert compare_arms((40, 100), (5, 100), 0.5).sick
    assert compare_arms((5, 100), (40, 100), 0.5).sick


def test_newcombe_interval_as_published():
    # Newcombe (1998), table II, method 10, contrast (a): 56/70 - 48/80
    found = compare_arms((56, 70), (48, 80), 0.5)
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=1e-4)


def test_quantile_of_a_known_sample():
    found = sample_quantile(range(1, 101), 0.95)
    assert (found.value, found.low, found.high, found.units) == (95, 90, 100, 100)
    assert sample_quantile([3.0], 0.95).high == math.inf
    assert sample_quantile([3.0], 0.95).low == -math.inf
    assert sample_quantile([1.0, 2.0, math.inf], 0.99).value == math.inf


@pytest.mark.parametrize(("quantile", "n"), [(0.5, 30), (0.95, 200), (0.99, 100)])
def test_quantile_interval_covers(quantile, n):
    generator = random.Random(11)
    covered = 0
    for _ in range(400):
        found = sample_quantile([generator.random() for _ in range(n)], quantile)
        covered += found.low <= quantile <= found.high
    assert covered >= 0.93 * 400


def test_a_quantile_criterion_is_a_breach_rate():
    criterion = QuantileCriterion.absolute(0.95, 4.0)
    assert criterion.bound == 0.05
    assert [criterion.breaches(v) for v in (3.9, 4.0, 4.1, None, math.inf, math.nan)] == [False, False, True, True, True, True]
    low_score = QuantileCriterion.absolute(0.05, 0.4, at_least=True)
    assert low_score.bound == 0.05
    assert low_score.breaches(0.39)
    assert not low_score.breaches(0.4)


def test_a_relative_quantile_is_fixed_at_the_baseline():
    baseline = [i / 100 for i in range(1, 101)]
    criterion = QuantileCriterion.worse_by(0.95, 1.0, baseline)
    assert criterion == QuantileCriterion(1.95, 0.05)
    assert QuantileCriterion.worse_by(0.05, 0.02, baseline, at_least=True).limit == pytest.approx(0.03)
    with pytest.raises(ValueError, match="nothing to be worse than"):
        QuantileCriterion.worse_by(0.95, 1.0, [1.0, math.inf])


@pytest.mark.parametrize(
    "bad",
    [
        lambda: sample_quantile([], 0.5),
        lambda: sample_quantile([1.0], 1.0),
        lambda: QuantileCriterion.absolute(0.0, 1.0),
        lambda: p_meets(3, 2, 0.1),
        lambda: log_harm([(-1, 0, 0.5)]),
        lambda: compare_arms((0, 0), (0, 1), 0.5),
    ],
)
def test_arguments_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match="got"):
        bad()
