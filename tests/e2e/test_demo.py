"""The demonstration as a newcomer runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest


@pytest.fixture
def newcomer(tmp_path):
    environ = os.environ | {"XDG_STATE_HOME": str(tmp_path / "state")}

    def run(*arguments: str, folder=tmp_path):
        command = [sys.executable, "-m", "refute", *arguments]
        return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=240, check=False)

    return run


def test_the_demo_refutes_a_belief_with_proof_and_leaves_something_to_go_on_with(newcomer, tmp_path):
    done = newcomer("demo", "--json", "--experiments", "1")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    summary = lines[-1]
    assert summary["exit_code"] == 1
    verdict = summary["verdicts"][0]
    assert (verdict["verdict"], verdict["landed"], verdict["rolled_back"]) == ("refuted", True, True)
    assert next(line for line in lines if line["event"] == "experiment")["cost"]["units"] > 100
    folder = tmp_path / "refute-demo"
    assert (folder / "report.html").stat().st_size > 50_000
    plan = newcomer("plan", "--json", folder=folder)
    refused = [json.loads(line) for line in plan.stdout.splitlines() if '"plan"' in line][0]["refusals"]
    assert verdict["belief"] in [one for refusal in refused for one in refusal["beliefs"]]
    assert newcomer("ledger", "verify", folder=folder).returncode == 0
    assert newcomer("check", folder=folder).returncode == 0


def test_a_folder_with_something_else_in_it_is_left_alone(newcomer, tmp_path):
    (tmp_path / "refute-demo").mkdir()
    (tmp_path / "refute-demo" / "mine.txt").write_text("mine")
    done = newcomer("demo")
    assert done.returncode == 2
    assert "DEMO-FOLDER" in done.stderr
    assert [path.name for path in (tmp_path / "refute-demo").iterdir()] == ["mine.txt"]
