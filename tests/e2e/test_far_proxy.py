"""A proxy on another host joins a run's link through that host's guardian: over real TLS, on loopback, with states of their own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trustme

from refute.core.arming import Arming
from refute.core.cohort import Seal
from refute.core.errors import RefuteError
from refute.core.link import TOKEN_VARIABLE
from refute.core.system import Component, Place
from refute.experiment.doors import invite_proxies
from refute.experiment.link import Link
from refute.experiment.peer import all_of
from refute.injectors.proxy import INJECTOR
from refute.safety.far import ask_there
from refute.safety.journal import Journal
from refute.safety.recover import recover
from servers.calling import called
from servers.proxying import proxy_process
from support.hosts import certify, until

TTL_S = 1.0


@pytest.fixture
def there(tmp_path, monkeypatch, provider):
    """A proxy and a guardian of one state; we have another one, and find no door."""
    authority = trustme.CA()
    certify(authority, tmp_path / "there" / "tls", "127.0.0.1")
    monkeypatch.setenv("REFUTE_TLS", str(certify(authority, tmp_path / "tls", "runner")))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "there" / "state"))
    command = [sys.executable, "-m", "refute", "guardian", "--listen", "127.0.0.1:0", "--admit", "runner", "--json"]
    with proxy_process(provider.url) as proxy:
        guardian = subprocess.Popen([*command, "--tls", str(tmp_path / "there" / "tls")], stdout=subprocess.PIPE, text=True)
        try:
            url = json.loads(guardian.stdout.readline())["guardian"]
            monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "here"))
            yield guardian, proxy, Component("llm", "llm", endpoint=f"{proxy.url}/v1", via="proxy", place=Place(host="far", guardian=url))
        finally:
            guardian.terminate()
            guardian.communicate(timeout=10)


def callers(guardian):
    """The processes that serve those who have come in."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (entry / "stat").read_text().rpartition(")")[2].split()[1] == str(guardian.pid):
                found.append(int(entry.name))
    assert found
    return found


def told(pids, number):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # one that was just going
            os.kill(pid, number)


async def ask(proxy, link, key):
    baggage = Seal(link.environment[TOKEN_VARIABLE]).baggage(f"case/{key}", "treatment")
    result = await called(proxy.url, "openai", "async", stream=False, timeout=20, default_headers={"baggage": baggage})
    return type(result).__name__ if isinstance(result, BaseException) else "answer"


async def armed(link, component, ttl_s=5.0):
    await invite_proxies(link, [component])
    (peer,) = link.live()
    assert (peer.role, peer.host, peer.process) == ("proxy", "far", None)
    handle = INJECTOR.prepare(Arming(component, "llm.rate_limit"))
    link.arm_joining([handle], ttl_s)
    await link.arm_live()
    assert not peer.refused
    return handle


async def test_a_run_arms_and_disarms_it_through_the_guardian(there):
    _, proxy, component = there
    async with Link(lambda *_: None) as link:
        handle = await armed(link, component)
        assert await ask(proxy, link, "a") == "RateLimitError"
        await link.renew_live(5.0)
        assert link.landed(handle).injected == 1
        proof = await link.disarm()
        assert (bool(proof), proof.how) == (True, "1 process acknowledged it")
        assert await ask(proxy, link, "b") == "answer"
        await invite_proxies(link, [component])
        assert len(link.live()) == 1, "it stays"


async def test_when_the_link_closes_it_disarms_at_once(there):
    _, proxy, component = there
    async with Link(lambda *_: None) as link:
        handle = await armed(link, component, 30.0)
        assert await ask(proxy, link, "a") == "RateLimitError"
        assert ask_there(component.place.guardian, "undo", handle=handle.id)["reason"].endswith("has it armed until its lease ends")
    until(lambda: ask_there(component.place.guardian, "undo", handle=handle.id)["state"] == "", 8)
    async with Link(lambda *_: None) as link:
        await invite_proxies(link, [component])
        assert await ask(proxy, link, "b") == "answer"


async def test_when_everything_between_hangs_its_lease_ends_and_that_is_proof(there):
    guardian, proxy, component = there
    async with Link(lambda *_: None) as link:
        await armed(link, component, TTL_S)
        children = callers(guardian)
        try:
            told(children, signal.SIGSTOP)
            await asyncio.sleep(TTL_S + 0.2)
            assert await ask(proxy, link, "b") == "answer"
            start = time.monotonic()
            proof = await link.disarm()
            assert (bool(proof), "of far has ended" in proof.how) == (True, True), proof
            assert time.monotonic() - start < 4
        finally:
            told(children, signal.SIGCONT)


async def test_when_the_guardian_dies_the_lease_is_what_proves_it_and_nothing_here_is_to_be_killed(there):
    guardian, _, component = there
    async with Link(lambda *_: None) as link:
        await armed(link, component, TTL_S)
        told(callers(guardian), signal.SIGKILL)
        proof = await link.disarm()
        assert (bool(proof), "of far has ended" in proof.how) == (True, True), proof
        (peer,) = link.peers
        assert all_of([(peer, "", "it is silent")]).left == (), "a pid of another host means nothing here"


async def test_recover_asks_that_host_what_is_armed_in_its_proxies(there, tmp_path):
    guardian, _, component = there
    journal = Journal(tmp_path / "here" / "journal")
    async with Link(lambda *_: None) as link:
        handle = await armed(link, component, 30.0)
        journal.advance(handle, "intended", experiment="e")

        def found():
            return recover(journal, {}, running=lambda _: False).handles[0]

        assert (found().ending, "has it armed" in found().reason) == ("unproven", True)
        await link.disarm()
        assert (found().ending, journal.live()) == ("recovered", [])
    assert guardian.poll() is None


async def test_where_no_proxy_stands_there_the_run_says_so(there):
    _, _, component = there
    other = Component("llm", "llm", endpoint="http://127.0.0.1:9/v1", via="proxy", place=component.place)
    async with Link(lambda *_: None) as link:
        with pytest.raises(RefuteError) as caught:
            await invite_proxies(link, [other])
    assert (caught.value.problems[0].code, caught.value.problems[0].seen) == ("PROXY-NONE", "far: none was found")
