"""A paused process, through the whole command line: who is killed or frozen, and is the service back? Seen from outside, by its port."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from refute.core.arming import Arming, Handle
from refute.core.errors import RefuteError
from refute.core.process import identity_of, is_running, this_process
from refute.core.system import Component, Place
from refute.experiment.design import LEASE_TTL_S
from refute.injectors.host.signals import INJECTOR as SIGNALS
from refute.safety import guardian
from refute.safety._post import Post
from refute.safety.guard import Guard
from refute.safety.journal import Journal
from refute.safety.summon import ask_now, summon

ALLOWED_S = 5.0
ARMING = Arming(Component("target", "service"), "process.pause").to_json()


def answers(port, within_s=0.25):
    try:
        with socket.create_connection(("127.0.0.1", port), within_s) as connection:
            connection.settimeout(within_s)
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return connection.recv(12) == b"HTTP/1.1 200"
    except OSError:
        return False


def until(wanted, limit_s):
    start = time.monotonic()
    while time.monotonic() < start + limit_s:
        if wanted():
            return time.monotonic() - start
        time.sleep(0.02)
    raise AssertionError(f"not within {limit_s} s")


@pytest.fixture
def stock(shop):
    """The service, started by the test, so that it outlives the run."""
    process = subprocess.Popen([sys.executable, shop.folder / "stock.py", str(shop.port), shop.folder / "stock.pid"])
    shop.environ["SHOP_SERVED"] = "1"
    shop.edit("duration: 30 s", "duration: 60 s")
    shop.edit("units: 120", "units: 600")
    shop.edit("answered >= 90%", "answered >= 99%")  # takes long enough to be met
    until(lambda: answers(shop.port), 5)
    yield process
    process.kill()
    process.wait()


def post_of(shop):
    return Post(Path(shop.environ["XDG_STATE_HOME"]) / "refute" / "guardian")


def injecting(shop, stock):
    """Start a run and wait until the service hangs."""
    process = shop.start("run", "--json")
    shop.until(process, lambda line: line["event"] == "progress" and line["phase"] == "inject")
    assert not answers(shop.port), "the fault is there"
    return process


def test_a_paused_service_is_seen_paused_and_is_back_after_the_run(shop, stock):
    process = injecting(shop, stock)
    out, err = process.communicate(timeout=60)
    summary = json.loads(out.splitlines()[-1])
    (verdict,) = summary["verdicts"]
    assert (process.returncode, verdict["verdict"], verdict["landed"], verdict["rolled_back"]) == (0, "held", True, True), err
    assert answers(shop.port)
    assert not shop.live()
    assert shop.refute("ledger", "verify")[0] == 0


def test_a_killed_runner_leaves_the_service_running(shop, stock):
    process = injecting(shop, stock)
    process.kill()
    process.wait()
    assert until(lambda: answers(shop.port), LEASE_TTL_S + ALLOWED_S) < 1.5, "the guardian sees the connection close"
    until(lambda: not shop.live(), 5)
    code, _, _ = shop.refute("recover", "--json")
    assert code == 0
    assert shop.refute("ledger", "verify")[0] == 0


def test_a_frozen_runner_loses_its_lease_and_the_run_is_void_when_it_wakes(shop, stock):
    process = injecting(shop, stock)
    process.send_signal(signal.SIGSTOP)
    until(lambda: answers(shop.port), LEASE_TTL_S + ALLOWED_S)
    process.send_signal(signal.SIGCONT)
    out, _ = process.communicate(timeout=60)
    problems = [line["code"] for line in map(json.loads, out.splitlines()) if line["event"] == "problem"]
    assert (process.returncode, problems) == (3, ["LINK-LEASE"])
    assert not shop.live()


def test_abort_reaches_a_fault_whose_runner_cannot_hear(shop, stock):
    process = injecting(shop, stock)
    process.send_signal(signal.SIGSTOP)
    start = time.monotonic()
    code, _, _ = shop.refute("abort", "--wait", "0", "--json")
    assert answers(shop.port)
    assert time.monotonic() - start < LEASE_TTL_S - 0.5, "sooner than its lease would have ended"
    assert code == 5, "the frozen run is still there"
    process.send_signal(signal.SIGCONT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, out[-1500:] + err


def test_the_understudy_of_a_killed_guardian_removes_the_fault(shop, stock):
    process = injecting(shop, stock)
    before = ask_now(post_of(shop), "status")
    assert [run["lease_s"] > 0 for run in before["runs"]] == [True]
    os.kill(before["pid"], signal.SIGKILL)
    until(lambda: answers(shop.port), ALLOWED_S)
    out, _ = process.communicate(timeout=60)
    problems = [line["code"] for line in map(json.loads, out.splitlines()) if line["event"] == "problem"]
    assert (process.returncode, problems) == (3, ["GUARDIAN-LOST"])
    assert ask_now(post_of(shop), "status")["pid"] == before["understudy"]
    assert not shop.live()


def test_the_understudy_of_a_frozen_guardian_ends_it_and_removes_the_fault(shop, stock):
    process = injecting(shop, stock)
    before = ask_now(post_of(shop), "status")
    os.kill(before["pid"], signal.SIGSTOP)
    until(lambda: answers(shop.port), LEASE_TTL_S + ALLOWED_S)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, [line["code"] for line in map(json.loads, out.splitlines()) if line["event"] == "problem"]) == (
        3, ["GUARDIAN-LOST"],
    )  # fmt: skip
    assert ask_now(post_of(shop), "status")["pid"] == before["understudy"]
    assert not shop.live()


def test_with_runner_guardian_and_understudy_dead_recover_mends(shop, stock):
    process = injecting(shop, stock)
    status = ask_now(post_of(shop), "status")
    os.kill(status["understudy"], signal.SIGKILL)
    os.kill(status["pid"], signal.SIGKILL)
    process.kill()
    process.wait()
    time.sleep(0.3)
    assert not answers(shop.port), "nobody is left"
    code, lines, _ = shop.refute("doctor", "--json")
    assert (code, [one["running"] for one in lines[-1]["live"]]) == (5, [False])
    code, lines, _ = shop.refute("recover", "--json")
    assert (code, [one["ending"] for one in lines[-1]["handles"]]) == (0, ["recovered"])
    assert answers(shop.port)
    assert shop.refute("recover", "--json")[1][-1]["handles"] == []


def test_a_guardian_is_reused_has_no_secret_and_ends_by_itself(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "canary-key")
    post = Post(tmp_path / "guardian")
    pid = summon(post)
    assert summon(post) == pid
    assert os.getsid(pid) != os.getsid(0)
    assert b"canary-key" not in Path(f"/proc/{pid}/environ").read_bytes()
    assert all(not str(Path(f"/proc/{pid}/fd/{number}").readlink()).startswith("pipe:") for number in (0, 1, 2))
    who = identity_of(pid)
    assert Path(f"/proc/{pid}/stat").read_text().split()[3] != str(os.getpid()), "it is not our child"
    until(lambda: not is_running(who), guardian.IDLE_S + 5)
    assert not (tmp_path / "guardian" / "socket").exists()
    assert (tmp_path / "guardian" / "log").read_text() == ""
    assert post.take() is not None, "nobody holds the lock"


def test_a_new_guardian_first_removes_what_an_earlier_boot_has_left(tmp_path):
    victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    me, boot_before = this_process(), "an earlier boot"
    journal = Journal(tmp_path / "journal", runner=type(me)(me.pid, me.started, boot_before))
    stale = identity_of(victim.pid).to_json()
    handles = [
        Handle("signals", "journalled", {"arming": ARMING, "processes": [stale]}, id="running"),
        Handle("signals", "journalled", {"arming": ARMING, "processes": [stale | {"boot": boot_before}]}, id="rebooted"),
    ]
    for handle in handles:
        journal.advance(handle, "intended", experiment="e")
    (tmp_path / "journal" / "torn.jsonl").write_bytes(b'{"state": "intend')
    os.kill(victim.pid, signal.SIGSTOP)
    pid = summon(Post(tmp_path / "guardian"))
    try:
        until(lambda: not journal.live(), 5)
        until(lambda: Path(f"/proc/{victim.pid}/stat").read_text().split()[2] != "T", 2)
    finally:
        os.kill(pid, signal.SIGTERM)
        victim.kill()
        victim.wait()


@pytest.fixture
def sleeper(tmp_path):
    made = []

    def start(*arguments):
        made.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", *arguments]))
        return made[-1]

    yield start
    for process in made:
        process.kill()
        process.wait()


def prepared(place):
    return SIGNALS.prepare(Arming(Component("target", "service", place=place), "process.pause"))


def refusal(place):
    with pytest.raises(RefuteError) as caught:
        prepared(place)
    assert caught.value.problems[0].code == "HOST-REFUSED"
    return caught.value.problems[0].seen


def test_a_pidfile_that_is_older_than_its_process_names_another_one(tmp_path, sleeper):
    file = tmp_path / "pid"
    file.write_text(str(sleeper().pid))
    assert prepared(Place(pidfile=str(file)))
    os.utime(file, (time.time() - 3600,) * 2)
    assert "was written before process" in refusal(Place(pidfile=str(file)))
    file.write_text("not a number")
    assert "holds no process id" in refusal(Place(pidfile=str(file)))


def test_a_command_line_must_match_one_process_and_none_of_ours(sleeper):
    assert "there is no command line" in refusal(Place(match="canary-of-this-test"))
    first = sleeper("canary-of-this-test")
    assert prepared(Place(match="canary-of-this-test")).data["processes"][0]["pid"] == first.pid
    sleeper("canary-of-this-test")
    assert "is not the only one" in refusal(Place(match="canary-of-this-test"))


@pytest.mark.parametrize(
    ("pid", "reason"), [(lambda: 1, "the first process"), (os.getpid, "this run itself"), (os.getppid, "")], ids=["first", "own", "parent"]
)
def test_what_the_run_lives_in_is_never_touched(tmp_path, pid, reason):
    (tmp_path / "pid").write_text(str(pid()))
    assert reason in refusal(Place(pidfile=str(tmp_path / "pid")))


def test_a_process_that_somebody_else_has_stopped_is_refused(tmp_path, sleeper):
    process = sleeper()
    (tmp_path / "pid").write_text(str(process.pid))
    process.send_signal(signal.SIGSTOP)
    until(lambda: Path(f"/proc/{process.pid}/stat").read_text().split()[2] == "T", 2)
    assert "is stopped already" in refusal(Place(pidfile=str(tmp_path / "pid")))


def test_a_used_again_pid_is_never_signalled(sleeper):
    process = sleeper()
    process.send_signal(signal.SIGSTOP)
    until(lambda: Path(f"/proc/{process.pid}/stat").read_text().split()[2] == "T", 2)
    other = identity_of(process.pid).to_json() | {"started": "1"}
    handle = Handle("signals", "journalled", {"arming": ARMING, "processes": [other]})
    SIGNALS.rollback(handle)
    time.sleep(0.05)
    assert Path(f"/proc/{process.pid}/stat").read_text().split()[2] == "T", "it is somebody else's, and somebody else stopped it"
    assert SIGNALS.verify(handle)


def test_a_state_directory_that_cannot_be_written_refuses_before_anything(shop, stock, tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    shop.environ["XDG_STATE_HOME"] = str(file)
    code, lines, err = shop.refute("run", "--json")
    assert code == 2
    assert "JOURNAL-" in json.dumps(lines) + err
    assert answers(shop.port)


@pytest.mark.host
def test_a_disk_that_runs_full_in_the_middle_keeps_no_fault(tmp_path, sleeper):
    place, process = tmp_path / "small", sleeper()
    place.mkdir()
    (tmp_path / "pid").write_text(str(process.pid))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", place], check=True)
    journal, post = Journal(place / "journal"), Post(place / "guardian")

    async def armed_until_the_disk_is_full():
        async with Guard(journal, post) as guard:
            await guard.arm([prepared(Place(pidfile=str(tmp_path / "pid")))], "e", LEASE_TTL_S)
            assert stopped(process)
            with (place / "ballast").open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
                while ballast.write(b"x" * 512):
                    pass

    try:
        asyncio.run(armed_until_the_disk_is_full())
        until(lambda: not stopped(process), 2)
        (place / "ballast").unlink()
        until(lambda: not journal.live(), 8)
    finally:
        os.kill(post.holder().pid, signal.SIGTERM)
        until(lambda: post.holder() is None, 5)
        subprocess.run(["umount", place], check=True)


def stopped(process):
    return Path(f"/proc/{process.pid}/stat").read_text().split()[2] == "T"
