"""A link with several processes: the worker, and those that it starts, which may come late, refuse, stall or die."""

from __future__ import annotations

import asyncio
import os
import sys
import threading

import pytest

from refute.core.arming import Arming, Handle, Landing
from refute.core.errors import RefuteError
from refute.core.system import Component
from refute.experiment.link import Link
from refute.injectors.agent import Agent, connect
from refute.injectors.boot import python_path

TTL_S = 0.6
HANDLE = Handle("hand", "expiring", {})


class Hand:
    """An injector that notes what it is told."""

    name = "hand"

    def __init__(self, *, refuses=False, delay_s=0.0):
        self.done = []
        self.refuses = refuses
        self.delay = threading.Event()
        self.delay_s = delay_s

    def apply(self, handle, lease):
        self.delay.wait(self.delay_s)
        if self.refuses:
            raise ValueError("no such module")
        self.done.append("apply")

    def rollback(self, handle):
        self.done.append("rollback")

    def landed(self, handle):
        return Landing(eligible=self.done.count("apply"))

    def verify(self, handle):
        return True


class Process:
    """One end of a link in this process, in a thread of its own."""

    def __init__(self, link, role, hand):
        self.hand = hand
        self.gone = threading.Event()
        self.connection = connect(role, link.environment)
        Agent(self.connection, {"hand": hand, "http": hand}, {"go": self._go}, self.gone.set).start()

    def _go(self, _message):
        self.hand.done.append("go")
        return {}

    def die(self):
        self.connection.shutdown(2)


async def until(condition):
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise TimeoutError


@pytest.fixture
async def link():
    async with Link(lambda *_: None) as link:
        yield link


async def join(link, role="worker", **how):
    count = len(link.peers)
    process = await asyncio.to_thread(Process, link, role, Hand(**how))
    await until(lambda: len(link.peers) > count)
    return process


async def test_all_are_armed_and_one_that_joins_later_is_armed_before_it_goes(link):
    worker, early = await join(link), await join(link, "exec")
    await link.arm([HANDLE], TTL_S)
    late = await join(link, "exec")
    await until(lambda: "go" in late.hand.done)
    assert worker.hand.done == ["apply"]
    assert early.hand.done == ["go", "apply"]
    assert late.hand.done == ["apply", "go"]
    await link.renew(TTL_S)
    assert await link.disarm()
    assert all(process.hand.done[-1] == "rollback" for process in (worker, early, late))
    assert link.landed(HANDLE).eligible == 3


async def test_one_that_joins_while_all_are_being_armed_is_armed_once(link):
    await join(link, delay_s=0.05)
    arming = asyncio.create_task(link.arm([HANDLE], TTL_S))
    processes = [await join(link, "exec", delay_s=0.02) for _ in range(8)]
    await arming
    await until(lambda: all("go" in process.hand.done for process in processes))
    assert all(process.hand.done == ["apply", "go"] for process in processes)


async def test_what_landed_in_a_process_that_dies_is_kept_and_the_run_goes_on(link):
    await join(link)
    child = await join(link, "exec")
    await link.arm([HANDLE], TTL_S)
    await link.renew(TTL_S)
    child.die()
    await link.renew(TTL_S)
    assert await link.disarm()
    assert link.landed(HANDLE).eligible == 2


async def test_a_child_that_refuses_ends_nothing_and_the_landing_says_why(link):
    await join(link)
    child = await join(link, "exec", refuses=True)
    await link.arm([HANDLE], TTL_S)
    await link.renew(TTL_S)
    assert link.landed(HANDLE).reason == "a process that the workload started could not be armed: ValueError: no such module"
    assert await link.disarm()
    assert "apply" not in child.hand.done


async def test_a_worker_that_refuses_ends_it_and_all_are_disarmed(link):
    await join(link, refuses=True)
    child = await join(link, "exec")
    with pytest.raises(RefuteError, match="an injector failed"):
        await link.arm([HANDLE], TTL_S)
    assert child.hand.done[-1] == "rollback"


async def test_a_child_that_stalls_longer_than_its_lease_is_noticed(link):
    await join(link)
    child = await join(link, "exec")
    await link.arm([HANDLE], TTL_S)
    stalled = threading.Event()
    child.hand.landed = lambda handle: Landing(unattributed=stalled.wait(TTL_S * 1.5))
    await link.renew(TTL_S)  # keeps it busy
    await asyncio.sleep(TTL_S * 1.4)
    stalled.set()
    with pytest.raises(RefuteError, match="a lease ended"):
        await link.renew(TTL_S)


async def test_without_a_worker_there_is_nothing_to_inject_into(link):
    worker, _ = await join(link), await join(link, "exec")
    worker.die()
    await until(link.peers[0].gone.is_set)
    with pytest.raises(RefuteError, match="no process is left"):
        await link.arm([HANDLE], TTL_S)


FORKING = """
import os, sys, httpx2
sys.stdin.readline()
if os.fork() == 0:
    from refute.injectors.http import hooks_installed
    print(hooks_installed() > 0, flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("armed_first", [True, False])
async def test_what_a_program_forks_joins_by_itself(link, armed_first):
    await join(link)
    handle = Handle("http", "expiring", {"arming": Arming(Component("llm", "llm"), "llm.rate_limit").to_json()})
    environ = {**os.environ, **link.environment, "PYTHONPATH": python_path()}
    pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE}
    program = await asyncio.create_subprocess_exec(sys.executable, "-c", FORKING, env=environ, **pipes)
    await until(lambda: len(link.peers) == 2)
    if armed_first:
        await link.arm([handle], 5.0)
    program.stdin.write(b"\n")
    assert await asyncio.wait_for(program.stdout.readline(), 10) == f"{armed_first}\n".encode()
    if not armed_first:
        await link.arm([handle], 5.0)
    await link.renew(5.0)
    assert len({peer.pid for peer in link.live()}) == 3
    assert all(peer.armed and not peer.refused for peer in link.live())
    assert await link.disarm()
    program.stdin.close()
    await program.wait()
