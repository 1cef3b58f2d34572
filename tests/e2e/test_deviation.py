"""Intent deviation of the shipped agents under real faults: what is recorded of them, and phases that are let in one by one."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import refute.demo

EXAMPLE = Path(refute.demo.__file__).parent / "support_assistant"
PHASES = ["phase-1-one-tool", "phase-2-context", "phase-3-agents", "phase-4-several"]


@pytest.fixture
def example(tmp_path, monkeypatch):
    """Return what runs `refute` on a copy of the example, on a port of its own."""
    folder = tmp_path / "example"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    file = folder / "refute-deviation.yaml"
    file.write_text(file.read_text().replace("8781", port))
    environ = os.environ | {"XDG_STATE_HOME": str(tmp_path / "state"), "SUPPORT_PORT": port}

    def run(verb, *more, changes=(), timeout_s=60):
        for old, new in changes:
            changed = re.sub(old, new, file.read_text())
            assert changed != file.read_text()
            file.write_text(changed)
        command = [sys.executable, "-m", "refute", verb, file.name, *more, "--json"]
        done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=timeout_s, check=False)
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr

    return run


def test_later_phases_wait_for_the_first(example):
    _, events, _ = example("plan")
    (plan,) = [event for event in events if event["event"] == "plan"]
    assert [one["beliefs"] for one in plan["proposals"]] == [PHASES[:1]]
    assert {one["beliefs"][0]: one["code"] for one in plan["refusals"]} == dict.fromkeys(PHASES[1:], "PLAN-GATED")


def test_a_garbled_task_leads_the_agents_astray_though_nothing_fails(example):
    code, events, err = example(
        "run", changes=[(r"    after: \[phase-2-context\]\n", ""), (r"(?s)  - id: phase-1.*?(?=  - id: phase-3)", "")]
    )
    (verdict,) = [event for event in events if event["event"] == "verdict"]
    assert (verdict["belief"], verdict["verdict"], code) == ("phase-3-agents", "refuted", 1), err
    assert verdict["band"] in {"degraded", "critical", "catastrophic"}
    assert verdict["control"]["band"] == "nominal"
    assert 0.15 < verdict["rate"] <= 1.0
    outcomes = [one for event in events if event["event"] == "outcomes" and event["phase"] == "inject" for one in event["outcomes"]]
    struck = [one for one in outcomes if one["hits"].get("assistant")]
    spared = [one for one in outcomes if one["arm"] == "control"]
    assert not any(one["error"] for one in outcomes), "deviation is not failure"
    mean = {name: sum(one["values"][name] for one in struck) / len(struck) for name in ("deviation", "desk-deviation")}
    assert mean["deviation"] > 0.15
    assert mean["desk-deviation"] > mean["deviation"], "the desk's own weights make more of what it says and does not do"
    assert sum(one["values"]["deviation"] for one in spared) / len(spared) < 0.05


@pytest.mark.slow
def test_the_four_phases_as_one_campaign(example):
    _, events, err = example("run", "--budget", "10min", timeout_s=300)
    verdicts = [(event["belief"], event["verdict"]) for event in events if event["event"] == "verdict"]
    assert [belief for belief, _ in verdicts][:1] == PHASES[:1], err
    held = [belief for belief, word in verdicts if word == "held"]
    assert held == PHASES[: len(held)], "no phase before the one that lets it in"
    assert ("phase-3-agents", "refuted") in verdicts
    assert "phase-4-several" not in dict(verdicts)
