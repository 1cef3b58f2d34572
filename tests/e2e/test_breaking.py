"""Everything that can go wrong around a run, for real: signals and kills at any moment, full disks, systems that hang, die or stay sick."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from refute.experiment.design import LEASE_TTL_S

SIGNALS = [signal.SIGINT, signal.SIGTERM]


def ended(process, timeout_s=40):
    """Return (exit code, JSON Lines left to read, standard error)."""
    out, err = process.communicate(timeout=timeout_s)
    return process.returncode, [json.loads(line) for line in out.splitlines() if line.startswith("{")], err


def workers(tiny):
    """Processes of the worker, and whatever else runs in the application's folder."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if (entry / "cwd").readlink() == tiny.folder and b"worker" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def gone(tiny, within_s=15):
    until_s = time.monotonic() + within_s
    while (left := workers(tiny)) and time.monotonic() < until_s:
        time.sleep(0.1)
    return not left


def in_phase(phase):
    return lambda line: line["event"] == "progress" and line["phase"] == phase


def codes(lines):
    return [line["code"] for line in lines if line["event"] == "problem"]


# What the intent names.


def test_all_that_an_intent_names_and_that_does_not_exist_is_told_at_once(tiny):
    tiny.edit("target: llm,", "target: lllm,")
    tiny.edit("fault: llm.rate_limit", "fault: llm.rate_limt")
    tiny.edit("then: answered >= 90%", "then: answerd >= 90%")
    code, lines, _ = tiny.refute("run", "--json")
    assert code == 2
    assert len(codes(lines)) == 3
    assert all(line.get("suggestion") for line in lines if line["event"] == "problem"), lines
    assert not (tiny.folder / ".refute").exists()


def test_a_python_reference_that_leads_nowhere_is_told_with_what_was_meant(tiny):
    tiny.edit('"app:answer"', '"app:anwser"')
    code, lines, _ = tiny.refute("run", "--json")
    assert (code, codes(lines)) == (2, ["REFERENCE-NAME"])
    assert "app:answer" in lines[0]["suggestion"]


# Systems that are not well.


def test_a_server_that_is_down_is_a_sick_control(tiny):
    tiny.edit('"app:running"', '"app:nothing_running"')
    code, lines, _ = tiny.refute("run", "--json")
    (verdict,) = lines[-1]["verdicts"]
    assert (code, verdict["verdict"], verdict["injected"]) == (3, "void", 0)
    assert "control is sick" in verdict["reasons"][0]
    assert "APIConnectionError" in verdict["reasons"][0]


def test_a_server_that_goes_down_in_the_middle_refutes_nothing_and_is_found_not_recovered(tiny):
    tiny.environ["TINY_PROVIDER"] = "dies 90"
    tiny.edit('"app:answer"', '"app:careful_answer"')  # a rate limit does it no harm
    tiny.edit("answered >= 90%", "answered >= 95%")
    file = tiny.folder / "app.py"
    file.write_text(file.read_text().replace("except openai.APIError:\n        return", "except openai.RateLimitError:\n        return"))
    code, lines, _ = tiny.refute("run", "--json")
    (verdict,) = lines[-1]["verdicts"]
    assert (code, verdict["verdict"]) == (3, "void"), verdict
    assert "control itself" in verdict["reasons"][0]
    assert (verdict["recovered"], verdict["rolled_back"]) == (False, True)
    assert codes(lines) == ["RUN-NOT-RECOVERED"]


def test_a_control_that_hangs_is_sick_and_the_run_ends(tiny):
    tiny.edit("timeout: 5 s", "timeout: 1 s")
    tiny.environ["TINY_PROVIDER"] = "hangs 0"
    code, lines, _ = tiny.refute("run", "--json")
    (verdict,) = lines[-1]["verdicts"]
    assert (code, verdict["verdict"]) == (3, "void")
    assert "mostly by timeout" in verdict["reasons"][0]


@pytest.mark.parametrize("function", ["stuck_answer", "stubborn_answer"])
def test_code_that_heeds_no_time_limit_fails_at_it_all_the_same(tiny, function):
    tiny.edit("timeout: 5 s", "timeout: 1 s")
    tiny.edit('"app:answer"', f'"app:{function}"')
    code, lines, _ = tiny.refute("run", "--json")
    (verdict,) = lines[-1]["verdicts"]
    assert (code, verdict["verdict"], verdict["rolled_back"]) == (3, "void", True), lines[-3:]
    assert "mostly by timeout" in verdict["reasons"][0]
    assert gone(tiny)
    assert not tiny.live()


