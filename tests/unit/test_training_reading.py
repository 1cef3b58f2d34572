"""What is read from a training run: steps lost, recovery, spikes, and whether anybody was told."""

from __future__ import annotations

import json
import math

import pytest

from refute.core.intent import Indicator
from refute.core.training import BuiltIn
from refute.experiment.training.reading import values_of
from refute.experiment.training.record import Hit, Record, Step, reported


def read(run, control=None, **sources):
    indicators = [Indicator(name, "metric", source=source) for name, source in sources.items()]
    return values_of(indicators, run, control or run)


def one(name: BuiltIn, run, control=None):
    return read(run, control, value=name)["value"]


def run(*steps, losses=(), exit_code=0, seconds=100.0, **fields):
    told = tuple(Step(float(at), step, losses[at] if losses else math.nan) for at, step in enumerate(steps))
    return Record(1, exit_code, seconds, fields.pop("metrics", {"accuracy": 0.9}), told, **fields)


def test_a_run_without_a_setback_loses_nothing():
    straight = run(1, 2, 3, 4)
    assert read(straight, lost="steps_lost", wait="recovery_time", waste="wasted_compute") == {"lost": 0.0, "wait": 0.0, "waste": 0.0}


def test_steps_that_are_done_again_are_lost():
    back = run(1, 2, 3, 4, 5, 3, 4, 5, 6)
    assert one("steps_lost", back) == 3
    assert one("recovery_time", back) == 4, "from step 5 until step 6"
    assert one("wasted_compute", back) == 4


def test_two_setbacks_add_up():
    back = run(1, 2, 3, 2, 3, 4, 5, 1, 2, 3, 4, 5, 6)
    assert one("steps_lost", back) == 2 + 5
    assert one("recovery_time", back) == 6


def test_a_run_that_never_gets_as_far_again_did_not_recover():
    back = run(1, 2, 3, 1, exit_code=1)
    assert one("recovery_time", back) is None
    assert one("wasted_compute", back) == 100.0
    assert one("steps_lost", back) is None, "not two: the run is gone"
    assert one("finished", back) == 0.0


def test_a_run_that_resumes_at_its_end_has_lost_what_it_did_again():
    assert one("steps_lost", run(1, 2, 3, 4, 3, 4)) == 2


def test_exit_code_alarm_and_metric_tell_the_team_and_a_hang_does_not():
    hit = (Hit(10.0, 5, "struck"),)
    assert one("noticed", run(hits=hit)) == 0.0
    assert one("detection_time", run(hits=hit)) is None
    assert one("detection_time", run(hits=hit, exit_code=1, failures=(14.0,))) == 4.0
    assert one("detection_time", run(hits=hit, alarm_s=12.0, failures=(14.0,))) == 2.0
    assert one("noticed", run(hits=hit, metrics={"accuracy": math.nan})) == 1.0
    assert one("noticed", run(hits=hit, exit_code=None)) == 0.0
    assert one("noticed", run(hits=hit, alarm_s=3.0)) == 0.0, "what came before the fault told nothing of it"


def test_a_spike_is_what_lies_beyond_control_after_the_strike():
    control = run(1, 2, 3, 4, 5, losses=(3.0, 2.5, 2.0, 1.5, 1.0))
    struck = run(1, 2, 3, 4, 5, losses=(9.0, 2.5, 8.0, 2.0, 1.05), hits=(Hit(1.5, 3, "spike"),))
    assert one("spike_size", struck, control) == pytest.approx(6.0), "the first step was before the strike"
    assert one("spike_steps", struck, control) == 2
    assert one("spike_steps", control, control) == 0
    ruined = run(1, 2, 3, 4, 5, losses=(3.0, 2.5, math.nan, math.nan, math.nan), hits=(Hit(1.5, 3, "nan"),))
    assert one("spike_size", ruined, control) is None
    assert one("spike_steps", ruined, control) == 3


def test_resumed_equal_means_every_metric_to_the_last_bit():
    control = run(metrics={"accuracy": 0.9})
    assert one("resumed_equal", run(metrics={"accuracy": 0.9}), control) == 1.0
    assert one("resumed_equal", run(metrics={"accuracy": math.nextafter(0.9, 1)}), control) == 0.0
    assert one("resumed_equal", run(metrics={}), run(metrics={})) == 0.0


def test_a_metric_that_is_missing_or_no_number_has_no_value():
    assert read(run(metrics={"accuracy": math.inf}), a="accuracy", b="f1") == {"a": None, "b": None}


def test_a_line_torn_by_a_killed_process_is_left_out(tmp_path):
    whole = json.dumps({"at": 12.0, "step": 1, "loss": 0.5, "metrics": {}})
    last = json.dumps({"at": 13.0, "step": None, "loss": None, "metrics": {"accuracy": 0.8}})
    (tmp_path / "report.jsonl").write_text(f"{whole}\n{whole[:20]}\n{last}\n")
    metrics, steps, hits = reported(tmp_path, 10.0)
    assert metrics == {"accuracy": 0.8}
    assert steps == [Step(2.0, 1, 0.5)]
    assert hits == []


def test_a_record_survives_its_file():
    kept = run(1, 2, losses=(1.0, 0.5), hits=(Hit(0.5, 1, "x"),), failures=(3.0,), alarm_s=2.0)
    assert Record.from_json(json.loads(json.dumps(kept.to_json()))) == kept
