"""Are forecasts calibrated, on applications from the model's own prior and on programs that know nothing of it?

Forecasts are for faults that were not tried, after so many runs drawn at random. Intervals are over applications, whose forecasts hang
together.
"""

import random

import numpy as np
import pytest

from refute.learning.propagation.learner import learner_of
from refute.learning.propagation.worlds import generated_spaces
from support.prior_worlds import KINDS, drawn_space

RUNS = 8


def forecasts(space):
    """Return outcomes of the faults that were not tried, and what mixture, model and plain learner said of them."""
    rng = random.Random(space.application)
    learner = learner_of(space.calls, space.steady, KINDS)
    pool = list(space.runs)
    rng.shuffle(pool)
    for _ in range(RUNS):
        run = next((one for one in pool if all(fault.call in learner.calls for fault in one.faults)), None)
        if run is None:
            break
        pool.remove(run)
        learner.observe(run, space.calls, random=True)
    left = [run for run in space.runs if run.faults not in learner.tried]
    sets = [run.faults for run in left]
    model = np.clip(learner.model.forecast(sets, space.calls)[1], 1e-4, 1 - 1e-4)
    return np.array([run.available for run in left]), learner.available(sets, space.calls), model, learner.plain.forecast(sets)


def loss(outcomes, said):
    return float(np.mean(-np.log2(np.where(outcomes, said, 1 - said))))


def entropy(said):
    return float(np.mean(-said * np.log2(said) - (1 - said) * np.log2(1 - said)))


def calibration_error(found, which):
    said, outcomes = np.concatenate([one[which] for one in found]), np.concatenate([one[0] for one in found])
    bins = np.minimum((said * 10).astype(int), 9)
    inside = [bins == number for number in range(10) if (bins == number).any()]
    return sum(abs(said[rows].mean() - outcomes[rows].mean()) * rows.mean() for rows in inside)


def interval(values):
    """Return a 95 % bootstrap interval of the mean over applications."""
    rng = np.random.default_rng(0)
    values = np.array(values)
    means = values[rng.integers(0, len(values), (2000, len(values)))].mean(1)
    return np.percentile(means, [2.5, 97.5])


@pytest.fixture(scope="module")
def matching():
    return [one for one in map(forecasts, map(drawn_space, range(200))) if len(one[0])]


@pytest.fixture(scope="module")
def programs():
    return [one for one in map(forecasts, generated_spaces(80, 101)) if len(one[0])]


def test_expected_and_actual_surprise_agree_where_the_prior_is_true(matching):
    """The model's forecasts claim to be worth so many bits; that is what they are worth, within three standard errors."""
    off = np.array([loss(one[0], one[2]) - entropy(one[2]) for one in matching])
    print(f"actual less expected surprise: {off.mean():.4f} bits, standard error {off.std() / len(off) ** 0.5:.4f}")
    assert abs(off.mean()) < 3 * off.std() / len(off) ** 0.5


@pytest.mark.parametrize("worlds", ["matching", "programs"])
def test_forecasts_are_calibrated(worlds, request):
    found = request.getfixturevalue(worlds)
    assert sum(len(one[0]) for one in found) > 1000
    error = calibration_error(found, 1)
    print(f"{worlds}: expected calibration error {error:.3f}")
    assert error < 0.05


@pytest.mark.parametrize("worlds", ["matching", "programs"])
def test_forecasts_beat_the_plain_learner_and_the_base_rate(worlds, request):
    found = request.getfixturevalue(worlds)
    rates = [one[0].mean() for one in found]
    base = [(sum(rates) - rate + 0.5) / len(rates) for rate in rates]  # of the other applications
    over_plain = interval([loss(one[0], one[3]) - loss(one[0], one[1]) for one in found])
    over_base = interval([loss(one[0], np.full(len(one[0]), rate)) - loss(one[0], one[1]) for one, rate in zip(found, base, strict=True)])
    print(f"{worlds}: bits gained on the plain learner {over_plain}, on the base rate {over_base}")
    assert over_plain[0] > 0
    assert over_base[0] > 0


def test_expected_surprise_does_not_fall_short_on_programs(programs):
    """Wider than needed is forgivable; surer than right is not."""
    low, _ = interval([entropy(one[1]) - loss(one[0], one[1]) for one in programs])
    assert low > -0.01
