"""A link with several processes: the worker, and those that it starts, which may come late, refuse, stall or die."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
import time

import pytest

from refute.core.arming import Arming, Handle, Landing
from refute.core.clock import lease_now_s
from refute.core.errors import RefuteError
from refute.core.system import Component
from refute.experiment import peer as peers
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
        if self.refuses is True or (self.refuses == "the second" and "apply" in self.done):
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
    assert (await link.disarm()).proven
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
    start = time.monotonic()
    proof = await link.disarm()
    assert proof.proven
    assert f"the lease of process {os.getpid()} has ended" in proof.how, "its link closed; it may live on, and does"
    assert time.monotonic() - start > TTL_S / 2
    assert link.landed(HANDLE).eligible == 2


async def test_a_child_that_refuses_ends_nothing_and_the_landing_says_why(link):
    await join(link)
    child = await join(link, "exec", refuses=True)
    await link.arm([HANDLE], TTL_S)
    await link.renew(TTL_S)
    assert link.landed(HANDLE).reason == "a process that the workload started could not be armed: ValueError: no such module"
    assert (await link.disarm()).proven
    assert "apply" not in child.hand.done


async def test_of_several_faults_one_that_cannot_be_applied_takes_the_others_with_it(link):
    await join(link)
    child = await join(link, "exec", refuses="the second")
    second = Handle("hand", "expiring", {})
    await link.arm([HANDLE, second], TTL_S)
    assert child.hand.done == ["go", "apply", "rollback", "rollback"]
    await link.renew(TTL_S)
    assert "could not be armed" in link.landed(HANDLE).reason
    assert (await link.disarm()).proven


async def test_a_proxy_is_armed_with_what_is_meant_for_it_alone(link):
    await join(link)
    proxy = await join(link, "proxy")
    await link.arm([HANDLE], TTL_S)
    assert "apply" not in proxy.hand.done
    assert link.landed(HANDLE).reason == ""


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


SILENT = """
import json, os, socket, sys, time
link = socket.socket(socket.AF_UNIX)
link.connect(os.environ["REFUTE_LINK"])
link.sendall((json.dumps({"op": "hello", "role": "exec", "token": os.environ["REFUTE_LINK_TOKEN"], "pid": 1}) + "\\n").encode())
if "answers" in sys.argv:
    reader = link.makefile()
    for number in range(2):
        request = json.loads(reader.readline())
        link.sendall((json.dumps({"id": request["id"], "ok": True, "landings": {}}) + "\\n").encode())
if "closes" in sys.argv:
    link.close()
time.sleep(60)
"""


@pytest.fixture
async def silent(link, monkeypatch):
    """Start a process that joins and stops answering, at once or after `arm` and `go`; one that closes its link lives on."""
    monkeypatch.setattr(peers, "_DISARM_S", 0.4)
    monkeypatch.setattr(peers, "_MARGIN_S", 0.1)
    started = []

    async def start(*how):
        count = len(link.peers)
        program = await asyncio.create_subprocess_exec(sys.executable, "-c", SILENT, *how, env={**os.environ, **link.environment})
        started.append(program)
        await until(lambda: len(link.peers) > count)
        return program

    yield start
    for program in started:
        if program.returncode is None:
            program.kill()
        await program.wait()


async def armed_under(link, peer):
    await until(lambda: peer.armed)
    await asyncio.sleep(0.2)


@pytest.mark.parametrize("how", [(), ("closes",)])
async def test_a_process_that_never_acknowledged_an_arming_is_unproven_while_it_lives(link, silent, how):
    """It may read the request at any later time: no lease has begun that could end."""
    link.arm_joining([HANDLE], TTL_S)
    program = await silent(*how)
    await armed_under(link, link.peers[0])
    proof = await link.disarm()
    assert (proof.proven, proof.left) == (False, (program.pid,)), "its pid is the system's word, not its own"
    assert f"process {program.pid} does not answer, and still runs" in proof.how
    program.kill()
    await program.wait()
    proof = await link.disarm()
    assert (proof.proven, proof.how) == (True, f"process {program.pid} is gone")
    assert (await link.disarm()).how == "no process had been armed", "what is proven stays proven"


@pytest.mark.parametrize("how", [("answers",), ("answers", "closes")])
async def test_a_process_that_lives_on_is_disarmed_when_its_lease_has_certainly_ended(link, silent, how):
    link.arm_joining([HANDLE], TTL_S)
    program = await silent(*how)
    await armed_under(link, link.peers[0])
    granted = link.peers[0].lease_end_s
    proof = await link.disarm()
    assert (proof.proven, proof.how) == (True, f"the lease of process {program.pid} has ended")
    assert lease_now_s() > granted
    assert program.returncode is None


async def test_a_renewal_that_nobody_answered_puts_the_lease_off(link, silent):
    link.arm_joining([HANDLE], TTL_S)
    await silent("answers")
    await armed_under(link, link.peers[0])
    before = link.peers[0].lease_end_s
    await link.renew_live(TTL_S)
    assert link.peers[0].lease_end_s == pytest.approx(before + TTL_S)


async def test_a_process_that_is_killed_is_proof_at_once(link, silent):
    link.arm_joining([HANDLE], TTL_S)
    program = await silent()
    await armed_under(link, link.peers[0])
    program.kill()
    assert (await link.disarm()).how == f"process {program.pid} is gone"


async def test_no_lease_outweighs_the_word_of_a_process_that_the_fault_is_still_there(link, monkeypatch):
    monkeypatch.setattr(peers, "_DISARM_S", 2.0)
    worker = await join(link)
    worker.hand.verify = lambda _handle: False
    await link.arm([HANDLE], TTL_S)
    proof = await link.disarm()
    assert not proof.proven
    assert "still finds the fault in place" in proof.how
    worker.hand.verify = lambda _handle: True
    assert (await link.disarm()).how == "1 process acknowledged it"


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
    assert (await link.disarm()).proven
    program.stdin.close()
    await asyncio.wait_for(program.wait(), 20)


FORKING_IN_MID_SENTENCE = """
import os, sys
from refute.injectors.boot.join import _Here
sending = _Here.agent._send_lock
sys.stdin.readline()
sending.acquire()  # as the agent's thread holds it while it answers
child = os.fork()
if child:
    sending.release()
    print(os.waitpid(child, 0)[1], flush=True)
"""


async def test_a_child_that_is_forked_while_its_parent_answers_can_end(link):
    environ = {**os.environ, **link.environment, "PYTHONPATH": python_path()}
    pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE}
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", FORKING_IN_MID_SENTENCE, env=environ, start_new_session=True, **pipes
    )
    try:
        await until(lambda: len(link.peers) == 1)
        program.stdin.write(b"\n")
        assert await asyncio.wait_for(program.stdout.readline(), 10) == b"0\n"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)
        await program.wait()
