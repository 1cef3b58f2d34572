"""What is off limits stays so below the planner: whatever is asked for, whoever would apply it refuses."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from refute.core.arming import Arming
from refute.core.errors import RefuteError
from refute.core.intent import off_limits
from refute.core.lease import Lease
from refute.core.process import identity_of, terminate
from refute.core.system import Component, Place
from refute.core.zone import Zone
from refute.experiment.design import Experiment
from refute.experiment.doors import invite_proxies
from refute.experiment.link import Link
from refute.experiment.observed import ObservedSession
from refute.experiment.run import Run
from refute.injectors.host.signals import INJECTOR as SIGNALS
from refute.injectors.proxy.hands import INJECTOR as PROXY
from refute.intent import load
from refute.safety._post import Post
from refute.safety.guard import Guard
from refute.safety.journal import Journal
from servers.calling import called
from servers.proxying import proxy_process
from support.hosts import until


def bypassed(tiny, tmp_path, **component):
    """Run an experiment that no plan proposed, aimed at what is off limits."""
    intent = load(tiny.folder / "refute.yaml")
    intent = replace(intent, blast_radius=replace(intent.blast_radius, never=frozenset({"llm"})))
    target = replace(intent.system.components["llm"], **component)
    arming = Arming(target, "llm.rate_limit", None, 1.0, "call", 0.5, 1)
    events = []
    run = Run(
        Experiment("e", intent, tuple(intent.beliefs.values()), arming, 60), events.append, Journal(tmp_path / "journal"),
        tmp_path / "log", lambda: False,
    )  # fmt: skip
    return asyncio.run(run.run()), events


@pytest.mark.parametrize("component", [{}, {"name": "alias"}])
def test_a_worker_refuses_whatever_the_experiment_says(tiny, tmp_path, monkeypatch, component):
    for name, value in tiny.environ.items():
        monkeypatch.setenv(name, value)
    result, events = bypassed(tiny, tmp_path, **component)
    codes = {event.data["code"] for event in events if event.kind == "problem"}
    assert codes == {"BLAST-NEVER"}
    assert result.exit_code == 3
    assert not [one for event in events if event.kind == "outcomes" for one in event.data["outcomes"] if one["hits"]]
    assert not Journal(tmp_path / "journal").live()


def test_services_under_observation_are_told_what_is_off_limits(tiny):
    intent = load(tiny.folder / "refute.yaml")
    intent = replace(intent, blast_radius=replace(intent.blast_radius, never=frozenset({"llm"})))
    assert ObservedSession(intent, lambda *_: None).link._zone == off_limits(intent) != Zone()


def test_the_guardian_refuses(tmp_path):
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    (tmp_path / "pid").write_text(str(sleeper.pid))
    target = Component("target", "service", place=Place(pidfile=str(tmp_path / "pid")))
    handle = SIGNALS.prepare(Arming(target, "process.pause"))
    journal = Journal(tmp_path / "journal")

    async def asked(zone):
        async with Guard(journal, Post(tmp_path / "guardian"), zone) as guard:
            await guard.arm([handle], "e", 3.0)
            await guard.disarm([handle])

    try:
        for name in ("target", "the same by another name"):
            with pytest.raises(RefuteError) as caught:
                asyncio.run(asked(Zone((replace(target, name=name),))))
            assert caught.value.problems[0].code == "BLAST-NEVER"
            assert Path(f"/proc/{sleeper.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T"
            assert not journal.live()
        asyncio.run(asked(Zone((replace(target, name="other", place=Place(pidfile="/elsewhere")),))))
    finally:
        terminate(identity_of(sleeper.pid))
        sleeper.wait()


@pytest.mark.parametrize("stated", ["port", "match"])
def test_the_guardian_knows_a_process_however_it_is_stated(tmp_path, stated):
    """The target is stated by its pidfile, what is off limits by its port or its command line: they are one."""
    port, spare = free_port(), free_port()
    script = f"import socket, time; kept = socket.create_server(('127.0.0.1', {port})); time.sleep(60)"
    server = subprocess.Popen([sys.executable, "-c", script])
    (tmp_path / "pid").write_text(str(server.pid))
    until(lambda: listens(port), 5)
    handle = SIGNALS.prepare(Arming(Component("target", "service", place=Place(pidfile=str(tmp_path / "pid"))), "process.pause"))
    journal = Journal(tmp_path / "journal")
    own = Place(match=script) if stated == "match" else Place(port=port)
    ledger, other = Component("ledger", "datastore", place=own), Component("other", "datastore", place=Place(port=spare))

    async def asked(zone):
        async with Guard(journal, Post(tmp_path / "guardian"), zone) as guard:
            await guard.arm([handle], "e", 3.0)
            await guard.disarm([handle])

    try:
        with pytest.raises(RefuteError) as caught:
            asyncio.run(asked(Zone((ledger,))))
        assert (caught.value.problems[0].code, journal.live()) == ("BLAST-NEVER", [])
        assert Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T"
        asyncio.run(asked(Zone((other,))))
    finally:
        terminate(identity_of(server.pid))
        server.wait()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def listens(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
        return True
    return False


async def test_a_proxy_refuses(provider):
    with proxy_process(provider.url) as proxy:
        component = Component("llm", "llm", endpoint=f"{proxy.url}/v1", via="proxy")
        async with Link(lambda *_: None, Zone((component,))) as link:
            await invite_proxies(link, [component])
            handle = PROXY.prepare(Arming(component, "llm.rate_limit"))
            link.arm_joining([handle], 3.0)
            await link.arm_live()
            assert "off limits" in link.landed(handle).reason
            result = await called(proxy.url, "openai", "async", stream=False, timeout=20)
            assert not isinstance(result, BaseException)


@pytest.mark.parametrize(("below", "refused"), [("/v1", True), ("/v1/chat", True), ("/v2", False)])
async def test_a_proxy_knows_what_it_stands_before(provider, below, refused):
    """Off limits is the provider itself; the target is stated as the proxy, by another name of loopback."""
    with proxy_process(provider.url) as proxy:
        component = Component("llm", "llm", endpoint=f"{proxy.url.replace('127.0.0.1', 'localhost')}/v1", via="proxy")
        never = Component("billing", "llm", endpoint=f"{provider.url}{below}")
        async with Link(lambda *_: None, Zone((never,))) as link:
            await invite_proxies(link, [component])
            handle = PROXY.prepare(Arming(component, "llm.rate_limit"))
            link.arm_joining([handle], 3.0)
            await link.arm_live()
            assert ("off limits" in link.landed(handle).reason) == refused


@pytest.mark.parametrize(
    ("target", "never", "refused"),
    [
        (Component("gateway", "service", endpoint="http://shop:80"), Component("pay", "service", endpoint="http://shop/pay"), True),
        (
            Component("refunds", "service", endpoint="http://shop/pay/refunds"),
            Component("pay", "service", endpoint="http://shop/pay/"),
            True,
        ),
        (Component("payroll", "service", endpoint="http://shop/payroll"), Component("pay", "service", endpoint="http://shop/pay"), False),
        (Component("pay2", "service", endpoint="http://shop:81/pay"), Component("pay", "service", endpoint="http://shop/pay"), False),
        (Component("llm", "llm"), Component("billing", "llm", endpoint="https://models/v1"), True),
        (Component("llm", "llm", endpoint="https://models/v1"), Component("any", "llm"), True),
        (Component("llm", "llm"), Component("pay", "service", endpoint="http://shop/pay"), False),
        (Component("llm", "llm"), Component("vectors", "embedder", endpoint="https://models/v1"), False),
        (Component("llm", "llm", python="app:ask"), Component("billing", "llm", endpoint="https://models/v1"), False),
        (Component("tool", "tool", python="app:pay"), Component("pay", "service", python="app:pay"), True),
    ],
)
def test_what_a_fault_of_calls_could_touch(target, never, refused):
    assert Zone((never,)).entered_by(target, whole=False) == (never.name if refused else "")


def test_models_and_embedders_at_one_endpoint_are_told_apart():
    llm, embedder = Component("llm", "llm", endpoint="http://127.0.0.1/v1"), Component("e", "embedder", endpoint="http://localhost:80/v1/")
    Lease(3, zone=Zone((embedder,))).permits(llm)
    with pytest.raises(RefuteError):
        Lease(3, zone=Zone((embedder,))).permits(llm, whole=True)  # on one port, they are struck together
    with pytest.raises(RefuteError):
        Lease(3, zone=Zone((embedder,))).permits(Component("gateway", "service", endpoint="http://127.0.0.1:80/v1"))
