"""The wall clock of runner, guardian and its listener jumps, or their host sleeps: does the lease last as long as it should?"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from refute.core.process import terminate
from refute.integrations.clock import adjustable
from refute.safety._post import Post
from support.hosts import certify, until

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="guardians need Linux")

TTL_S = 2.0
RENEWED_S = 0.25
DAYS_S = 864_000.0
ALLOWED_S = 5.0

RUNNER = f"""
import asyncio, json, sys, time
from refute.core.arming import Arming
from refute.core.system import Component, Place
from refute.safety.far_guard import FarGuard
from refute.safety.guard import Guard
from refute.safety.journal import Journal

pidfile, guardian = sys.argv[1:]
place = Place(pidfile=pidfile, **({{"host": "there", "guardian": guardian}} if guardian else {{}}))

async def run():
    async with FarGuard(Journal(), place) if guardian else Guard(Journal()) as guard:
        await guard.arm([await guard.prepare(Arming(Component("target", "service", place=place), "process.pause"))], "e", {TTL_S})
        while True:
            print(json.dumps({{"wall": time.time()}}), flush=True)
            await asyncio.sleep({RENEWED_S})
            await guard.renew({TTL_S})

asyncio.run(run())
"""


@dataclass
class Hosts:
    """Where a process is paused, by a guardian whose clock can be shifted."""

    home: Path
    environ: dict[str, str]
    victim: subprocess.Popen
    guardian: str = ""

    @property
    def post(self) -> Post:
        return Post(self.home / "state" / "refute" / "guardian")

    def paused(self) -> bool:
        return Path(f"/proc/{self.victim.pid}/stat").read_text().split()[2] == "T"

    def jump(self, seconds: float) -> float:
        """Shift the clock against the true time, and return the true time at which it was."""
        (self.home / "clock").write_text(f"{seconds:+g}\n")
        return time.monotonic()

    def stays_paused(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.paused(), "the lease ended early"
            time.sleep(0.01)

    def processes(self) -> list[int]:
        """Whatever reads its clock by that file: guardian, listener, callers."""
        wanted = f"{self.home}/clock".encode()
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdecimal() and wanted in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
        return found

    def removed(self) -> dict:
        """What the guardian's journal says of the removal."""
        done = self.home / "state" / "refute" / "journal" / "done"
        until(lambda: list(done.iterdir()), ALLOWED_S)
        (file,) = done.iterdir()
        return json.loads(file.read_text().splitlines()[-1])


@pytest.fixture(params=[False, True], ids=["here", "on another host"])
def hosts(tmp_path, request):
    """One host, or two that speak TLS; the wall clock of all that runs there can be shifted."""
    clock = adjustable(tmp_path / "clock")
    environ = os.environ | {"XDG_STATE_HOME": str(tmp_path / "state"), "REFUTE_TLS": str(tmp_path / "tls")} | clock
    victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (tmp_path / "pid").write_text(str(victim.pid))
    made = Hosts(tmp_path, environ, victim)
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: (victim.kill(), victim.wait()))
        made.post.directory.mkdir(parents=True, mode=0o700)
        subprocess.run([sys.executable, "-P", "-m", "refute.safety.guardian", made.post.directory], env=environ, check=True)
        stack.callback(lambda: (holder := made.post.holder()) and terminate(holder))
        until((made.post.directory / "socket").exists, 10)
        stack.enter_context(made.post.connect())  # so that it stays
        if request.param:
            authority = trustme.CA()
            certify(authority, tmp_path / "tls", "there", "127.0.0.1")
            certify(authority, tmp_path / "runner", "runner")
            made.guardian = stack.enter_context(listening(environ))
        yield made


@contextlib.contextmanager
def listening(environ):
    command = [sys.executable, "-m", "refute", "guardian", "--listen", "127.0.0.1:0", "--admit", "runner", "--json"]
    process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)
    try:
        yield json.loads(process.stdout.readline())["guardian"]
    finally:
        process.terminate()
        process.communicate(timeout=10)


@contextlib.contextmanager
def running(hosts):
    """A runner that holds the fault, and what it says: its wall clock at each renewal."""
    mine = {"XDG_STATE_HOME": str(hosts.home / "mine"), "REFUTE_TLS": str(hosts.home / "runner")} if hosts.guardian else {}
    command = [sys.executable, "-c", RUNNER, str(hosts.home / "pid"), hosts.guardian]
    process = subprocess.Popen(command, env=hosts.environ | mine, stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline(), "it is armed"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def walls(process):
    """What a killed runner had said."""
    return [json.loads(line)["wall"] for line in process.stdout.read().splitlines()]


@pytest.mark.parametrize("last", [DAYS_S, -DAYS_S], ids=["ahead", "back"])
def test_a_clock_that_jumps_neither_ends_a_lease_nor_extends_it(hosts, last):
    with running(hosts) as process:
        for seconds in (last, -last, 0.0):
            hosts.jump(seconds)
            hosts.stays_paused(TTL_S * 0.6)
        hosts.jump(last)
        hosts.stays_paused(RENEWED_S)
        process.send_signal(signal.SIGSTOP)
        frozen = hosts.jump(-last)
        hosts.stays_paused(TTL_S - 2 * RENEWED_S - 0.5)
        until(lambda: not hosts.paused(), ALLOWED_S)
        assert time.monotonic() - frozen < TTL_S + 1.0
        process.kill()
        told = walls(process)
    assert max(told) - time.time() > DAYS_S / 2, "the runner's clock did jump"
    assert time.time() - min(told) > DAYS_S / 2
    assert abs(hosts.removed()["wall"] - time.time() + last) < DAYS_S / 2, "and the guardian's"


def test_a_host_that_has_slept_finds_its_leases_ended(hosts):
    """What is frozen all at once goes on as after a suspension: the lease's clock has counted it, whoever wakes first."""
    with running(hosts) as process:
        hosts.stays_paused(RENEWED_S)
        everybody = [process.pid, *hosts.processes()]
        for pid in everybody:
            os.kill(pid, signal.SIGSTOP)
        hosts.stays_paused(TTL_S + 0.5)
        for pid in everybody:  # the runner first: it renews what has ended
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.1)
        until(lambda: not hosts.paused(), ALLOWED_S)
        assert process.wait(10), "it was told"
    assert hosts.removed()["state"] == "verified"
