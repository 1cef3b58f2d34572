"""Kills at random instants around a guardian of another host: run, its caller there, listener, guardian, any of them together.

Whatever dies, the process that was paused runs again within seconds of the lease's end, and the run's own host can prove it.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trustme

from refute.core.arming import Arming
from refute.core.process import identity_of, is_running
from refute.core.system import Component, Place
from refute.safety._post import Post
from refute.safety.journal import Journal
from refute.safety.recover import recover
from support.hosts import certify, until

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="guardians need Linux")

TTL_S, HOLD_S, ALLOWED_S = 0.6, 1.0, 5.0
TRIALS = 16
WHO = ("run", "caller", "listener", "guardian")
RUN = """
import asyncio, json, sys, time
from pathlib import Path
from refute.core.arming import Arming
from refute.safety.far_guard import FarGuard
from refute.safety.journal import Journal

async def main(journal, arming, ttl_s, hold_s):
    async with FarGuard(Journal(Path(journal)), arming.component.place) as guard:
        print("ready", flush=True)
        handle = await guard.prepare(arming)
        try:
            await guard.arm([handle], "trial", ttl_s)
            until_s = time.monotonic() + hold_s
            while time.monotonic() < until_s:
                await asyncio.sleep(ttl_s / 6)
                await guard.renew(ttl_s)
        finally:
            await guard.disarm([handle])

asyncio.run(main(sys.argv[1], Arming.from_json(json.loads(sys.argv[2])), float(sys.argv[3]), float(sys.argv[4])))
"""


class There:
    """The other host: a process to pause, and a listener that can be started again at its port."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = 0
        self.victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        (home / "pid").write_text(str(self.victim.pid))
        self.listen()

    def listen(self) -> None:
        environ = os.environ | {"XDG_STATE_HOME": str(self.home / "state"), "REFUTE_TLS": str(self.home / "tls")}
        command = [sys.executable, "-m", "refute", "guardian", "--listen", f"127.0.0.1:{self.port}", "--admit", "runner", "--json"]
        with (self.home / "log").open("a") as log:
            self.listener = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=log, text=True)
        self.port = int(json.loads(self.listener.stdout.readline())["guardian"].rpartition(":")[2])

    def callers(self) -> list[int]:
        return [pid for pid in processes() if parent(pid) == self.listener.pid]

    @property
    def post(self) -> Post:
        return Post(self.home / "state" / "refute" / "guardian")

    def paused(self) -> bool:
        return Path(f"/proc/{self.victim.pid}/stat").read_text().split()[2] == "T"

    def live(self) -> list:
        return Journal(self.home / "state" / "refute" / "journal").live()


def processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]


def parent(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def kill(*pids: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def there(tmp_path, monkeypatch):
    authority = trustme.CA()
    certify(authority, tmp_path / "tls", "127.0.0.1")
    monkeypatch.setenv("REFUTE_TLS", str(certify(authority, tmp_path / "here", "runner")))
    made = There(tmp_path)
    yield made
    made.listener.terminate()
    made.listener.communicate(timeout=10)
    made.victim.kill()
    made.victim.wait()
    if (holder := made.post.holder()) is not None:
        os.kill(holder.pid, signal.SIGTERM)
        until(lambda: not is_running(holder), 10)


def struck(there: There, run: subprocess.Popen, who: tuple[str, ...]) -> None:
    """Kill them all at once; the listener is then started again, as a supervisor would."""
    pids = {"run": [run.pid], "caller": there.callers(), "listener": [there.listener.pid]}
    holder = there.post.holder()
    pids["guardian"] = [holder.pid] if holder is not None else []
    kill(*(pid for one in who for pid in pids[one]))
    if "listener" in who:
        there.listener.communicate()
        there.listen()


def test_whoever_dies_and_whenever_the_other_host_is_well_again_and_this_one_can_prove_it(there, tmp_path):
    rng = random.Random(20261125)
    kills = paused = 0
    for number in range(TRIALS):
        who = tuple(sorted(rng.sample(WHO, rng.choice([1, 1, 2, 3, 4]))))
        at_s = rng.uniform(0.0, 1.2)
        place = Place(pidfile=str(tmp_path / "pid"), host="branch-1", guardian=f"tls://127.0.0.1:{there.port}")
        arming = json.dumps(Arming(Component("target", "service", place=place), "process.pause").to_json())
        here = Journal(tmp_path / f"here-{number}")
        command = [sys.executable, "-c", RUN, str(here.directory), arming, str(TTL_S), str(HOLD_S)]
        run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            assert run.stdout.readline() == "ready\n", run.stderr.read()
            time.sleep(at_s)
            paused += there.paused()
            struck(there, run, who)
            kills += len(who)
            until(lambda: not there.paused() and not there.live(), TTL_S + ALLOWED_S)
            run.communicate(timeout=40)
        finally:
            if run.poll() is None:
                run.kill()
                run.communicate()
        assert recover(here, {}, running=lambda _: False).exit_code == 0, (who, at_s)
        assert (here.live(), here.damaged(), there.paused()) == ([], [], False), (who, at_s)
    assert identity_of(there.victim.pid) is not None
    assert paused >= TRIALS // 4, "most kills must come while the fault is there"
    assert kills >= TRIALS
