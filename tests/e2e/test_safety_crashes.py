"""kill -9 at each state of the journal, on a full disk, the kill switch and two runs at once, with real processes."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

from refute.core.arming import Handle
from refute.core.errors import RefuteError
from refute.core.process import ProcessIdentity, identity_of, is_running, terminate, this_process
from refute.safety.abort import abort_marker, abort_requested, request_abort
from refute.safety.journal import Journal
from refute.safety.recover import recover
from refute.safety.runs import live_runs, registered

HANDLE = Handle("files", "journalled", {}, id="h1")
STEPS = ["intended", "apply", "applied", "rollback", "rolled_back", "verified"]

RUN = """
import os, pathlib, signal, sys
from refute.core.arming import Handle
from refute.safety.journal import Journal
place, steps = pathlib.Path(sys.argv[1]), sys.argv[2].split(",")
journal, handle = Journal(place / "journal"), Handle("files", "journalled", {}, id="h1")
for step in steps:
    if step == "apply": (place / "broken").write_text("")
    elif step == "rollback": (place / "broken").unlink()
    else: journal.advance(handle, step, experiment="e1")
os.kill(os.getpid(), signal.SIGKILL)
"""


class Files:
    name = "files"

    def __init__(self, place):
        self.broken = place / "broken"

    def rollback(self, handle):
        self.broken.unlink(missing_ok=True)

    def verify(self, handle):
        return not self.broken.exists()


@pytest.mark.parametrize("steps", [STEPS[:count] for count in range(1, len(STEPS) + 1)], ids=lambda steps: steps[-1])
def test_kill_9_after_any_step_leaves_nothing_broken_after_recovery(tmp_path, steps):
    killed = subprocess.run([sys.executable, "-c", RUN, str(tmp_path), ",".join(steps)], check=False)
    assert killed.returncode == -signal.SIGKILL
    journal, injectors = Journal(tmp_path / "journal"), {"files": Files(tmp_path)}
    assert len(journal.live()) == (0 if steps[-1] == "verified" else 1)
    assert recover(journal, injectors).exit_code == 0
    assert not (tmp_path / "broken").exists()
    assert journal.live() == []
    assert recover(journal, injectors).handles == ()


@pytest.mark.host
def test_on_a_full_disk_nothing_may_be_applied(tmp_path):
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], check=True)
    try:
        journal = Journal(place / "journal")
        journal.advance(Handle("files", "journalled", {}, id="first"), "intended")
        with (place / "ballast").open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
            while ballast.write(b"x" * 4096):
                pass
        with pytest.raises(RefuteError) as caught:
            journal.advance(HANDLE, "intended")
        assert caught.value.problems[0].code == "JOURNAL-FULL"
        assert [entry.handle.id for entry in journal.live()] == ["first"]
        assert not (journal.directory / "h1.jsonl").exists()
    finally:
        subprocess.run(["umount", place], check=True)


HOLD = """
import pathlib, sys, time
from refute.safety.runs import registered
with registered(sys.argv[2], "e1", pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def hold(state, system):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(state), system], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def test_two_runs_on_one_system_are_refused_and_a_killed_one_lets_go(tmp_path):
    other = hold(tmp_path, "shop")
    with pytest.raises(RefuteError) as caught, registered("shop", "e2", tmp_path):
        pass
    assert caught.value.problems[0].code == "RUN-CONCURRENT"
    assert f"process {other.pid}" in caught.value.problems[0].seen
    with registered("another", "e2", tmp_path):
        assert {(run.system, run.process.pid) for run in live_runs(tmp_path)} == {("shop", other.pid), ("another", os.getpid())}
    other.kill()
    other.wait()
    assert live_runs(tmp_path) == []
    with registered("shop", "e3", tmp_path) as run:
        assert live_runs(tmp_path) == [run]
    assert live_runs(tmp_path) == []


def test_an_abort_reaches_every_live_run_and_those_that_only_watch_the_file(tmp_path):
    marker = abort_marker(tmp_path)
    assert not abort_requested(marker, tmp_path)
    others = [hold(tmp_path, "shop"), hold(tmp_path, "bank")]
    abort = request_abort(tmp_path)
    assert {run.process.pid for run in abort.told} == {other.pid for other in others}
    assert abort.missed == ()
    assert [other.wait(5) for other in others] == [-signal.SIGTERM, -signal.SIGTERM]
    assert abort_requested(marker, tmp_path)
    marker = abort_marker(tmp_path)
    assert not abort_requested(marker, tmp_path)
    assert request_abort(tmp_path).told == ()
    assert abort_requested(marker, tmp_path)


def test_touching_the_file_by_hand_aborts_too_whatever_the_clock_says(tmp_path):
    marker = abort_marker(tmp_path)
    (tmp_path / "abort").touch()
    os.utime(tmp_path / "abort", (1, 1))
    assert abort_requested(marker, tmp_path)
    marker = abort_marker(tmp_path)
    (tmp_path / "abort").touch()
    assert abort_requested(marker, tmp_path)
    (tmp_path / "abort").unlink()
    assert not abort_requested(marker, tmp_path)


def test_a_process_is_known_by_pid_and_start_time():
    me = this_process()
    assert is_running(me)
    assert identity_of(os.getpid()) == me
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    child = identity_of(process.pid)
    assert is_running(child)
    assert not terminate(ProcessIdentity(child.pid, "1", child.boot))
    assert not terminate(ProcessIdentity(child.pid, child.started, "another boot"))
    assert process.poll() is None
    assert terminate(child)
    until = time.monotonic() + 5
    while is_running(child) and time.monotonic() < until:  # a zombie, not yet waited for, runs no code
        time.sleep(0.01)
    assert not is_running(child)
    process.wait()
    assert not terminate(child)
    assert identity_of(process.pid) is None
