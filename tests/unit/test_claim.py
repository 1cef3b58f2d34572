import math

import pytest

from refute.learning import (
    Claim,
    Counts,
    learned_bits,
    mean_counts,
    relative_counts,
    surprisal_bits,
    surprise_bits,
)
from refute.stats import betainc, binary_entropy


def test_without_evidence_the_stated_confidence_stands():
    for stated in (0.01, 0.5, 0.9, 0.999):
        assert Claim(stated, 0.05).confidence == pytest.approx(stated)


def test_odds_formula():
    claim = Claim(0.8, 0.1).after(3, 25)
    below = betainc(claim.base.a + 3, claim.base.b + 22, 0.1)
    odds = 4.0 * below / (1 - below)
    assert claim.confidence == pytest.approx(odds / (1 + odds), rel=1e-10)


def test_predictive_formula_of_the_design():
    for claim in (Claim(0.9, 0.05), Claim(0.3, 0.2).after(4, 11), Claim(0.5, 0.01).after(0, 100)):
        s, n, z, c = claim.seen.breaches, claim.seen.units, claim.confidence, claim.bound
        a, b = claim.base.a + s, claim.base.b + n - s
        inside, after = betainc(a, b, c), betainc(a + 1, b, c)
        expected = a / (a + b) * (z * after / inside + (1 - z) * (1 - after) / (1 - inside))
        assert claim.p_breach() == pytest.approx(expected, rel=1e-9)


def test_expected_information_of_one_unit():
    claim = Claim(0.7, 0.1).after(2, 30)
    p = claim.p_breach()
    expected = binary_entropy(claim.confidence) - sum(
        chance * binary_entropy(claim.after(breach, 1).confidence) for chance, breach in ((p, 1), (1 - p, 0))
    )
    assert claim.information() == pytest.approx(expected, rel=1e-9)


def test_expected_confidence_is_the_present_one():
    claim = Claim(0.85, 0.05).after(1, 12)
    expected = sum(chance * claim.after(s, 40).confidence for s, chance in enumerate(claim.predict(40)))
    assert expected == pytest.approx(claim.confidence, rel=1e-10)


def test_information_grows_with_units_and_stays_below_the_entropy():
    claim = Claim(0.9, 0.05)
    bits = [claim.information(n) for n in (0, 1, 10, 74, 400, 2000)]
    assert bits[0] == pytest.approx(0.0, abs=1e-12)
    assert bits == sorted(bits)
    assert bits[-1] < binary_entropy(0.9)
    assert bits[-1] > 0.8 * binary_entropy(0.9)


def test_known_answers_promise_little():
    settled = Claim(0.9, 0.05).after(0, 400)
    assert settled.information(10) < 0.001
    hopeless = Claim(0.9, 0.05).after(150, 200)
    assert hopeless.confidence < 1e-50
    assert hopeless.information(50) == pytest.approx(0.0, abs=1e-12)
    assert sum(hopeless.predict(50)) == pytest.approx(1.0)


def test_predictive_sums_to_one_in_extreme_corners():
    for claim in (Claim(0.5, 0.5), Claim(0.99, 0.001), Claim(0.01, 0.999).after(5, 5), Claim(0.5, 0.5).after(500, 2000)):
        assert math.fsum(claim.predict(1500)) == pytest.approx(1.0, rel=1e-9)


@pytest.mark.parametrize("stated", [0.0, 1.0, -0.1, 1.5, math.nan])
def test_certainty_is_refused(stated):
    with pytest.raises(ValueError, match="confidence"):
        Claim(stated, 0.05)


def test_bits():
    assert learned_bits(0.5, 1.0) == 1.0
    assert learned_bits(0.9, 0.6) < 0.0
    assert surprise_bits(0.5, 1.0) == 1.0
    assert surprise_bits(0.3, 0.3) == 0.0
    assert surprise_bits(0.9, 0.1) > surprise_bits(0.9, 0.5)
    assert surprise_bits(0.0, 0.5) == math.inf
    assert surprisal_bits(0.125) == 3.0
    assert surprisal_bits(0.0) == math.inf


def test_relative_counts():
    treatment = Counts(10, 100)
    bound, endless = relative_counts(treatment, Counts(50_000, 1_000_000), 0.05)
    assert bound == pytest.approx(0.1, abs=1e-5)
    assert endless.units == pytest.approx(100, rel=1e-3)
    _, equal = relative_counts(treatment, Counts(5, 100), 0.05)
    assert 50 < equal.units < 100
    assert equal.breaches / equal.units == pytest.approx(0.1)
    assert relative_counts(treatment, Counts(), 0.05)[1] == Counts()
    good = Claim(0.5, bound).after(2, endless.units).confidence
    bad = Claim(0.5, bound).after(30, endless.units).confidence
    assert good > 0.95
    assert bad < 0.05


def test_mean_counts():
    yes_or_no = mean_counts(0.2, 0.16, 50)
    assert (yes_or_no.breaches, yes_or_no.units) == pytest.approx((10.0, 50.0))
    assert mean_counts(0.2, 0.04, 50).units == pytest.approx(200)
    assert mean_counts(0.2, 0.0, 50).units == pytest.approx(800)  # capped
    assert mean_counts(0.0, 0.0, 50) == Counts(0.0, 50.0)
    assert mean_counts(0.2, 0.16, 0) == Counts()


@pytest.mark.parametrize(
    "bad",
    [
        lambda: Claim(0.5, 0.0),
        lambda: Counts(3, 2),
        lambda: Claim(0.5, 0.1).information(-1),
        lambda: surprisal_bits(2.0),
        lambda: relative_counts(Counts(), Counts(), 1.0),
        lambda: mean_counts(1.2, 0.0, 1),
    ],
)
def test_arguments_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match="got"):
        bad()
