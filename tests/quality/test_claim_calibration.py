"""Is the confidence of a claim calibrated in worlds that do not come from its prior?"""

import numpy as np
import pytest

from refute.learning import Claim, calibrate, reliability_table
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
