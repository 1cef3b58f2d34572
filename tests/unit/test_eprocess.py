import math
import random

import pytest

from refute.stats import RatioTest, log_e_hold, log_e_refute

LOG_20 = math.log(20)


@pytest.mark.parametrize(("bound", "units"), [(0.01, 377), (0.05, 74), (0.10, 36), (0.30, 11)])
def test_units_without_a_breach_until_held(bound, units):
    assert log_e_hold(0, units - 1, bound) < LOG_20 <= log_e_hold(0, units, bound)
    evidence = RatioTest(bound).evidence([False] * units)
    assert evidence.decision == "held"
    assert RatioTest(bound).evidence([False] * (units - 1)).decision is None


def test_evidence_is_the_mixture_that_it_claims_to_be():
    """Numerical integration of the likelihood ratio over the cut Beta(½, ½), by the substitution q = sin²(u)."""
    s, n, c = 7, 60, 0.05
    start, end, steps = math.asin(math.sqrt(c)), math.pi / 2, 20_000
    width = (end - start) / steps
    total = 0.0
    for k in range(steps):
        q = math.sin(start + (k + 0.5) * width) ** 2
        total += (q / c) ** s * ((1 - q) / (1 - c)) ** (n - s)
    assert log_e_refute(s, n, c) == pytest.approx(math.log(total / steps), rel=1e-6)


def test_no_units_say_nothing():
    assert log_e_refute(0, 0, 0.2) == pytest.approx(0.0, abs=1e-14)
    assert log_e_hold(0, 0, 0.2) == pytest.approx(0.0, abs=1e-14)


def test_the_two_sides_mirror_each_other():
    assert log_e_refute(9, 40, 0.3) == pytest.approx(log_e_hold(31, 40, 0.7), rel=1e-12)


def test_many_breaches_refute():
    assert RatioTest(0.05).evidence([True, True]).decision == "refuted"
    assert RatioTest(0.05).evidence([True]).decision is None


def test_the_first_verdict_stays():
    evidence = RatioTest(0.30).evidence([False] * 11 + [True] * 200)
    assert evidence.decision == "held"
    assert evidence.log_refute > LOG_20


def test_unresolved_units_are_filled_against_each_verdict():
    test = RatioTest(0.30)
    open_at_start = test.evidence([None, *[True] * 4])
    filled = test.evidence([False, *[True] * 4])
    assert open_at_start.log_refute == filled.log_refute
    assert test.evidence([None, *[False] * 10]).log_hold == test.evidence([True, *[False] * 10]).log_hold
    assert test.evidence([None] * 500).decision is None


def test_order_of_arrival_does_not_matter_in_the_end():
    generator = random.Random(5)
    breaches = [generator.random() < 0.2 for _ in range(120)]
    order = list(range(120))
    generator.shuffle(order)
    watch = RatioTest(0.1).watch()
    for index in order:
        watch.see(index, breaches[index])
    in_order = RatioTest(0.1).evidence(breaches)
    assert watch.evidence.log_refute == in_order.log_refute
    assert watch.evidence.log_hold == in_order.log_hold


def test_a_unit_that_was_not_eligible_leaves_no_trace():
    watch = RatioTest(0.30).watch()
    for index in range(11):
        watch.see(index, breach=None)
    watch.skip(3)
    for index in [0, 1, 2, *range(4, 12)]:
        watch.see(index, breach=False)
    assert watch.evidence == RatioTest(0.30).evidence([False] * 11)


def test_clusters_count_once():
    assert RatioTest(0.05).evidence([0.1, 0.0, 0.25]).log_refute >= 0.0
    # a cluster that is half bad says less than the likelihood ratio of a coin between good and bad
    both = 0.5 * math.exp(log_e_refute(1, 1, 0.05)) + 0.5 * math.exp(log_e_refute(0, 1, 0.05))
    assert log_e_refute(0.5, 1, 0.05) <= math.log(both)


def test_boundaries_are_where_the_watch_decides():
    test = RatioTest(0.1)
    boundaries = test.boundaries(200)
    assert boundaries[0] == (None, None)
    for n in (1, 2, 35, 36, 100, 200):
        hold, refute = boundaries[n]
        held = [s for s in range(n + 1) if log_e_hold(s, n, 0.1) >= test.threshold]
        refuted = [s for s in range(n + 1) if log_e_refute(s, n, 0.1) >= test.threshold]
        assert hold == (max(held) if held else None)
        assert refute == (min(refuted) if refuted else None)


def test_second_outcome_of_a_unit_is_refused():
    watch = RatioTest(0.1).watch()
    watch.see(0, breach=True)
    with pytest.raises(ValueError, match="one outcome per unit"):
        watch.see(0, breach=True)


@pytest.mark.parametrize(
    "bad", [lambda: RatioTest(0.0), lambda: RatioTest(1.0), lambda: RatioTest(0.1, 0.0), lambda: log_e_hold(3, 2, 0.1)]
)
def test_arguments_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match="got"):
        bad()


def test_outcome_out_of_range_is_refused():
    with pytest.raises(ValueError, match="outcome"):
        RatioTest(0.1).watch().see(0, 1.5)
