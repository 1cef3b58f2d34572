"""A campaign with a budget: what a user sees, and that one whose runner was killed goes on with what is left."""

from __future__ import annotations

import time

import pytest

MORE = """
  - id: server-errors-absorbed
    claim: Server errors never reach the user
    when: {fault: llm.server_error, target: llm, share: 50%}
    then: answered >= 90%
    confidence: 80%
  - id: slow-is-fine
    claim: Slow answers are fine
    when: {fault: llm.delay, target: llm, magnitude: 200 ms, share: 50%}
    then: latency p90 <= 2 s
    confidence: 70%
"""


@pytest.fixture
def system(tiny):
    file = tiny.folder / "refute.yaml"
    file.write_text(file.read_text() + MORE)
    return tiny


def of(lines, kind):
    return [line for line in lines if line["event"] == kind]


def test_a_campaign_says_why_it_stopped(system):
    code, lines, _ = system.refute("run", "--budget", "5min", "--risk", "20%", "--seed", "3", "--json", timeout_s=120)
    first, last = of(lines, "campaign")[0], of(lines, "campaign")[-1]
    assert (first["state"], first["budget_s"], first["risk"]) == ("started", 300.0, 0.2)
    assert (last["state"], last["cause"]) == ("ended", "answered")
    assert "nothing is left that is worth its cost" in last["reason"]
    assert last["unseen"]["runs"] == last["runs"] == len(of(lines, "experiment")) >= 3
    assert {line["belief"] for line in of(lines, "verdict")} == {"rate-limits-absorbed", "server-errors-absorbed", "slow-is-fine"}
    assert [line["seed"] for line in of(lines, "experiment")] == list(range(3, 3 + last["runs"]))
    assert code == 1
    assert lines[-1]["event"] == "summary"
    code, lines, err = system.refute("run", "--resume", "--json")
    assert (code, lines[-2]["code"]) == (2, "CAMPAIGN-NONE"), err


def test_a_campaign_whose_runner_was_killed_goes_on(system):
    arguments = ("run", "--budget", "90s", "--risk", "20%", "--json")
    process = system.start(*arguments, "--seed", "3")
    seen = system.until(process, lambda line: line["event"] == "learned")
    seen += system.until(process, lambda line: (line["event"], line.get("phase"), line.get("state")) == ("phase", "inject", "started"))
    (campaign,) = {line["campaign"] for line in of(seen, "campaign")}
    cut = of(seen, "experiment")[-1]
    process.kill()
    process.wait()
    until_s = time.monotonic() + 10
    while system.live() and time.monotonic() < until_s:
        time.sleep(0.2)
    code, lines, err = system.refute(*arguments, timeout_s=120)
    first, last = of(lines, "campaign")[0], of(lines, "campaign")[-1]
    assert (first["state"], first["campaign"], first["seed"]) == ("resumed", campaign, 3), err
    assert 0 < first["spent_s"] < last["spent_s"] <= 90
    again = of(lines, "experiment")[0]
    assert (again["seed"], again["arming"], again["beliefs"]) == (cut["seed"], cut["arming"], cut["beliefs"])
    learned = [(line["belief"], line["draw"]) for line in of([*seen, *lines], "learned")]
    assert len(learned) == len(set(learned)) >= 3
    assert last["state"] == "ended"
    assert code == 1
    assert system.refute("ledger", "verify")[0] == 0


def test_a_budget_that_nothing_fits_runs_nothing_and_says_so(system):
    code, lines, _ = system.refute("run", "--budget", "2s", "--json")
    assert not of(lines, "experiment")
    assert of(lines, "campaign")[-1]["cause"] == "time"
    assert code == 3
    code, lines, _ = system.refute("run", "--budget", "60s", "--risk", "0%", "--new", "--json")
    assert (code, of(lines, "campaign")[-1]["cause"], len(of(lines, "experiment"))) == (3, "risk", 0)


@pytest.mark.parametrize(
    "arguments",
    [("--budget", "soon"), ("--budget", "30min", "--risk", "2"), ("--risk", "2%"), ("--budget", "1min", "--all")],
)
def test_a_campaign_that_makes_no_sense_is_refused(system, arguments):
    code, lines, _ = system.refute("run", *arguments, "--json")
    assert (code, lines[-2]["code"]) == (2, "CAMPAIGN-OPTION")
    assert not (system.folder / ".refute" / "ledger.db").exists()
