"""Can confidence be trusted where worlds do not come from the model's prior? The generator: tests/support/claim_worlds.py."""

import math
from collections import defaultdict

import claim_worlds
import numpy as np
import pytest

from refute.learning import Claim, calibrate, learned_bits, reliability_table
from refute.stats import betainc

PLAIN_WEIGHT = 4.0


@pytest.fixture(scope="module")
def cases():
    return claim_worlds.claims()


@pytest.fixture(scope="module")
def after(cases):
    return [Claim(case.stated, case.bound).after(case.breaches, case.units).confidence for case in cases]


def log_score(probability, true):
    return -math.log2(max(1e-15, probability if true else 1.0 - probability))


def log_scores(probabilities, cases):
    return np.array([log_score(probability, case.true) for probability, case in zip(probabilities, cases, strict=True)])


def calibration_error(probabilities, truths):
    table = reliability_table(list(zip(probabilities, truths, strict=True)))
    return sum(row.count * abs(row.forecast - row.happened) for row in table) / len(probabilities)


def by_world(values, cases):
    """Sum and number of each world's values."""
    found = defaultdict(list)
    for value, case in zip(values, cases, strict=True):
        found[case.world].append(value)
    return np.array([(sum(one), len(one)) for one in found.values()])


def interval(values, cases, times=2000, seed=5):
    """95 % bootstrap interval of the mean, whole worlds drawn."""
    worlds = by_world(values, cases)
    drawn = np.random.default_rng(seed).integers(0, len(worlds), (times, len(worlds)))
    sums = worlds[drawn].sum(axis=1)
    return tuple(np.quantile(sums[:, 0] / sums[:, 1], (0.025, 0.975)).tolist())


def folded(stated, bound):
    """The plain rule: one beta of the same weight whose mass within the bound is the stated confidence."""
    low, high = 1e-6, PLAIN_WEIGHT
    for _ in range(50):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if betainc(middle, PLAIN_WEIGHT - middle + 1e-9, bound) > stated else (low, middle)
    return 0.5 * (low + high)


def plain(case):
    a = folded(case.stated, case.bound)
    return betainc(a + case.breaches, PLAIN_WEIGHT - a + 1e-9 + case.units - case.breaches, case.bound)


def test_the_stated_confidences_are_truthful_on_average(cases):
    assert len(cases) == 10_000
    assert calibration_error([case.stated for case in cases], [case.true for case in cases]) < 0.03


def test_confidence_after_a_run_is_calibrated(cases, after):
    errors = {}
    for kind in ("all", *claim_worlds.KINDS):
        kept = [(p, case.true) for p, case in zip(after, cases, strict=True) if kind in {"all", case.kind}]
        errors[kind] = calibration_error([p for p, _ in kept], [true for _, true in kept])
    gaps = [p - case.true for p, case in zip(after, cases, strict=True)]
    print({kind: round(error, 4) for kind, error in errors.items()}, "mean confidence less truth", interval(gaps, cases))
    assert errors["all"] <= 0.05
    assert max(errors.values()) <= 0.1
    assert calibrate([(p, case.true) for p, case in zip(after, cases, strict=True)]).resolution > 0.1


def test_log_score_beats_base_rate_opinion_and_the_plain_rule(cases, after):
    base_rate = sum(case.true for case in cases) / len(cases)
    ours = log_scores(after, cases)
    for name, others in (
        ("base rate", [base_rate] * len(cases)),
        ("stated confidence", [case.stated for case in cases]),
        ("plain beta rule", [plain(case) for case in cases]),
    ):
        gain = log_scores(others, cases) - ours
        low, high = interval(gain, cases)
        print(f"log score {ours.mean():.3f} bits, better than the {name} by {gain.mean():.3f} [{low:.3f}, {high:.3f}]")
        assert low > 0.0


def test_claim_bits_are_log_score_gained_where_the_prior_holds():
    cases = claim_worlds.matching()
    after = [Claim(case.stated, case.bound).after(case.breaches, case.units).confidence for case in cases]
    gained = log_scores([case.stated for case in cases], cases) - log_scores(after, cases)
    bits = np.array([learned_bits(case.stated, p) for case, p in zip(cases, after, strict=True)])
    differences = bits - gained
    error = differences.std(ddof=1) / math.sqrt(len(cases))
    print(f"claim bits {bits.mean():.4f}, log score gained {gained.mean():.4f}, standard error of the difference {error:.4f}")
    assert bits.mean() > 0.2
    assert abs(differences.mean()) <= 3 * error
