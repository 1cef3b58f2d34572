from __future__ import annotations

import random

import pytest

from refute.insight import series


def outcome(arm="treatment", *, value: float | None = 1.0, start_s=0.0, latency_s=1.0, error="", eligible=1):
    return {
        "arm": arm, "values": {"answered": value}, "start_s": start_s, "latency_s": latency_s, "error": error,
        "eligible": {"llm": eligible}, "hits": {}, "journey": "", "cost": {},
    }  # fmt: skip


def test_wilson_agrees_with_published_values():
    # Newcombe, Statistics in Medicine 17:857, 1998, table I: 81 of 263 and 0 of 20.
    assert series.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert series.wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_quantile_interval_covers():
    rng, covered = random.Random(1), 0
    for _ in range(400):
        low, high = series.quantile_interval([rng.random() for _ in range(100)], 0.9)
        covered += low <= 0.9 <= high
    assert covered >= 0.93 * 400


def test_quantile_of_known_values():
    values = [float(i) for i in range(1, 101)]
    assert [series.quantile(values, q) for q in (0.5, 0.95, 0.99)] == [50.0, 95.0, 99.0]


def test_a_unit_that_raised_without_a_number_counts_as_bad():
    assert series.value_of(outcome(value=None, error="TimeoutError"), "answered") == 0.0
    assert series.value_of(outcome(value=None), "answered") is None


def test_only_units_that_called_the_target_are_compared_where_both_arms_have_such():
    mixed = [outcome("treatment"), outcome("treatment", eligible=0), outcome("control"), outcome("control", eligible=0)]
    assert len(series.comparable(mixed, ["llm"])) == 2
    assert len(series.comparable(mixed, ["elsewhere"])) == 4


def test_ecdf_ends_at_one_and_is_thinned():
    line = series.ecdf([random.Random(2).random() for _ in range(5000)])
    assert line["y"][-1] == 1.0
    assert len(line["x"]) <= 160
    assert line["x"] == sorted(line["x"])


def test_timeline_never_mixes_phases():
    before = {"from": 0.0, "to": 10.0, "outcomes": [outcome(start_s=i / 10, value=1.0) for i in range(100)]}
    during = {"from": 10.0, "to": 20.0, "outcomes": [outcome(start_s=i / 10, value=0.0) for i in range(100)]}
    line = series.timeline([before, during], "answered")
    assert {v for t, v in zip(line["t"], line["treatment"], strict=True) if t < 10 and v is not None} == {1.0}
    assert {v for t, v in zip(line["t"], line["treatment"], strict=True) if t > 10 and v is not None} == {0.0}
    assert set(line["control"]) == {None}


def test_summary_of_nothing_is_nothing():
    assert series.summary([], "mean") is None
