"""Training runs as units, by the real command line: pairs, kept control runs, and the end of everything that a run has started."""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path

import pytest

SUPPORT = Path(__file__).parents[1] / "support" / "trainer"


@pytest.fixture
def trainer(tiny):
    shutil.rmtree(tiny.folder)
    shutil.copytree(SUPPORT, tiny.folder)
    return tiny


def of(lines, kind, **fields):
    return [line for line in lines if line["event"] == kind and all(line.get(name) == value for name, value in fields.items())]


def trained(trainer):
    return len((trainer.folder / "trained.txt").read_text().split())


def running(folder):
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").resolve() == folder.resolve() and b"python" in (process / "cmdline").read_bytes():
                found.append((process.name, (process / "cmdline").read_bytes()))
        except OSError:
            continue
    return found


def test_a_pair_of_one_seed_is_compared_and_no_control_is_trained_twice(trainer):
    code, lines, err = trainer.refute("run", "--json", "--belief", "most-labels-wrong", timeout_s=120)
    assert code == 1, err
    (verdict,) = of(lines, "verdict")
    assert verdict["verdict"] == "refuted"
    assert verdict["n"] == verdict["breaches"] == 6, "six pairs that agree decide at 5 %"
    assert [pair["seed"] for pair in verdict["pairs"]] == list("123456")
    assert all(pair["control"] - pair["treatment"] > 0.05 for pair in verdict["pairs"])
    assert all(line["ok"] for line in of(lines, "rollback"))
    (check,) = of(lines, "phase", phase="check", state="ended")
    assert check["same_seed"] == {"accuracy": 0.0}
    assert trained(trainer) == 6 + 6 + 1

    code, lines, _ = trainer.refute("run", "--json", "--belief", "few-wrong-labels", timeout_s=120)
    assert code == 0
    (verdict,) = of(lines, "verdict")
    assert verdict["verdict"] == "held"
    assert verdict["n"] >= 6
    assert not of(lines, "phase", phase="check")
    assert trained(trainer) <= 13 + 2 * verdict["n"] - 6, "the first six controls were there"


def test_a_command_is_read_by_what_it_prints(trainer):
    trainer.edit('{python: "train:run", seeds: 12}', '{command: [python, train.py, "{seed}"], metrics: {accuracy: "accuracy=([0-9.]+)"}}')
    trainer.environ["PATH"] = f"{Path(__import__('sys').executable).parent}:{trainer.environ['PATH']}"
    code, lines, err = trainer.refute("run", "--json", "--belief", "most-labels-wrong", timeout_s=120)
    assert code == 1, err
    assert of(lines, "landing")[0]["injected"] == 6


def test_too_few_seeds_are_refused_before_anything_is_trained(trainer):
    trainer.edit("seeds: 12", "seeds: 5")
    code, lines, _ = trainer.refute("run", "--json", timeout_s=60)
    assert code == 3
    assert {one["code"] for one in of(lines, "plan")[0]["refusals"]} == {"PLAN-UNANSWERABLE"}
    assert not (trainer.folder / "trained.txt").exists()


@pytest.mark.parametrize(("what", "seen"), [("fails", "exit code 3"), ("hangs", "timeout")])
def test_a_training_that_fails_without_a_fault_voids_the_run(trainer, what, seen):
    (trainer.folder / what).touch()
    trainer.edit("timeout: 20 s", "timeout: 2 s")
    code, lines, _ = trainer.refute("run", "--json", "--belief", "few-wrong-labels", timeout_s=60)
    assert code == 3
    (problem,) = of(lines, "problem", code="TRAINING-CONTROL")
    assert problem["seen"] == seen
    assert of(lines, "verdict")[0]["verdict"] == "void"
    assert not running(trainer.folder)


def test_nothing_of_a_run_outlives_a_killed_runner(trainer):
    (trainer.folder / "hangs").touch()
    process = trainer.start("run", "--json", "--belief", "few-wrong-labels")
    until_s = time.monotonic() + 40
    while (
        len(running(trainer.folder)) < 4 and time.monotonic() < until_s
    ):  # runner, guard, training, and its worker in a session of its own
        time.sleep(0.1)
    assert len(running(trainer.folder)) >= 4
    process.send_signal(signal.SIGKILL)
    process.wait()
    while running(trainer.folder) and time.monotonic() < until_s:
        time.sleep(0.1)
    assert not running(trainer.folder)


def test_a_training_that_throws_dice_is_measured_and_told(trainer):
    (trainer.folder / "dices").touch()
    trainer.edit("worse by <= 5 points", "worse by <= 0.1 points")
    code, lines, _ = trainer.refute("run", "--json", "--belief", "few-wrong-labels", timeout_s=60)
    (check,) = of(lines, "phase", phase="check", state="ended")
    assert check["same_seed"]["accuracy"] > 0.001
    (problem,) = of(lines, "problem", code="TRAINING-NOISE")
    assert "accuracy" in problem["seen"]
    assert code in {1, 3}, "the verdict stays valid: it counts pairs, which now disagree"


@pytest.mark.parametrize("verb", ["abort", "SIGINT"])
def test_a_training_that_ignores_signals_ends_with_its_run(trainer, verb):
    (trainer.folder / "hangs").touch()
    process = trainer.start("run", "--json", "--belief", "few-wrong-labels")
    until_s = time.monotonic() + 40
    while len(running(trainer.folder)) < 4 and time.monotonic() < until_s:
        time.sleep(0.1)
    if verb == "abort":
        trainer.refute("abort", timeout_s=30)
    else:
        process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) in {3, 130}
    assert not running(trainer.folder)


@pytest.mark.parametrize(("old", "new", "code"), [
    ("timeout: 20 s", "timeout: 20 s\nblast_radius: {ramp: [1%, 50%]}", "TRAINING-LOAD"),
    ("timeout: 20 s", "timeout: 20 s\nblast_radius: {cohort_by: user}", "TRAINING-LOAD"),
    ("timeout: 20 s", "timeout: 20 s\nstop_when: [accuracy < 0.5]", "TRAINING-STOP"),
    ("timeout: 20 s", "timeout: 20 s\nenvironments: {staging: {stop_when: [accuracy < 0.5]}}", "TRAINING-STOP"),
    ("magnitude: 3%", "magnitude: 300%", "MAGNITUDE"),
    ("{fault: data.label_noise, target: data, magnitude: 3%}",
     "[{fault: data.label_noise, target: data}, {fault: data.missing, target: data}]", "TRAINING-FAULT"),
])  # fmt: skip
def test_what_trainings_do_not_have_is_refused_before_anything_runs(trainer, old, new, code):
    trainer.edit(old, new)
    exit_code, _, err = trainer.refute("check", timeout_s=60)
    assert exit_code == 2
    assert code in err
    assert not (trainer.folder / "trained.txt").exists()
