"""Does the search find the threshold, from below, and are its intervals honest? Simulated units with a known threshold.

A unit breaches with probability `lapse` below the threshold and 1 - lapse above it: at once (slope 0), or along a logistic curve over
doses of about four slopes. Thresholds are spread evenly over [0, 1]. The learner is told nothing of lapse or slope.
"""

import math
import random
from dataclasses import dataclass

import pytest

from refute.learning import Prices, Threshold

RUNS = 10
INFORMATION_ALONE = Prices(risk=0.0)


@dataclass(frozen=True)
class World:
    lapse: float = 0.02
    slope: float = 0.0

    def rate(self, excess):
        if self.slope == 0.0:
            return 1 - self.lapse if excess > 0 else self.lapse
        return self.lapse + (1 - 2 * self.lapse) / (1 + math.exp(-max(-700, min(700, excess / self.slope))))


def search(world, threshold, units, generator, bound=0.5, **rule):
    """Error of the estimate, summed overshoot, and whether the interval of 90 % holds the truth."""
    known, overshoot = Threshold.believed(bound), 0.0
    for _ in range(RUNS):
        dose = known.ask(units, **rule)
        rate = world.rate(dose - threshold)
        overshoot += max(0.0, dose - threshold)
        known = known.tell(dose, sum(generator.random() < rate for _ in range(units)), units)
    found = known.interval(0.9)
    return abs(found.middle - threshold), overshoot, found.low <= threshold <= found.high


def mean_of_searches(world, units, count=100, seed=3, **rule):
    generator = random.Random(seed)
    thresholds = ((place + generator.random()) / count for place in range(count))
    found = [search(world, threshold, units, generator, **rule) for threshold in thresholds]
    return [math.fsum(column) / count for column in zip(*found, strict=True)]


@pytest.mark.parametrize(("units", "most_error", "most_share"), [(20, 0.01, 0.2), (1, 0.035, 0.35)])
def test_precise_and_from_below(units, most_error, most_share):
    plain_error, plain_overshoot, _ = mean_of_searches(World(), units, prices=INFORMATION_ALONE)
    error, overshoot, _ = mean_of_searches(World(), units)
    print(
        f"{units} units a run: error {error:.4f} (information alone {plain_error:.4f}), overshoot {overshoot:.4f} of {plain_overshoot:.4f}"
    )
    assert plain_error < 0.02
    assert error <= most_error
    assert overshoot <= most_share * plain_overshoot


def test_a_strict_criterion_too():
    """Where 5 % of the units may breach, the same care needs a lower λ: a breach is then less telling."""
    error, overshoot, _ = mean_of_searches(World(), 20, bound=0.05, prices=Prices(risk=80.0))
    assert error <= 0.015
    assert overshoot <= 0.06


@pytest.mark.parametrize("world", [World(slope=0.05), World(slope=0.1), World(lapse=0.1), World(lapse=0.1, slope=0.05), World(lapse=0.0)])
def test_other_slopes_and_lapses(world):
    error, overshoot, covered = mean_of_searches(world, 20, count=60)
    print(f"{world}: error {error:.4f}, overshoot {overshoot:.4f}, interval of 90 % covers {covered:.3f}")
    assert error <= 0.035
    assert overshoot <= 0.07
    assert covered > 0.8  # 0.9 less 2.5 standard errors


def test_the_interval_covers():
    covered = [mean_of_searches(World(), units, count=100, seed=9)[2] for units in (1, 5, 20)]
    print(f"intervals of 90 % cover {covered}")
    assert min(covered) >= 0.82  # 0.9 less 2.6 standard errors
