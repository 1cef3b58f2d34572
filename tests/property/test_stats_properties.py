import math

from hypothesis import given, settings
from hypothesis import strategies as st

from refute.learning import Claim, calibrate, surprise_bits
from refute.stats import (
    AbsoluteStop,
    MeanTest,
    RatioTest,
    RelativeTest,
    beta_quantile,
    betainc,
    clopper_pearson,
    jeffreys_interval,
    log_beta,
    log_betainc,
    log_e_hold,
    log_e_refute,
)

SHAPES = st.floats(0.05, 3000)
RATES = st.floats(0.001, 0.999)
BOUNDS = st.sampled_from([0.01, 0.05, 0.1, 0.3, 0.5, 0.8])
OUTCOMES = st.lists(st.booleans(), min_size=1, max_size=60)


@st.composite
def counts(draw, most=2000):
    units = draw(st.integers(0, most))
    return draw(st.integers(0, units)), units


@given(SHAPES, SHAPES, RATES)
def test_both_tails_make_one(a, b, x):
    assert math.isclose(betainc(a, b, x) + betainc(b, a, 1 - x), 1.0, rel_tol=1e-10)


@given(SHAPES, SHAPES, RATES)
def test_recurrence_of_the_incomplete_beta(a, b, x):
    """DLMF 8.17.20."""
    step = math.exp(a * math.log(x) + b * math.log1p(-x) - math.log(a) - log_beta(a, b))
    assert math.isclose(betainc(a, b, x), betainc(a + 1, b, x) + step, rel_tol=1e-9, abs_tol=1e-12)


@given(SHAPES, SHAPES)
def test_recurrence_of_beta(a, b):
    assert math.isclose(log_beta(a + 1, b), log_beta(a, b) + math.log(a / (a + b)), rel_tol=1e-12, abs_tol=1e-11)


@given(SHAPES, SHAPES, RATES, RATES)
def test_the_incomplete_beta_rises(a, b, x, y):
    low, high = sorted((x, y))
    assert log_betainc(a, b, low) <= log_betainc(a, b, high) + 1e-12


@given(st.floats(0.3, 2000), st.floats(0.3, 2000), st.floats(0.001, 0.999))
def test_quantile_inverts(a, b, p):
    assert math.isclose(betainc(a, b, beta_quantile(p, a, b)), p, rel_tol=1e-6)


@given(counts())
def test_intervals_hold_the_rate(pair):
    breaches, units = pair
    if units:
        for low, high in (clopper_pearson(breaches, units), jeffreys_interval(breaches, units)):
            assert 0.0 <= low <= breaches / units <= high <= 1.0


@given(counts(), BOUNDS)
def test_a_breach_speaks_against_and_a_good_unit_for(pair, bound):
    s, n = pair
    assert log_e_refute(s + 1, n + 1, bound) > log_e_refute(s, n, bound) - 1e-9 > log_e_refute(s, n + 1, bound) - 2e-9
    assert log_e_hold(s + 1, n + 1, bound) < log_e_hold(s, n, bound) + 1e-9 < log_e_hold(s, n + 1, bound) + 2e-9


@given(counts(most=300), BOUNDS)
def test_evidence_is_fair_at_the_bound(pair, bound):
    """A martingale at the boundary rate: the mean of the next value is the present one."""
    s, n = pair
    for log_e in (log_e_refute, log_e_hold):
        now = log_e(s, n, bound)
        following = bound * math.exp(log_e(s + 1, n + 1, bound) - now) + (1 - bound) * math.exp(log_e(s, n + 1, bound) - now)
        assert math.isclose(following, 1.0, rel_tol=1e-9)


@given(OUTCOMES, BOUNDS, st.randoms(use_true_random=False))
def test_a_look_never_claims_more_than_the_end_will(breaches, bound, random):
    """Late outcomes in any order: evidence only grows, and ends at the running maximum over the whole sequence."""
    order = list(range(len(breaches)))
    random.shuffle(order)
    watch, previous = RatioTest(bound).watch(), (0.0, 0.0)
    for index in order:
        evidence = watch.see(index, breaches[index])
        assert evidence.log_refute >= previous[0]
        assert evidence.log_hold >= previous[1]
        previous = evidence.log_refute, evidence.log_hold
    prefixes = [(sum(breaches[:n]), n) for n in range(len(breaches) + 1)]
    assert math.isclose(watch.evidence.log_refute, max(0.0, *(log_e_refute(s, n, bound) for s, n in prefixes)), abs_tol=1e-12)
    assert math.isclose(watch.evidence.log_hold, max(0.0, *(log_e_hold(s, n, bound) for s, n in prefixes)), abs_tol=1e-12)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=40), st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_relative_and_mean_looks_only_grow(rows, random):
    order = list(range(len(rows)))
    random.shuffle(order)
    relative, mean, stop = RelativeTest(0.05).watch(), MeanTest(0.4).watch(), AbsoluteStop(0.4).watch()
    for treatment, _ in rows:
        relative.begin(treatment=treatment, share=0.3)
    seen = [(0.0, 0.0, 0.0, 0.0, 0.0)]
    for index in order:
        one, other = relative.see(index, rows[index][1]), mean.see(index, rows[index][1])
        stop.see(index, rows[index][1])
        seen.append((one.log_refute, one.log_hold, other.log_refute, other.log_hold, stop.log_evidence))
        assert all(new >= old for new, old in zip(seen[-1], seen[-2], strict=True))
    in_order = MeanTest(0.4).watch()
    for index, (_, score) in enumerate(rows):
        in_order.see(index, score)
    assert math.isclose(in_order.evidence.log_hold, mean.evidence.log_hold, rel_tol=1e-9, abs_tol=1e-12)


@given(st.floats(0.001, 0.999), BOUNDS, counts(most=400), st.integers(1, 60))
def test_claims_are_coherent(stated, bound, pair, more):
    claim = Claim(stated, bound).after(*pair)
    assert 0.0 <= claim.confidence <= 1.0
    predicted = claim.predict(more)
    assert math.isclose(math.fsum(predicted), 1.0, rel_tol=1e-8)
    expected = math.fsum(p * claim.after(s, more).confidence for s, p in enumerate(predicted))
    assert math.isclose(expected, claim.confidence, rel_tol=1e-6, abs_tol=1e-12)
    assert claim.information(more) >= claim.information(0) - 1e-9


@given(st.floats(0, 1), st.floats(0.001, 0.999))
def test_surprise_is_never_negative(after, before):
    assert surprise_bits(before, after) >= 0.0


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1), st.integers(1, 20))
def test_murphys_parts_add_up(forecasts, bins):
    found = calibrate(forecasts, bins)
    assert math.isclose(found.brier, found.reliability - found.resolution + found.uncertainty + found.within, abs_tol=1e-9)
    assert abs(found.within) <= 1.0 / bins + 1e-9
