"""Verdicts on pairs of training runs, simulated: no more than alpha are false whatever the metric's distribution, and few pairs suffice."""

from __future__ import annotations

import numpy as np
import pytest

from refute.stats import PAIRED_WEIGHT, RatioTest, answerable

ALPHA, PAIRS, WORLDS, BAND = 0.05, 24, 4000, 0.02


def differences(kind, generator, middle):
    """How much worse the faulted run of each pair is; the median is `middle`."""
    shape = (WORLDS, PAIRS)
    if kind == "normal":
        return middle + 0.01 * generator.standard_normal(shape)
    if kind == "heavy":
        return middle + 0.01 * generator.standard_t(1, shape)
    if kind == "skewed":
        return middle + 0.05 * (generator.exponential(1, shape) - np.log(2))
    harmless = generator.random(shape) < 0.5  # the run is ruined, or nothing at all happens
    return np.where(harmless, middle - 0.005 * generator.random(shape), middle + 0.8)


def verdicts(worse):
    """(share held, share refuted, mean pairs), looking after each pair."""
    test = RatioTest(0.5, ALPHA)
    bounds = test.boundaries(PAIRS)
    held = refuted = used = 0
    for row in np.cumsum(worse > BAND, axis=1).tolist():
        for n, breaches in enumerate(row, 1):
            hold, refute = bounds[n]
            if hold is not None and breaches <= hold:
                held += 1
                break
            if refute is not None and breaches >= refute:
                refuted += 1
                break
        used += n
    return held / WORLDS, refuted / WORLDS, used / WORLDS


@pytest.mark.parametrize("kind", ["normal", "heavy", "skewed", "all or nothing"])
def test_a_median_at_the_band_is_decided_wrongly_no_more_often_than_stated(kind):
    held, refuted, _ = verdicts(differences(kind, np.random.default_rng([7, len(kind)]), BAND))
    sampling = 3 * (ALPHA * (1 - ALPHA) / WORLDS) ** 0.5
    assert held <= ALPHA + sampling
    assert refuted <= ALPHA + sampling


@pytest.mark.parametrize("kind", ["normal", "heavy", "skewed"])
def test_a_clear_effect_takes_few_pairs(kind):
    generator = np.random.default_rng([8, len(kind)])
    _, refuted, used = verdicts(differences(kind, generator, BAND + 0.1))
    assert refuted > 0.95
    assert used < 9
    held, _, used = verdicts(differences(kind, generator, BAND - 0.1))
    assert held > 0.95
    assert used < 9


def test_six_pairs_are_the_fewest_that_can_answer():
    reachable = [answerable(0.5, ALPHA, pairs, confidence=0.8, weight=PAIRED_WEIGHT).both_reachable for pairs in range(1, 9)]
    assert reachable == [False] * 5 + [True] * 3


def test_the_forecast_is_calibrated_where_pairs_mostly_agree():
    generator = np.random.default_rng(9)
    rates = generator.beta(PAIRED_WEIGHT / 2, PAIRED_WEIGHT / 2, WORLDS)
    worse = np.where(generator.random((WORLDS, PAIRS)) < rates[:, None], 1.0, 0.0)
    held, refuted, _ = verdicts(worse)
    forecast = answerable(0.5, ALPHA, PAIRS, confidence=0.5, weight=PAIRED_WEIGHT)
    assert forecast.p_held == pytest.approx(held, abs=0.03)
    assert forecast.p_refuted == pytest.approx(refuted, abs=0.03)