@pytest.mark.parametrize(("function", "word", "exit_code"), [("scarring_answer", "refuted", 1), ("careful_scarring_answer", "held", 3)])
def test_a_system_that_stays_sick_after_the_fault_is_a_finding_and_the_verdict_stands(tiny, function, word, exit_code):
    tiny.edit('"app:answer"', f'"app:{function}"')
    code, lines, _ = tiny.refute("run", "--json")
    recover = [line for line in lines if line["event"] == "phase" and line["phase"] == "recover"][-1]
    assert (recover["ok"], "RuntimeError" in recover["reason"]) == (False, True)
    (problem,) = [line for line in lines if line["event"] == "problem"]
    assert problem["code"] == "RUN-NOT-RECOVERED"
    (verdict,) = lines[-1]["verdicts"]
    assert (verdict["verdict"], verdict["rolled_back"], verdict["recovered"], code) == (word, True, False, exit_code)


def test_a_client_on_a_transport_that_is_not_hooked_is_void_and_the_reason_names_it(tiny):
    tiny.edit('"app:answer"', '"app:deaf_answer"')
    code, lines, _ = tiny.refute("run", "--json")
    (verdict,) = lines[-1]["verdicts"]
    assert (code, verdict["verdict"], verdict["landed"]) == (3, "void", False)
    assert "no call to llm" in verdict["reasons"][0]
    _, _, loaded = verdict["reasons"][0].partition("loaded but not hooked: ")
    assert "http.client" in loaded.split(", ")


def test_a_wanted_belief_that_is_refused_is_not_passed_over(tiny):
    file = tiny.folder / "refute.yaml"
    second = file.read_text()[file.read_text().index("  - id:") :].replace("rate-limits-absorbed", "servers-may-fail")
    file.write_text(file.read_text() + second.replace("llm.rate_limit", "llm.server_error").replace("answered >= 90%", "answered >= 99.9%"))
    tiny.edit('"app:answer"', '"app:careful_answer"')
    code, lines, _ = tiny.refute("run", "--belief", "rate-limits-absorbed", "--belief", "servers-may-fail", "--json")
    assert [verdict["verdict"] for verdict in lines[-1]["verdicts"]] == ["held"]
    assert (code, lines[-1]["exit_code"]) == (3, 3)
    (problem,) = [line for line in lines if line["event"] == "problem"]
    assert problem["code"] == "PLAN-UNANSWERABLE"
    assert "servers-may-fail was not tested: too small to answer" in problem["what"]
    assert tiny.refute("run", "--belief", "rate-limits-absorbed", "--again")[0] == 0


# Signals outside the phases.


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("moment", ["intent", "plan", "experiment", "setting up", "verdict"])
def test_a_signal_outside_the_phases_ends_with_the_summary(tiny, number, moment):
    tiny.environ |= {"setting up": {"TINY_SETUP": "slow"}, "verdict": {"TINY_TEARDOWN": "slow"}}.get(moment, {})
    process = tiny.start("run", "--json")
    if moment == "setting up":
        until_s = time.monotonic() + 30
        while not (tiny.folder / "noted.txt").exists() and time.monotonic() < until_s:
            time.sleep(0.02)
    else:
        tiny.until(process, lambda line: line["event"] == moment)
    process.send_signal(number)
    code, lines, err = ended(process)
    assert "Traceback" not in err
    assert (code, lines[-1]["event"], lines[-1]["exit_code"]) == (130, "summary", 130)
    assert [line["event"] for line in lines].count("summary") == 1
    assert (len(lines[-1]["verdicts"]) == 1) == (moment == "verdict"), "what was known by then is in it"
    assert gone(tiny)
    assert not tiny.live()


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("verb", ["check", "run", "rerun"])
def test_a_signal_while_the_file_is_read_ends_without_a_traceback(tiny, number, verb):
    file = tiny.folder / "app.py"
    file.write_text("import pathlib, time\npathlib.Path('importing').touch()\ntime.sleep(20)\n" + file.read_text())
    file.write_text(file.read_text().replace("from __future__ import annotations\n", ""))
    process = tiny.start(verb, "--json")
    until_s = time.monotonic() + 30
    while not (tiny.folder / "importing").exists() and time.monotonic() < until_s:
        time.sleep(0.02)
    process.send_signal(number)
    code, lines, err = ended(process, 10)
    assert (code, lines[-1]) == (130, {"event": "summary", "exit_code": 130, "verdicts": []})
    assert "Traceback" not in err


