"""The ledger under kill -9, two processes at once, a full disk, a file-size limit and missing permission."""

import contextlib
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time

import pytest

from refute.core.errors import RefuteError
from refute.core.events import Event
from refute.ledger import Ledger

APPEND = """
import sys
from refute.core.events import Event
from refute.ledger import Ledger
ledger = Ledger.open(sys.argv[1])
for number in range(int(sys.argv[2])):
    ledger.append(Event("phase", {"who": sys.argv[3], "number": number, "fill": "x" * 500}), durable=number % 10 == 0)
    print(number, flush=True)
"""


def appender(path, count, who):
    return subprocess.Popen([sys.executable, "-c", APPEND, str(path), str(count), who], stdout=subprocess.PIPE, text=True)


def test_kill_9_in_the_middle_of_appends_loses_nothing_acknowledged(tmp_path):
    path = tmp_path / "ledger.db"
    total = 0
    for round_ in range(4):
        process = appender(path, 100_000, f"r{round_}")
        process.stdout.readline()
        time.sleep(0.05 + 0.03 * round_)
        process.send_signal(signal.SIGKILL)
        acknowledged = len(process.stdout.read().splitlines()) + 1
        process.wait()
        with Ledger.open(path) as ledger:
            report = ledger.verify()
            assert report.ok, report.problems
            assert acknowledged <= report.events - total <= acknowledged + 2
            total = report.events
            ledger.append(Event("phase", {"who": "us"}))
            total += 1


def test_processes_append_at_once_and_the_chain_holds(tmp_path):
    path = tmp_path / "ledger.db"
    processes = [appender(path, 150, f"p{number}") for number in range(3)]
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    with Ledger.open(path) as ledger:
        report = ledger.verify()
        assert (report.ok, report.events) == (True, 450)
        for who in ("p0", "p1", "p2"):
            assert [one.record["number"] for one in ledger.events() if one.record["who"] == who] == list(range(150))


def until_refused(ledger):
    for _ in range(20_000):
        try:
            ledger.append(Event("phase", {"fill": "x" * 4000}))
        except RefuteError as error:
            return error.problems[0].code
    return "never"


def in_child(function, *args):
    """Run a function in a forked process, where it may drop rights and set limits; return what it returned."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=lambda: sender.send(function(*args)))
    process.start()
    process.join(30)
    assert process.exitcode == 0
    return receiver.recv()


def test_a_file_size_limit_keeps_the_ledger_intact(tmp_path):
    path = tmp_path / "ledger.db"

    def limited():
        ledger = Ledger.open(path)
        ledger.append(Event("phase"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        code = until_refused(ledger)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        ledger.append(Event("phase", {"after": True}))
        return code

    assert in_child(limited) in {"LEDGER-FULL", "LEDGER-IO"}
    with Ledger.open(path) as ledger:
        assert ledger.verify().ok
        assert list(ledger.events())[-1].record["after"] is True


@pytest.fixture
def small_disk(tmp_path):
    place = tmp_path / "small"
    place.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", place], check=False).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_full_disk_keeps_the_ledger_intact(small_disk):
    with Ledger.open(small_disk / "ledger.db") as ledger:
        assert until_refused(ledger) == "LEDGER-FULL"
        before = ledger.verify()
        assert before.ok
        assert until_refused(ledger) == "LEDGER-FULL"
    with Ledger.open(small_disk / "ledger.db") as ledger:
        assert ledger.verify().ok
        assert ledger.verify().events >= before.events


def test_a_ledger_cannot_be_made_on_a_full_disk(small_disk):
    with (small_disk / "ballast").open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
        while ballast.write(b"x" * 4096):
            pass
    with pytest.raises(RefuteError) as caught:
        Ledger.open(small_disk / "ledger.db")
    assert caught.value.problems[0].code == "LEDGER-FULL"


def test_without_permission_it_says_so(tmp_path):
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if parent.is_relative_to("/tmp/"):
            parent.chmod(0o755)
    with Ledger.open(tmp_path / "ledger.db") as ledger:
        ledger.append(Event("phase"))

    def as_nobody():
        if os.geteuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
        else:
            (tmp_path / "ledger.db").chmod(0o000)
            tmp_path.chmod(0o555)
        codes = []
        for path in (tmp_path / "ledger.db", tmp_path / "deeper" / "ledger.db"):
            try:
                Ledger.open(path)
            except RefuteError as error:
                codes.append(error.problems[0].code)
        return codes

    assert in_child(as_nobody) == ["LEDGER-PERMISSION", "LEDGER-PERMISSION"]
    with Ledger.open(tmp_path / "ledger.db") as ledger:
        assert ledger.verify().ok
