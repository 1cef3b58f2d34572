"""Is the confidence of a claim calibrated in worlds that do not come from its prior?"""

import numpy as np
import pytest

from refute.learning import Claim, Counts, Seen, calibrate, combined, relative_counts, reliability_table
from refute.stats import beta_quantile, betainc

BOUNDS = (0.05, 0.1, 0.3)
STATED = (0.5, 0.7, 0.9)
SIZES = (5, 20, 60)


def folded(stated, bound):
    """The alternative that was turned down: one beta of the same weight whose mass within the bound is the stated confidence."""
    low, high = 0.0, 4.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if middle == 0.0 or betainc(middle, 4.0 - middle, bound) > stated else (low, middle)
    return 0.5 * (low + high)


def rates(kind, generator, bound, true, size):
    """Breach rates on the right side of the bound, from elsewhere."""
    u = generator.random(size)
    if kind == "even":
        return bound * u if true else bound + (1 - bound) * u * 0.9
    if kind == "close":
        return bound * (0.3 + 0.6 * u) if true else np.minimum(0.98, bound * (1.5 + 2.0 * u))
    return bound * 10 ** (-2 * u) if true else bound * (0.95 / bound) ** u  # even on a logarithmic scale


def forecasts_in(kind, model):
    generator = np.random.default_rng([21, len(kind)])
    found = []
    for bound in BOUNDS:
        for stated in STATED:
            start = folded(stated, bound) if model == "folded" else None
            for units in SIZES:
                truths = generator.random(400) < stated
                theta = np.where(truths, rates(kind, generator, bound, True, 400), rates(kind, generator, bound, False, 400))
                counts = generator.binomial(units, theta)
                if start is None:
                    after = [Claim(stated, bound).after(s, units).confidence for s in range(units + 1)]
                else:
                    after = [betainc(start + s, 4.0 - start + units - s, bound) for s in range(units + 1)]
                found += [(after[s], bool(truth)) for s, truth in zip(counts.tolist(), truths.tolist(), strict=True)]
    return found


def calibration_error(forecasts):
    table = reliability_table(forecasts)
    return sum(row.count * abs(row.forecast - row.happened) for row in table) / len(forecasts)


def test_confidence_is_calibrated_elsewhere():
    """Close to calibrated in each kind of world, and over all better than with the opinion folded in.

    Where worlds are even on a logarithmic scale both are good, and folding is no worse.
    """
    errors, folded_errors = [], []
    for kind in ("even", "logarithmic", "close"):
        apart, together = forecasts_in(kind, "apart"), forecasts_in(kind, "folded")
        errors.append(calibration_error(apart))
        folded_errors.append(calibration_error(together))
        print(f"{kind}: calibration error {errors[-1]:.3f} (opinion folded into the shape: {folded_errors[-1]:.3f})")
        assert calibrate(apart).resolution > 0.05
    assert max(errors) < 0.08
    assert sum(errors) < 0.75 * sum(folded_errors)


def test_quantiles_of_the_base_are_where_the_worlds_were_drawn():
    claim = Claim(0.5, 0.1)
    assert beta_quantile(0.5, claim.base.a, claim.base.b) == pytest.approx(0.1, rel=1e-9)


# ---- several runs of "worse by at most d", with another control rate in each


def worlds(kind, generator, difference, runs):
    """Control rates of some runs, and whether treatment stays within the difference in all of them, and by how much it is worse."""
    controls = generator.uniform(0.02, 0.4, runs)
    true = bool(generator.random() < 0.7)
    if kind == "even":
        worse = generator.uniform(-0.5, 1.0) * difference if true else difference * generator.uniform(1.0, 4.0)
    else:
        worse = difference * generator.uniform(0.2, 0.8) if true else difference * generator.uniform(1.3, 2.5)
    return controls, true, worse


def seen_in(generator, control, worse, difference, units):
    treated = Counts(float(generator.binomial(units, min(0.99, max(0.0, control + worse)))), units)
    return relative_counts(treated, Counts(float(generator.binomial(units, control)), units), difference)


@pytest.mark.parametrize("kind", ["even", "close"])
def test_confidence_after_several_relative_runs_is_calibrated(kind):
    """Each run at its own bound is close to calibrated; all counts at the last run's bound, as if that were everybody's, are not."""
    generator, difference = np.random.default_rng([23, len(kind)]), 0.1
    apart, last = [], []
    for _ in range(400):
        controls, true, worse = worlds(kind, generator, difference, 3)
        found = [seen_in(generator, control, worse, difference, 60) for control in controls]
        together = combined(Seen(bound, counts, str(number)) for number, (bound, counts) in enumerate(found))
        apart.append((Claim(0.7, *together).confidence, true))
        last.append((Claim(0.7, found[-1][0], sum((counts for _, counts in found), Counts())).confidence, true))
    errors = calibration_error(apart), calibration_error(last)
    briers = calibrate(apart).brier, calibrate(last).brier
    print(f"{kind}: three relative runs, calibration error {errors[0]:.3f} (at the last run's bound {errors[1]:.3f})")
    assert errors[0] < 0.08
    assert errors[0] < 0.5 * errors[1]
    assert briers[0] < briers[1] - 0.05


def test_reruns_do_not_make_sure_of_what_is_not_known():
    """A deterministic system is asked the same thirty questions four times. Counted each time, confidence is far off; shared, it is not."""
    generator = np.random.default_rng(24)
    shared, counted = [], []
    for _ in range(4000):
        true = bool(generator.random() < 0.7)
        theta = float(rates("even", generator, 0.1, true, 1)[0])
        counts = Counts(float(generator.binomial(30, theta)), 30.0)
        shared.append((Claim(0.7, *combined([Seen(0.1, counts, "seed 1")] * 4)).confidence, true))
        counted.append((Claim(0.7, 0.1).after(4 * counts.breaches, 120).confidence, true))
    scores = calibrate(shared).log_score, calibrate(counted).log_score
    wrong = surely_wrong(shared), surely_wrong(counted)
    print(f"four runs of one draw, log score {scores[0]:.3f}, surely wrong {wrong[0]:.3f}; counted as new {scores[1]:.3f}, {wrong[1]:.3f}")
    assert scores[0] < scores[1] - 0.03
    assert wrong[0] < 0.03
    assert wrong[1] > 1.5 * wrong[0]


def surely_wrong(forecasts):
    """Of the confidences above 95 % and below 5 %, the share on the wrong side."""
    sure = [(p > 0.5) != happened for p, happened in forecasts if not 0.05 < p < 0.95]
    return sum(sure) / len(sure)