def test_signals_that_keep_coming_do_not_interrupt_the_rollback(tiny):
    process = tiny.start("run", "--json")
    tiny.until(process, in_phase("inject"))
    until_s = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < until_s:
        for number in SIGNALS:
            process.send_signal(number)
        time.sleep(0.002)
    code, lines, err = ended(process)
    assert (code, lines[-1]["exit_code"]) == (130, 130), err
    assert [line["ok"] for line in lines if line["event"] == "rollback"] == [True]
    assert not tiny.live()
    assert gone(tiny)


def test_an_abort_is_heard_by_a_run_that_nobody_reads(tiny):
    """Its standard output is a full pipe."""
    tiny.edit("answered >= 90%", "answered >= 50%")
    tiny.edit("rate: 60/s", "rate: 120/s")
    process = tiny.start("run", "--json")
    tiny.until(process, in_phase("inject"))
    time.sleep(4)  # more than a pipe holds
    code, _, err = tiny.refute("abort")
    assert code == 0, err
    assert not tiny.live()


# Kills.


@pytest.mark.parametrize("phase", ["check", "baseline", "inject", "recover"])
def test_a_runner_killed_in_any_phase_leaves_no_fault_and_recover_proves_it(tiny, phase):
    tiny.edit("window: 500 ms", "window: 2 s")
    tiny.edit("answered >= 90%", "answered >= 30%")
    process = tiny.start("run", "--json")
    tiny.until(process, in_phase(phase))
    process.kill()
    killed = time.time()
    assert gone(tiny)
    assert [at for at in tiny.noted() if at > killed + LEASE_TTL_S] == []
    live = tiny.live()
    assert bool(live) == (phase in {"check", "inject"})
    code, _, err = tiny.refute("recover", "--json")
    assert code == 0, err
    assert not tiny.live()


@pytest.mark.parametrize("phase", ["baseline", "inject", "recover"])
def test_a_worker_that_is_killed_takes_its_fault_with_it_and_voids_the_run(tiny, phase):
    tiny.edit("window: 500 ms", "window: 2 s")
    tiny.edit("answered >= 90%", "answered >= 50%" if phase != "recover" else "answered >= 90%")
    process = tiny.start("run", "--json")
    tiny.until(process, in_phase(phase))
    (worker,) = workers(tiny)
    os.kill(worker, signal.SIGKILL)
    code, lines, err = ended(process)
    (verdict,) = lines[-1]["verdicts"]
    assert verdict["rolled_back"], err
    if phase == "recover":
        assert (code, verdict["verdict"], verdict["recovered"]) == (1, "refuted", False)
    else:
        assert (code, verdict["verdict"]) == (3, "void")
        assert "died" in verdict["reasons"][0] or "does not answer" in verdict["reasons"][0]
    if phase == "inject":
        assert [line["proof"] for line in lines if line["event"] == "rollback"][-1] == f"process {worker} is gone"
    assert not tiny.live()


@pytest.mark.parametrize("phase", ["baseline", "inject"])
def test_a_worker_that_is_frozen_is_given_up_and_the_rollback_is_proven_without_its_word(tiny, phase):
    tiny.edit("window: 500 ms", "window: 2 s")
    tiny.edit("answered >= 90%", "answered >= 50%")
    process = tiny.start("run", "--json")
    tiny.until(process, in_phase(phase))
    (worker,) = workers(tiny)
    os.kill(worker, signal.SIGSTOP)
    code, lines, err = ended(process, 60)
    (verdict,) = lines[-1]["verdicts"]
    assert (code, verdict["verdict"], verdict["rolled_back"]) == (3, "void", True), err
    if phase == "inject":
        proof = [line["proof"] for line in lines if line["event"] == "rollback"][-1]
        assert proof in {f"the lease of process {worker} has ended", f"process {worker} is gone"}
    assert gone(tiny)
    assert not tiny.live()


