"""The engine says when it is out of its depth, and widens its forecasts when they fail."""

from __future__ import annotations

import random

import pytest

from refute.learning import Depth, depth_of

SURE = {"held": 0.9, "refuted": 0.05, "inconclusive": 0.05}


def played(odds, truth, runs, seed):
    rng, depth = random.Random(seed), Depth()
    for _ in range(runs):
        depth.see(odds, rng.choices(list(truth), list(truth.values()))[0], random=True)
    return depth


def test_right_forecasts_are_seldom_doubted_and_wrong_ones_are_found_out():
    wrong = {"held": 0.2, "refuted": 0.6, "inconclusive": 0.2}
    false_alarms = sum(played(SURE, SURE, 25, seed).out_of_depth for seed in range(300))
    assert false_alarms <= 0.04 * 300
    assert not Depth().out_of_depth
    assert all(played(SURE, wrong, 25, seed).widening > 0.2 for seed in range(20))


def test_a_model_that_is_sure_and_wrong_at_random_runs_is_out_of_its_depth():
    depth = Depth()
    for _ in range(12):
        depth.see({"held": 0.995, "refuted": 0.0025, "inconclusive": 0.0025}, "refuted", random=True)
    assert depth.out_of_depth
    assert "out of its depth" in depth.words()
    assert "as chance allows" in played(SURE, SURE, 10, 1).words()


def test_forecasts_widen_when_they_fail_and_not_before():
    assert Depth().widened(SURE) == pytest.approx(SURE)
    good, bad = played(SURE, SURE, 40, 3), played(SURE, {"held": 0.1, "refuted": 0.8, "inconclusive": 0.1}, 10, 3)
    assert good.widening < 0.05 < bad.widening
    widened = bad.widened(SURE)
    assert sum(widened.values()) == pytest.approx(1.0)
    assert SURE["held"] > widened["held"] > 1 / 3
    assert widened["refuted"] > SURE["refuted"]


def test_what_was_widened_is_judged_as_it_was_before():
    def events(widened):
        said = {name: (1 - widened) * p + widened / 3 for name, p in SURE.items()} | {"widened": widened}
        yield {"event": "experiment", "experiment": "e", "proposal": {"random": True}}
        yield {"event": "forecast", "experiment": "e", "beliefs": {"b": said}}
        yield {"event": "verdict", "experiment": "e", "belief": "b", "verdict": "refuted"}
        yield {"event": "verdict", "experiment": "e", "belief": "other", "verdict": "held"}

    plain, wide = depth_of(events(0.0)), depth_of(events(0.3))
    assert plain.widening > 0
    assert wide.widening == pytest.approx(plain.widening)
    assert (plain.runs, wide.runs) == (1, 1)
