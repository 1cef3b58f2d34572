"""Stop conditions on tapes of outcomes, without processes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from refute.core.criterion import parse_criterion
from refute.core.intent import Indicator, Intent, System, Workload
from refute.core.measure import NoBaselineError
from refute.core.outcome import Outcome, Slot
from refute.safety.stops import caps_of, stops_of

INDICATORS = {
    "answered": Indicator("answered", "ratio", "a:b"),
    "latency": Indicator("latency", "latency"),
    "tokens": Indicator("tokens", "cost", "a:b", 0.01, "USD"),
}


def intent(*conditions):
    stops = tuple(map(parse_criterion, conditions))
    return Intent(Path("refute.yaml"), System("s", {}), Workload("python", "a:b", Path("c"), 5.0), INDICATORS, {}, stop_when=stops)


def outcome(arm, index=0, latency_s=0.1, journey="", tokens=10.0, **more):
    values = {"answered": 1.0, "latency": latency_s}
    return Outcome(f"u{index}", "c", arm, journey, index, 0.0, latency_s, values, cost={"tokens": tokens}, **more)


BASELINE = [outcome("control", latency_s=0.1 * number) for number in range(1, 101)]
"""Latencies of 0.1 s to 10 s: the 99th percentile is 9.9 s."""


def fired(condition, make, units=300, baseline=BASELINE, cohort=0.5):
    """Return how many units had ended when the condition fired, None where it never did."""
    (stop,) = stops_of(intent(condition), baseline)
    rng, slots = random.Random(5), []
    for number in range(units):
        arm = "treatment" if rng.random() < cohort else "control"
        slots.append(Slot(arm, "", outcome(arm, number, **make(arm, rng)), cohort))
        if stop.see(slots):
            return number + 1
    return None


def usual(rng):
    return 0.1 * rng.randint(1, 100)


def test_a_relative_latency_stop_reads_the_baselines_quantile_plus_the_difference():
    condition = "latency p99 worse by > 2 s"
    assert fired(condition, lambda _arm, rng: {"latency_s": usual(rng)}) is None, "10 s is no more than before"
    assert fired(condition, lambda arm, rng: {"latency_s": usual(rng) + 1.5 * (arm == "treatment")}) is None
    assert fired(condition, lambda arm, rng: {"latency_s": usual(rng) + 12.0 * (arm == "treatment")}) < 40


def test_a_relative_latency_stop_does_not_fire_where_control_is_as_slow():
    assert fired("latency p99 worse by > 2 s", lambda _arm, _rng: {"latency_s": 20.0}) is None
    assert fired("latency p99 > 12 s", lambda _arm, _rng: {"latency_s": 20.0}) < 10, "an absolute one does"


def test_a_relative_stop_on_a_journey_without_baseline_cannot_be_watched():
    with pytest.raises(NoBaselineError, match=r"ask\.latency p99 worse by > 2 s"):
        stops_of(intent("ask.latency p99 worse by > 2 s"), BASELINE)


def test_a_cost_stop_reads_costs():
    assert fired("tokens p90 > 100", lambda _arm, _rng: {"tokens": 50.0}) is None
    assert fired("tokens p90 > 100", lambda _arm, _rng: {"tokens": 500.0}) < 20
    assert fired("tokens p90 > 1 USD", lambda _arm, _rng: {"tokens": 500.0}) < 20
    assert fired("tokens p90 worse by > 1 USD", lambda arm, _rng: {"tokens": 500.0 if arm == "treatment" else 10.0}) < 40
    assert fired("tokens p90 worse by > 1 USD", lambda _arm, _rng: {"tokens": 500.0}) is None


def test_a_cap_on_spend_reads_the_totals_of_the_run():
    spent = {"tokens": 1e9}
    (cap,) = caps_of(intent("spend > 6 USD"), spent)
    slots = [Slot("treatment", "", outcome("treatment"))]
    assert cap.see(slots) is None
    spent["spend"] = 6.01
    breach = cap.see(slots)
    assert (breach.condition, breach.value, breach.bound) == ("spend > 6 USD", 6.01, 6.0)
    assert stops_of(intent("spend > 6 USD"), []) == []
