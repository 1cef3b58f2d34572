"""Does the planner find what it should, sooner than the others? Figures of a few seeds; `benchmarks/planner.py` prints those of many."""

import sys
from pathlib import Path

import numpy as np
import pytest

from refute.learning.propagation.space import read_spaces
from refute.learning.propagation.worlds import generated_spaces

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import planner  # noqa: E402

SEEDS = 2
CHOOSERS = ("random", "exhaustive", "lineage", "information", "information_per_risk")


def played(spaces, choosers, seeds):
    tasks = [(space, name, seed) for space in spaces for name in choosers for seed in range(seeds)]
    return planner.summary([planner.play(task) for task in tasks], list(choosers))["choosers"]


@pytest.fixture(scope="module")
def measured():
    return played(read_spaces(ROOT / "tests" / "data" / "fault-spaces"), CHOOSERS, SEEDS)


@pytest.fixture(scope="module")
def generated():
    """Applications that nothing was chosen on."""
    return played(generated_spaces(12, 2024), ("random", "lineage", "information", "information_per_risk"), 1)


def needed(found, name):
    return found[name]["experiments_to_0.1_bit"]


def test_measured_applications_are_known_after_few_experiments(measured):
    assert needed(measured, "information") < 5.0
    assert needed(measured, "information_per_risk") < 5.0
    assert measured["information"]["cross_entropy"]["20"] < 0.045
    assert measured["information_per_risk"]["cross_entropy"]["20"] < 0.045


def test_choosers_come_in_their_order(measured, generated):
    assert needed(measured, "information") < needed(measured, "lineage") < needed(measured, "exhaustive")
    assert needed(measured, "information") < needed(measured, "random")
    for other in ("random", "lineage"):
        assert needed(generated, "information") < needed(generated, other)
        assert generated["information"]["cross_entropy"]["20"] < generated[other]["cross_entropy"]["20"]


def test_a_price_on_risk_saves_outages(measured, generated):
    for found in (measured, generated):
        assert found["information_per_risk"]["outages_20"] < min(found[name]["outages_20"] for name in ("random", "lineage", "information"))
    assert needed(generated, "information_per_risk") < 11.0


def test_certainty_does_not_blow_up(measured, generated):
    for found in (measured, generated):
        for row in found.values():
            assert row["cross_entropy"]["60"] <= max(0.1, row["cross_entropy"]["20"])


def test_the_printed_object_has_the_agreed_shape(measured):
    row = measured["information"]
    assert {"experiments_to_0.1_bit", "cross_entropy", "outages_20"} <= set(row)
    assert list(row["cross_entropy"]) == ["0", "5", "10", "20", "60"]
    assert all(np.isfinite(low) and low <= high for low, high in row["intervals"].values())
