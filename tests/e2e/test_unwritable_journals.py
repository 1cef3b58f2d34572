"""A rollback journal that cannot be written, on real file systems: nothing is applied, and what was applied before is removed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from refute.core.arming import Arming
from refute.core.errors import RefuteError
from refute.core.system import Component, Place
from refute.injectors.host.iptables import INJECTOR as IPTABLES
from refute.injectors.host.signals import INJECTOR as SIGNALS
from refute.safety._post import Post
from refute.safety.guard import Guard
from refute.safety.journal import Journal
from support.hosts import until

pytestmark = pytest.mark.host

TTL_S = 3.0


class Disk:
    """A small file system of its own."""

    def __init__(self, place: Path) -> None:
        self.place = place
        place.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k,mode=700", "tmpfs", place], check=True)

    def full(self) -> None:
        with (self.place / "ballast").open("wb", buffering=0) as ballast:
            for size in (4096, 1):
                with contextlib.suppress(OSError):
                    while ballast.write(b"x" * size):
                        pass

    def read_only(self) -> None:
        subprocess.run(["mount", "-o", "remount,ro", self.place], check=True)

    def mended(self) -> None:
        subprocess.run(["mount", "-o", "remount,rw", self.place], check=True)
        (self.place / "ballast").unlink(missing_ok=True)

    def end(self) -> None:
        subprocess.run(["umount", "-l", self.place], check=True)


WRONG = pytest.mark.parametrize(("wrong", "code"), [(Disk.full, "JOURNAL-FULL"), (Disk.read_only, "JOURNAL-PERMISSION")])


@pytest.fixture
def state(tmp_path):
    """A state directory whose journal is on a disk of its own; its guardian's lock and socket are not."""
    state = tmp_path / "state" / "refute"
    state.mkdir(parents=True, mode=0o700)
    disk = Disk(state / "journal")
    yield state, disk
    if (holder := Post(state / "guardian").holder()) is not None:
        os.kill(holder.pid, signal.SIGTERM)
        until(lambda: Post(state / "guardian").holder() is None, 5)
    disk.end()


@pytest.fixture
def victim(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    (tmp_path / "pid").write_text(str(process.pid))
    yield process
    process.kill()
    process.wait()


def stopped(process):
    return Path(f"/proc/{process.pid}/stat").read_text().split()[2] == "T"


def pause(tmp_path):
    return SIGNALS.prepare(Arming(Component("target", "service", place=Place(pidfile=str(tmp_path / "pid"))), "process.pause"))


@WRONG
async def test_a_guardian_applies_nothing_that_it_cannot_write_down(state, victim, tmp_path, wrong, code):
    state, disk = state
    cut = IPTABLES.prepare(Arming(Component("other", "service", endpoint="http://127.0.0.1:9"), "network.partition"))
    async with Guard(Journal(state / "journal"), Post(state / "guardian")) as guard:
        wrong(disk)
        for handle in (pause(tmp_path), cut):
            with pytest.raises(RefuteError) as caught:
                await guard.arm([handle], "e", TTL_S)
            problem = caught.value.problems[0]
            assert (problem.code, problem.next != "") == (code, True)
        assert not stopped(victim)
        assert IPTABLES.verify(cut), "no rule is there"
        assert Journal(state / "journal").live() == []
        disk.mended()
        handle = pause(tmp_path)
        await guard.arm([handle], "e", TTL_S)
        assert stopped(victim), "it was for the disk alone that nothing was applied"
        assert await guard.disarm([handle])
    assert not stopped(victim)


def test_a_disk_that_becomes_read_only_in_the_middle_keeps_no_fault_and_it_is_noted_once_it_is_well(state, victim, tmp_path):
    state, disk = state
    journal = Journal(state / "journal")

    async def armed_until_it_is_read_only():
        async with Guard(journal, Post(state / "guardian")) as guard:
            await guard.arm([pause(tmp_path)], "e", TTL_S)
            assert stopped(victim)
            disk.read_only()

    asyncio.run(armed_until_it_is_read_only())
    until(lambda: not stopped(victim), 2)
    assert [entry.state for entry in journal.live()] == ["applied"], "it cannot be noted yet"
    disk.mended()
    until(lambda: not journal.live(), 8)


@WRONG
def test_a_run_says_so_before_anything(shop, tmp_path, wrong, code):
    disk = Disk(tmp_path / "small")
    try:
        shop.environ["XDG_STATE_HOME"] = str(disk.place)
        wrong(disk)
        status, lines, err = shop.refute("run", "--json")
        assert (status, [line["code"] for line in lines if line["event"] == "problem"]) == (2, [code]), err
        assert [line for line in lines if line["event"] in {"phase", "injection"}] == []
        assert list(disk.place.rglob("*.jsonl")) == []
    finally:
        disk.end()