# Disks.


@pytest.fixture
def small_disk(tmp_path):
    place = tmp_path / "small"
    place.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place], check=False).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def fill(place):
    with (place / "ballast").open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
        while ballast.write(b"x" * 4096):
            pass


def test_a_full_disk_for_the_ledger_injects_nothing(tiny, small_disk):
    (tiny.folder / ".refute").symlink_to(small_disk, target_is_directory=True)
    fill(small_disk)
    code, lines, err = tiny.refute("run", "--json")
    assert code == 2, err
    assert "LEDGER-FULL" in codes(lines)
    assert (lines[-1]["event"], lines[-1]["verdicts"]) == ("summary", [])
    assert not tiny.noted()
    assert not tiny.live()


def test_a_full_disk_for_the_journal_injects_nothing(tiny, small_disk):
    tiny.environ["XDG_STATE_HOME"] = str(small_disk)
    fill(small_disk)
    code, lines, err = tiny.refute("run", "--json")
    assert code == 2, err
    assert "JOURNAL-FULL" in codes(lines)
    assert not tiny.noted()


def test_a_ledger_that_fills_up_in_the_middle_ends_the_run_with_the_fault_removed(tiny, small_disk):
    (tiny.folder / ".refute").symlink_to(small_disk, target_is_directory=True)
    tiny.edit("answered >= 90%", "answered >= 50%")
    process = tiny.start("run", "--json")
    tiny.until(process, in_phase("inject"))
    fill(small_disk)
    code, lines, err = ended(process)
    assert code == 3, err
    assert codes(lines) == ["LEDGER-FULL"], "once"
    assert [line["ok"] for line in lines if line["event"] == "rollback"] == [True]
    assert (lines[-1]["event"], lines[-1]["exit_code"], lines[-1]["verdicts"]) == ("summary", 3, [])
    assert not tiny.live()
    assert gone(tiny)


def test_a_journal_that_fills_up_in_the_middle_says_so_and_the_fault_is_gone(tiny, small_disk):
    tiny.environ["XDG_STATE_HOME"] = str(small_disk)
    tiny.edit("answered >= 90%", "answered >= 50%")
    process = tiny.start("run", "--json")
    tiny.until(process, in_phase("inject"))
    fill(small_disk)
    process.send_signal(signal.SIGINT)
    code, lines, err = ended(process)
    assert code == 130, err
    assert [line["ok"] for line in lines if line["event"] == "rollback"] == [True]
    entries = len(tiny.live())
    assert codes(lines) == (["JOURNAL-FULL"] if entries else [])
    (small_disk / "ballast").unlink()
    assert tiny.refute("recover")[0] == 0
    assert not tiny.live()


