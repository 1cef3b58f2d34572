import math

import pytest

from refute.learning import Prices, calibrate, calibrate_verdicts, cost_if_wrong, expected_spend, reliability_table, score, value


def test_costs():
    words = [cost_if_wrong(word) for word in ("low", "medium", "high", "severe")]
    assert words == sorted(words)
    assert cost_if_wrong(5_000.0) == 5.0
    with pytest.raises(ValueError, match="low, medium, high, severe"):
        cost_if_wrong("huge")
    with pytest.raises(ValueError, match="got"):
        cost_if_wrong(-1.0)


def test_value_and_score():
    assert value([(10.0, 0.2), (1.0, 0.5)]) == pytest.approx(2.5)
    assert value([]) == 0.0
    assert score(2.0, 0.1) == pytest.approx(1.0)
    assert score(2.0, 0.1, Prices(fixed=1.0, risk=0.0)) == 2.0
    assert score(2.0, 0.3) < score(2.0, 0.1)
    for bad in (lambda: score(-1.0, 0.0), lambda: score(1.0, -0.1), lambda: Prices(fixed=0.0)):
        with pytest.raises(ValueError, match="got"):
            bad()


def test_expected_spend_of_the_error_budget():
    assert expected_spend(0.1, 50, 100) == pytest.approx(0.05)
    assert expected_spend(-0.1, 50, 100) == 0.0
    assert expected_spend(0.1, 50, 0) == 1.0
    assert expected_spend(1.0, 500, 100) == 1.0


def test_brier_and_its_parts():
    forecasts = [(0.8, True)] * 6 + [(0.8, False)] * 4 + [(0.2, True)] * 2 + [(0.2, False)] * 8
    found = calibrate(forecasts)
    assert found.brier == pytest.approx((6 * 0.04 + 4 * 0.64 + 2 * 0.64 + 8 * 0.04) / 20)
    assert found.reliability == pytest.approx(0.5 * 0.2**2)
    assert found.resolution == pytest.approx(0.2**2)
    assert found.uncertainty == pytest.approx(0.24)
    assert found.within == pytest.approx(0.0, abs=1e-12)


def test_perfect_and_useless_forecasters():
    perfect = calibrate([(1.0, True), (0.0, False)])
    assert (perfect.brier, perfect.log_score) == (0.0, 0.0)
    ignorant = calibrate([(0.5, True), (0.5, False)])
    assert (ignorant.brier, ignorant.resolution, ignorant.log_score) == (0.25, 0.0, 1.0)
    assert calibrate([(0.0, True)]).log_score == math.inf


def test_table_is_in_rising_order():
    table = reliability_table([(0.95, True), (0.05, False), (0.91, False), (1.0, True)])
    assert [(row.count, row.happened) for row in table] == [(1, 0.0), (3, pytest.approx(2 / 3))]


def test_verdict_forecasts():
    sure = {"held": 1.0}
    assert calibrate_verdicts([(sure, "held")]).brier == 0.0
    assert calibrate_verdicts([(sure, "refuted")]).brier == 2.0
    assert calibrate_verdicts([(sure, "void")]).log_score == math.inf
    mixed = calibrate_verdicts([({"held": 0.5, "refuted": 0.25, "inconclusive": 0.25}, "held")] * 4)
    assert mixed.brier == pytest.approx(0.25 + 2 * 0.0625)
    assert mixed.log_score == 1.0
    with pytest.raises(ValueError, match="sum to 1"):
        calibrate_verdicts([({"held": 0.5}, "held")])


@pytest.mark.parametrize(
    "bad",
    [
        lambda: calibrate([]),
        lambda: calibrate_verdicts([]),
        lambda: reliability_table([(1.1, True)]),
        lambda: reliability_table([(0.5, True)], 0),
    ],
)
def test_bad_forecasts_are_refused(bad):
    with pytest.raises(ValueError, match=r"got|no forecasts"):
        bad()
