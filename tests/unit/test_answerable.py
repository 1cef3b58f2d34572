import time

import pytest

from refute.learning import Claim
from refute.stats import RatioTest, answerable, balanced_base, betainc, futile


def brute_force(bound, alpha, n_max, confidence):
    """Every path, with one-step predictive probabilities from the claim: slow, and another derivation."""
    test = RatioTest(bound, alpha)
    live, held, refuted, expected = {0: 1.0}, 0.0, 0.0, 0.0
    for n in range(n_max):
        expected += sum(live.values())
        following = {}
        for s, weight in live.items():
            p = Claim(confidence, bound).after(s, n).p_breach()
            for breaches, chance in ((s, 1 - p), (s + 1, p)):
                decision = test.decide(breaches, n + 1)
                held += weight * chance * (decision == "held")
                refuted += weight * chance * (decision == "refuted")
                if decision is None:
                    following[breaches] = following.get(breaches, 0.0) + weight * chance
        live = following
    return held, refuted, expected


@pytest.mark.parametrize(("bound", "confidence", "n_max"), [(0.3, 0.9, 60), (0.1, 0.5, 80), (0.5, 0.2, 30)])
def test_the_recursion_agrees_with_every_path(bound, confidence, n_max):
    found = answerable(bound, 0.05, n_max, confidence=confidence)
    held, refuted, expected = brute_force(bound, 0.05, n_max, confidence)
    assert (found.p_held, found.p_refuted, found.expected_units) == pytest.approx((held, refuted, expected), rel=1e-9)
    assert found.p_held + found.p_refuted + found.p_inconclusive == pytest.approx(1.0)


def test_a_run_that_is_too_small_is_told_what_would_do():
    small = answerable(0.05, 0.05, 60, confidence=0.9)
    assert not small.answerable
    assert not small.both_reachable
    assert small.p_held == 0.0
    assert small.smallest_n == 74
    enough = answerable(0.05, 0.05, small.smallest_n, confidence=0.9)
    assert enough.answerable
    assert not answerable(0.05, 0.05, small.smallest_n - 1, confidence=0.9).answerable


@pytest.mark.parametrize("bound", [0.3, 0.5])
def test_the_smallest_size_is_exact(bound):
    smallest = answerable(bound, 0.05, 10, confidence=0.7).smallest_n
    assert answerable(bound, 0.05, smallest, confidence=0.7).answerable
    assert not answerable(bound, 0.05, smallest - 1, confidence=0.7).answerable


def test_no_size_within_reach():
    assert answerable(0.001, 0.05, 100, confidence=0.5, limit=1000).smallest_n is None


def test_no_units():
    nothing = answerable(0.05, 0.05, 0, confidence=0.5)
    assert (nothing.p_inconclusive, nothing.expected_units, nothing.answerable) == (1.0, 0.0, False)


def test_more_confidence_expects_more_holding():
    forecasts = [answerable(0.1, 0.05, 300, confidence=z).p_held for z in (0.1, 0.5, 0.9)]
    assert forecasts == sorted(forecasts)


def test_two_thousand_units_are_quick():
    started = time.process_time()
    answerable(0.37, 0.05, 2000, confidence=0.83)
    assert time.process_time() - started < 1.0  # 0.2 s alone on a core; room for a busy machine


def test_futility():
    assert not futile(0, 0, 74, 0.05, 0.05)
    assert not futile(0, 0, 60, 0.05, 0.05)  # `refuted` is still within reach
    assert not futile(0, 72, 74, 0.05, 0.05)
    assert futile(1, 72, 74, 0.05, 0.05)
    assert futile(0, 60, 61, 0.05, 0.05)


def test_the_base_keeps_opinion_out():
    for bound in (0.001, 0.05, 0.3, 0.95):
        base = balanced_base(bound)
        assert base.a + base.b == pytest.approx(4.0)
        assert betainc(base.a, base.b, bound) == pytest.approx(0.5, rel=1e-9)
        assert base.log_odds_shift(0, 0) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    "bad",
    [
        lambda: answerable(0.05, 0.05, 10, confidence=1.0),
        lambda: answerable(0.0, 0.05, 10, confidence=0.5),
        lambda: answerable(0.05, 0.05, -1, confidence=0.5),
        lambda: balanced_base(0.1, 0.0),
    ],
)
def test_arguments_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match="got"):
        bad()
