"""Whole runs through the command line: real processes, real HTTP, real signals."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from refute.experiment.design import LEASE_TTL_S


def verdict_of(lines):
    return lines[-1]["verdicts"][0]


def test_a_false_belief_is_refuted_with_proof(tiny):
    code, lines, _ = tiny.refute("run", "--json")
    assert code == 1
    summary = lines[-1]
    assert summary["event"] == "summary"
    assert summary["exit_code"] == 1
    verdict = verdict_of(lines)
    assert verdict["verdict"] == "refuted"
    assert verdict["landed"] is True
    assert verdict["rolled_back"] is True
    assert verdict["confidence_after"] < 0.2 < verdict["confidence_before"]
    assert verdict["injected"] > 0
    phases = [line["phase"] for line in lines if line["event"] == "phase" and line["state"] == "started"]
    assert phases == ["check", "baseline", "inject", "recover"]
    order = [line["event"] for line in lines]
    assert order.index("forecast") < order.index("phase"), "the forecast is locked before anything is applied"
    assert not tiny.live()


def test_a_true_belief_holds(tiny):
    tiny.edit('"app:answer"', '"app:careful_answer"')
    code, lines, _ = tiny.refute("run", "--json")
    assert (code, verdict_of(lines)["verdict"]) == (0, "held")
    assert verdict_of(lines)["confidence_after"] > 0.9


def test_control_is_never_hit_and_the_ledger_holds_no_secret(tiny):
    tiny.refute("run", "--json")
    code, lines, _ = tiny.refute("ledger", "export")
    assert code == 0
    outcomes = [one for line in lines if line["event"] == "outcomes" for one in line["outcomes"]]
    assert not [one for one in outcomes if one["arm"] == "control" and one["hits"]]
    assert [one for one in outcomes if one["arm"] == "treatment" and one["hits"]]
    kept = b"".join(path.read_bytes() for path in (tiny.folder / ".refute").iterdir() if path.name != "worker.log")
    assert b"canary-prompt" not in kept
    assert b"canary-key" not in kept
    assert b"forty-two" not in kept
    assert tiny.refute("ledger", "verify")[0] == 0


def test_the_second_run_is_refused_as_answered_and_rerun_repeats_the_same_faults(tiny):
    _, first, _ = tiny.refute("run", "--json")
    code, lines, _ = tiny.refute("run", "--json")
    assert code == 3
    plan = next(line for line in lines if line["event"] == "plan")
    assert plan["refusals"][0]["code"] == "PLAN-ANSWERED"
    code, again, _ = tiny.refute("rerun", "last", "--json")
    assert code == 1
    assert _hit_units(again) == _hit_units(first)
    learned = [next(line for line in run if line["event"] == "learned") for run in (first, again)]
    assert learned[0]["draw"] == learned[1]["draw"], "a repeat is not counted as if it were new"


def test_a_run_of_its_own_draws_units_that_no_run_has_seen(tiny):
    _, first, _ = tiny.refute("run", "--json")
    _, again, _ = tiny.refute("run", "--again", "--json")
    seeds = [next(line["seed"] for line in run if line["event"] == "experiment") for run in (first, again)]
    assert seeds == [1, 2]
    learned = [next(line for line in run if line["event"] == "learned") for run in (first, again)]
    assert learned[0]["draw"] != learned[1]["draw"]
    assert learned[1]["confidence_after"] < learned[0]["confidence_after"]


def _hit_units(lines):
    outcomes = [one for line in lines if line["event"] == "outcomes" and line["phase"] == "inject" for one in line["outcomes"]]
    common = sorted(outcomes, key=lambda one: one["index"])[:30]
    return [one["unit"] for one in common if one["hits"]]


def test_a_workload_that_fails_in_every_case_is_void(tiny):
    tiny.edit('"app:answer"', '"app:broken_answer"')
    code, lines, _ = tiny.refute("run", "--json")
    assert (code, verdict_of(lines)["verdict"]) == (3, "void")
    assert "control is sick" in verdict_of(lines)["reasons"][0]
    assert "ZeroDivisionError" in verdict_of(lines)["reasons"][0]
    assert verdict_of(lines)["injected"] == 0


def test_an_unsupported_transport_is_void_never_a_pass(tiny):
    tiny.edit('"app:answer"', '"app:deaf_answer"')
    code, lines, _ = tiny.refute("run", "--json")
    assert (code, verdict_of(lines)["verdict"]) == (3, "void")
    assert "no call to llm" in verdict_of(lines)["reasons"][0]


def test_a_setup_that_fails_says_so(tiny):
    tiny.environ["TINY_SETUP"] = "fails"
    code, lines, _ = tiny.refute("run", "--json")
    assert code == 3
    problem = next(line for line in lines if line["event"] == "problem")
    assert problem["code"] == "WORKLOAD-SETUP"
    assert problem["seen"] == "RuntimeError", "its words may hold a password"
    assert "the database is down" in (tiny.folder / ".refute" / "worker.log").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("phase", ["check", "baseline", "inject", "recover"])
def test_a_signal_in_any_phase_leaves_no_fault_and_exits_130(tiny, number, phase):
    tiny.edit("window: 500 ms", "window: 2 s")
    process = tiny.start("run", "--json")
    tiny.until(process, lambda line: line["event"] == "progress" and line["phase"] == phase)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert '"exit_code": 130' in out.replace('"exit_code":130', '"exit_code": 130')
    assert not tiny.live()
    assert not _workers(tiny)


def test_a_killed_runner_leaves_no_fault_after_its_lease(tiny):
    tiny.edit("answered >= 90%", "answered >= 30%")
    process = tiny.start("run", "--json")
    tiny.until(process, lambda line: line["event"] == "progress" and line["phase"] == "inject")
    time.sleep(0.5)
    process.kill()
    killed = time.time()
    time.sleep(LEASE_TTL_S + 2)
    assert tiny.noted(), "something was injected before"
    assert max(tiny.noted()) <= killed + LEASE_TTL_S
    assert not _workers(tiny)
    assert tiny.refute("recover")[0] == 0
    assert not tiny.live()


def test_a_frozen_runner_loses_its_lease_while_the_workload_goes_on(tiny):
    """No end of file tells the worker: only the lease does."""
    tiny.edit("answered >= 90%", "answered >= 50%")
    process = tiny.start("run", "--json")
    tiny.until(process, lambda line: line["event"] == "progress" and line["phase"] == "inject")
    time.sleep(0.3)
    process.send_signal(signal.SIGSTOP)
    frozen = time.time()
    time.sleep(LEASE_TTL_S + 1)
    assert tiny.noted()
    assert max(tiny.noted()) <= frozen + LEASE_TTL_S + 0.1
    process.send_signal(signal.SIGCONT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 3
    assert "void" in out


def test_abort_from_another_terminal(tiny):
    tiny.edit("answered >= 90%", "answered >= 50%")
    process = tiny.start("run", "--json")
    tiny.until(process, lambda line: line["event"] == "progress" and line["phase"] == "inject")
    assert tiny.refute("abort")[0] == 0
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert not tiny.live()


def test_plan_ranks_injects_nothing_and_says_why_it_refuses(tiny):
    code, lines, err = tiny.refute("plan", "--risk-price", "3", "--json")
    assert code == 0, err
    plan = next(line for line in lines if line["event"] == "plan")
    assert plan["proposals"][0]["beliefs"] == ["rate-limits-absorbed"]
    assert plan["proposals"][0]["reasons"]
    tiny.edit("units: 400", "units: 20")
    code, lines, _ = tiny.refute("plan", "--json")
    refusal = next(line for line in lines if line["event"] == "plan")["refusals"][0]
    assert refusal["code"] == "PLAN-UNANSWERABLE"
    assert "the smallest that would do" in refusal["reason"]
    assert not tiny.noted()


def test_a_bad_intent_ends_with_a_summary_too(tiny):
    tiny.edit("fault: llm.rate_limit", "fault: llm.rate_limt")
    code, lines, _ = tiny.refute("run", "--json")
    assert code == 2
    assert lines[0]["code"] == "FAULT-UNKNOWN"
    assert lines[-1] == {"event": "summary", "exit_code": 2, "verdicts": []}


def test_two_runs_on_one_system_do_not_meet(tiny):
    tiny.edit("window: 500 ms", "window: 4 s")
    first = tiny.start("run", "--json")
    tiny.until(first, lambda line: line["event"] == "phase")
    code, lines, err = tiny.refute("run", "--json")
    assert code == 2
    assert "RUN-CONCURRENT" in err + str(lines)
    first.communicate(timeout=60)
    assert first.returncode == 1


def test_nothing_is_injected_without_a_ledger(tiny):
    (tiny.folder / ".refute").write_text("in the way")
    code, lines, err = tiny.refute("run", "--json")
    assert code != 0
    assert "LEDGER" in err + str(lines)
    assert not tiny.noted()


def test_nothing_is_injected_without_a_journal(tiny):
    blocked = tiny.folder / "blocked"
    blocked.write_text("in the way")
    tiny.environ["XDG_STATE_HOME"] = str(blocked)
    code, lines, err = tiny.refute("run", "--json")
    assert code != 0
    assert "JOURNAL" in err + str(lines)
    assert not tiny.noted()


def _workers(tiny) -> list[str]:
    """Worker processes that run in the application's folder, once they have had time to tear down."""
    until_s = time.monotonic() + 8
    while time.monotonic() < until_s:
        found = []
        for pid in subprocess.run(["pgrep", "-f", "refute.experiment.worker"], capture_output=True, text=True, check=False).stdout.split():
            try:
                if Path(f"/proc/{pid}/cwd").readlink() == tiny.folder:
                    found.append(pid)
            except OSError:
                continue
        if not found:
            return []
        time.sleep(0.2)
    return found