def test_a_limit_on_file_size_is_a_full_disk(tiny):
    limits = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))"
    limited = [sys.executable, "-c", f"{limits}; from refute.cli import main; main(sys.argv[1:])", "run", "--json"]
    process = subprocess.Popen(limited, cwd=tiny.folder, env=tiny.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    tiny.started.append(process)
    code, lines, err = ended(process, 60)
    assert (code, lines[-1]["event"]) == (3, "summary"), err
    assert codes(lines)[0] in {"LEDGER-FULL", "LEDGER-IO"}, "SQLite calls it an I/O error"
    assert not tiny.live()


# Two at once.


def test_two_runs_that_start_at_once_on_one_system_do_not_meet(tiny):
    tiny.edit("window: 500 ms", "window: 3 s")
    both = [tiny.start("run", "--json") for _ in range(2)]
    results = sorted((ended(process, 60) for process in both), key=lambda result: result[0])
    assert [code for code, _, _ in results] == [1, 2], results
    assert "RUN-CONCURRENT" in codes(results[1][1])
    assert results[1][1][-1]["verdicts"] == []


# A program that is tried.


@pytest.fixture
def trial(tmp_path):
    environ = os.environ | {"XDG_STATE_HOME": str(tmp_path / "state")}
    started = []

    def start(*command, fault="llm.rate_limit"):
        call = [sys.executable, "-m", "refute", "try", "--json", "--fault", fault, "--", *command]
        process = subprocess.Popen(call, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    def live():
        doctor = subprocess.run(
            [sys.executable, "-m", "refute", "doctor", "--json"], env=environ, capture_output=True, text=True, check=False
        )
        return json.loads(doctor.stdout)["live"]

    def child():
        until_s = time.monotonic() + 20
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            assert time.monotonic() < until_s
            time.sleep(0.05)
        return int((tmp_path / "pid").read_text())

    start.live, start.child, start.environ = live, child, environ
    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()


PROGRAM = "import os, signal, sys, time; {before}; open('pid', 'w').write(str(os.getpid())); time.sleep(600)"
SLEEPS = [sys.executable, "-c", PROGRAM.format(before="pass")]
DEAF = [sys.executable, "-c", PROGRAM.format(before="signal.signal(signal.SIGTERM, signal.SIG_IGN)")]


def alive(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.mark.parametrize("command", ["no-such-command-at-all", "./not-executable", "/tmp"])
def test_a_command_that_cannot_be_started_leaves_nothing_in_the_journal(trial, tmp_path, command):
    (tmp_path / "not-executable").write_text("#!/bin/sh\n")
    code, lines, err = ended(trial(command))
    assert (code, codes(lines)) == (2, ["PROGRAM-START"]), err
    assert trial.live() == []


def test_a_program_that_is_killed_is_told_as_such(trial):
    process = trial(*SLEEPS)
    os.kill(trial.child(), signal.SIGKILL)
    code, lines, _ = ended(process)
    assert (code, lines[-1]["program_exit_code"], lines[-1]["rolled_back"]) == (3, -9, True)
    assert trial.live() == []


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("command", [SLEEPS, DEAF], ids=["heeds", "ignores"])
def test_a_signal_ends_the_program_that_is_tried_though_it_may_ignore_it(trial, command, number):
    process = trial(*command)
    child = trial.child()
    process.send_signal(number)
    code, lines, err = ended(process, 15)
    assert (code, lines[-1]["exit_code"], lines[-1]["rolled_back"]) == (130, 130, True)
    assert "Traceback" not in err
    assert not alive(child)
    assert trial.live() == []


def test_a_signal_before_the_program_starts_ends_without_a_traceback(trial):
    process = trial(*SLEEPS)
    time.sleep(0.4)
    process.send_signal(signal.SIGTERM)
    code, lines, err = ended(process, 15)
    assert code in {130, -signal.SIGTERM}, err  # the latter before Python has got as far as our first line
    assert "Traceback" not in err
    assert code != 130 or lines[-1]["exit_code"] == 130
    assert trial.live() == []


def test_an_abort_reaches_programs_that_are_tried_several_at_once(trial, tmp_path):
    first, second = trial(*SLEEPS), trial(*SLEEPS)
    trial.child()
    runs = tmp_path / "state" / "refute" / "runs"
    until_s = time.monotonic() + 20
    while len(list(runs.glob("try-*.lock"))) < 2 and time.monotonic() < until_s:
        time.sleep(0.05)
    time.sleep(1)
    abort = subprocess.run([sys.executable, "-m", "refute", "abort"], env=trial.environ, capture_output=True, text=True, check=False)
    assert (abort.returncode, "2 of 2 ended" in abort.stdout) == (0, True), abort.stdout
    assert [ended(process)[0] for process in (first, second)] == [130, 130]
    assert list(runs.iterdir()) == []
    assert trial.live() == []


def test_the_abort_file_alone_ends_a_program_that_is_tried(trial, tmp_path):
    process = trial(*SLEEPS)
    trial.child()
    (tmp_path / "state" / "refute" / "abort").touch()
    assert ended(process, 15)[0] == 130
    assert trial.live() == []


def test_a_trial_that_is_killed_disarms_its_program_and_recover_proves_it(trial):
    process = trial(*SLEEPS)
    child = trial.child()
    process.kill()
    process.wait()
    os.kill(child, signal.SIGKILL)
    assert len(trial.live()) == 1
    recover = subprocess.run([sys.executable, "-m", "refute", "recover"], env=trial.environ, capture_output=True, text=True, check=False)
    assert recover.returncode == 0, recover.stdout
    assert trial.live() == []
