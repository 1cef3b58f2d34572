"""The grid posterior over a tolerance threshold."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refute.learning import Prices, Shape, Threshold, prior_of
from refute.learning.psychometric import count_chances, level_of, rate_of, shapes
from refute.learning.threshold import STEPS


def test_the_rate_at_the_threshold_is_the_bound():
    shape = Shape(bound=0.05, slope=0.03, below=0.005, above=0.6)
    assert shape.rate(0.0) == pytest.approx(0.05)
    assert shape.rate(-1.0) == pytest.approx(0.005)
    assert shape.rate(1.0) == pytest.approx(0.6)
    assert shape.rate(-math.inf) == 0.005


@given(st.floats(0.001, 0.999), st.floats(0.05, 1.0))
def test_shapes_straddle_any_bound(bound, share):
    found = shapes(bound, share)
    assert math.fsum(weight for _, weight in found) == pytest.approx(1.0)
    assert all(shape.below < bound < shape.above for shape, _ in found)


def test_levels_are_closer_than_the_noise_of_counts():
    for rate in (0.001, 0.02, 0.3, 0.97):
        near = rate_of(level_of(rate))
        assert abs(math.asin(math.sqrt(near)) - math.asin(math.sqrt(rate))) < 1 / (2 * math.sqrt(32)) / 3
    assert all(math.fsum(chances) == pytest.approx(1.0) for chances in count_chances(20))


def test_nothing_told_is_the_prior():
    known = Threshold.believed(0.05)
    assert known.holds(0.25) == pytest.approx(0.75)
    found = known.interval(0.9)
    assert (found.low, found.middle, found.high) == pytest.approx((0.05, 0.5, 0.95))
    assert known.tell(0.5, 0, 0).marginal() == pytest.approx(known.marginal())


def test_the_stated_confidence_is_the_prior():
    known = Threshold.believed(0.05, prior_of(at_least=0.4, sure=0.8))
    assert known.holds(0.4) == pytest.approx(0.8, abs=0.01)
    assert known.holds(1.0) > 0.05


def test_breaches_lower_and_clean_units_raise():
    known = Threshold.believed(0.05)
    assert known.tell(0.5, 20, 20).holds(0.5) < 0.01
    assert known.tell(0.5, 0, 60).holds(0.5) > 0.99
    assert known.tell(0.5, 0, 60).largest_that_holds() == pytest.approx(0.5, abs=0.05)


def test_order_does_not_matter():
    told = [(0.2, 0, 20), (0.6, 11, 20), (0.4, 1, 20)]
    forth, back = Threshold.believed(0.05), Threshold.believed(0.05)
    for one, other in zip(told, reversed(told), strict=True):
        forth, back = forth.tell(*one), back.tell(*other)
    assert forth.marginal() == pytest.approx(back.marginal())


def test_information_alone_halves_and_a_price_comes_from_below():
    known = Threshold.believed(0.5)
    assert known.ask(20, Prices(risk=0.0)) == pytest.approx(0.5, abs=0.03)
    doses = [known.ask(20, Prices(risk=risk)) for risk in (0.0, 10.0, 100.0, 1000.0)]
    assert doses == sorted(doses, reverse=True)
    assert doses[-1] < 0.1
    assert known.ask(20, Prices(risk=0.0), most=0.2) <= 0.2


def test_information_is_bounded_by_the_question():
    known = Threshold.believed(0.5)
    assert known.bits(0.5, 20) == pytest.approx(1.0, abs=0.1)
    assert known.bits(0.5, 1) < known.bits(0.5, 20)
    assert known.bits(0.0, 20) == pytest.approx(0.0, abs=1e-9)


@settings(max_examples=10, deadline=None)
@given(st.floats(0.0, 1.0))
def test_the_expected_confidence_after_is_the_one_before(dose):
    """Conservation of expected evidence, over every count of 4 units at a dose on the grid."""
    dose = round(dose * STEPS) / STEPS
    known = Threshold.believed(0.3)
    chances = []
    for count in range(5):
        chance = math.comb(4, count) * math.fsum(
            weight * shape.rate(dose - (cell + 0.5) / STEPS) ** count * (1 - shape.rate(dose - (cell + 0.5) / STEPS)) ** (4 - count)
            for shape, row in zip(known.shapes, known.weights, strict=True)
            for cell, weight in enumerate(row[:STEPS])
        )
        chances.append((chance, known.tell(dose, count, 4).holds(0.5)))
    assert math.fsum(chance for chance, _ in chances) == pytest.approx(1.0)  # the prior has nothing beyond the largest dose
    assert math.fsum(chance * after for chance, after in chances) == pytest.approx(known.holds(0.5))


def test_the_curve_rises_and_its_band_narrows():
    known = Threshold.believed(0.05)
    told = known.tell(0.25, 0, 60).tell(0.5, 58, 60)
    curve = told.curve()
    assert all(one.low <= one.rate <= one.high for one in curve)
    rates = [one.rate for one in curve]
    assert rates == sorted(rates)
    middle = next(one for one in curve if one.dose == 0.25)
    assert middle.high - middle.low < 0.1
    wide = next(one for one in known.curve() if one.dose == 0.25)
    assert wide.high - wide.low > 0.5


def test_beyond_the_largest_dose():
    known = Threshold.believed(0.05, prior_of(0.5, 0.9)).tell(1.0, 0, 200)
    assert known.interval().high == math.inf
    assert known.largest_that_holds() == 1.0


@pytest.mark.parametrize("call", [
    lambda: Threshold.believed(0.0), lambda: Threshold.believed(0.1, [1.0]), lambda: Threshold.believed(0.1).tell(1.1, 0, 1),
    lambda: Threshold.believed(0.1).tell(0.5, 2, 1), lambda: prior_of(0.0, 0.5), lambda: prior_of(0.5, 1.0),
    lambda: Shape(0.1, 0.0, 0.2, 0.9),
])  # fmt: skip
def test_out_of_range_is_refused(call):
    with pytest.raises(ValueError, match=r"need|weights|shape|bound"):
        call()
