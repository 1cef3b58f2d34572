from __future__ import annotations

import math

import pytest

from refute.experiment.training.curves import POINTS, thinned, told_of
from refute.experiment.training.record import Hit, Record, Step
from refute.insight.trainings import trainings


def steps(*numbers, loss=lambda step: 1 / step):
    return tuple(Step(float(at), step, loss(step)) for at, step in enumerate(numbers))


def told(seed, arm, *numbers, loss=lambda step: 1 / step, phase="inject", **fields):
    record = Record(seed, fields.pop("exit_code", 0), 60.0, {"accuracy": 0.9}, steps(*numbers, loss=loss), **fields)
    return {"event": "training", "experiment": "e", "phase": phase, **told_of(record, arm)}


def test_a_run_is_thinned_to_what_shows_and_keeps_where_it_went_back():
    run = steps(*range(1, 5001), *range(4000, 9001))
    kept = thinned(run)
    assert len(kept) <= POINTS + 2
    assert (kept[0], kept[-1]) == (run[0], run[-1])
    assert {4999, 5000} <= {run.index(step) for step in kept}, "both sides of the setback"


def test_where_the_loss_ceases_to_be_a_number_both_sides_are_kept():
    kept = thinned(steps(*range(1, 2001), loss=lambda step: math.nan if step > 777 else 1.0))
    assert {777, 778} <= {step.step for step in kept}


def test_requests_are_no_trainings():
    assert trainings([{"event": "outcomes", "phase": "inject", "outcomes": []}]) is None
    assert trainings([told(1, "control", 1, 2, phase="check")]) is None


def test_medians_are_of_runs_and_a_step_done_twice_counts_with_its_last_loss():
    losses = {1: 1.0, 2: 2.0, 3: 9.0}
    events = [told(seed, "treatment", 1, 2, 1, 2, loss=lambda step, of=of: of * step) for seed, of in losses.items()]
    loss = trainings([*events, told(1, "control", 1, 2)])["loss"]
    assert loss["medians"]["treatment"] == {"x": [1, 2], "y": [2.0, 4.0]}
    assert loss["curves"][0]["y"] == [1.0, 2.0, None, 1.0, 2.0], "a gap where it went back"


def test_a_loss_that_is_no_number_for_good_ends_its_line():
    ruined = told(1, "treatment", 1, 2, 3, 4, loss=lambda step: math.nan if step > 2 else 1.0, hits=(Hit(1.0, 2, "one NaN"),))
    blip = told(2, "treatment", 1, 2, 3, 4, loss=lambda step: math.nan if step == 2 else 1.0)
    loss = trainings([ruined, blip, told(1, "control", 1, 2, 3, 4)])["loss"]
    assert [curve["ends"] for curve in loss["curves"]] == [3, None, None]
    assert loss["lost"] == 1
    assert loss["strikes"] == [2]


def test_runs_that_never_tell_a_loss_have_no_curve_and_still_a_row():
    shown = trainings([told(1, "treatment", 1, 2, loss=lambda _: None), told(1, "control", 1, 2, loss=lambda _: None)])
    assert shown["loss"] is None
    assert len(shown["rows"]) == 1


def test_a_row_says_what_struck_who_was_told_and_what_was_done_again():
    run = told(3, "treatment", 1, 2, 3, 2, 3, 4, hits=(Hit(2.5, 3, "rank killed"),), failures=(2.7,))
    (row,) = trainings([run, told(3, "control", 1, 2, 3, 4)])["rows"]
    assert row["cells"] == ["seed 3", "rank killed at step 3", "0.2 s", "2", "3 s", "ended well after 60 s"]
    assert (row["struck_s"], row["told_s"], row["usual_s"]) == (2.5, 2.7, 60.0)


@pytest.mark.parametrize(("fields", "cells"), [
    ({"exit_code": 1, "failures": (4.0,)}, ["4 s", "2", "never", "ended in exit code 1 after 60 s"]),
    ({"exit_code": None}, ["nobody was", "2", "never", "ended in timeout after 60 s"]),
])  # fmt: skip
def test_a_run_that_never_came_back_says_so(fields, cells):
    (row,) = trainings([told(1, "treatment", 1, 2, 3, 2, **fields)])["rows"]
    assert row["cells"][2:] == cells
