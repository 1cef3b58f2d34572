"""Every fault on an exchange over every HTTP protocol, streamed and not: through the proxy it does to the wire what it does in process.

Compared are the client's status, type, body and error, what upstream got, and what was counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass

import httpx2
import pytest

from refute.core.arming import Arming
from refute.core.cohort import Seal
from refute.core.context import UnitContext, current_unit
from refute.core.lease import Lease
from refute.core.system import Component
from refute.faults.catalogue import catalogue
from refute.faults.preview import _samples, kinds_over, preview
from refute.injectors.http import INJECTOR
from refute.injectors.ingress import Ingress
from refute.injectors.proxy.framing import body_of_request, read_request
from refute.injectors.proxy.hands import ProxyInjector, Units
from refute.injectors.proxy.server import ProxyServer, upstream_of
from refute.wire.codec import PROTOCOLS
from refute.wire.exchange import FRAMING, without

UNIT = "case/0"
SEEDS = range(30, -1, -1)
QUICK_S, PATIENT_S = 0.25, 20.0
LONG = {
    "llm.timeout",
    "stream.stall",
    "service.timeout",
    "vector_store.timeout",
    "agent.peer_silent",
    "tool.timeout",
    "tool.timeout_after_commit",
}
SAME = {"ConnectError": "ReadError"}
"""A connection that is refused in process is reset by a proxy, which has accepted it already."""


@dataclass(frozen=True)
class Cell:
    """One fault, by the effect that it draws, on one sample exchange."""

    fault: str
    effect: str
    protocol: str
    stream: bool
    seed: int

    def __str__(self):
        return f"{self.fault}-{self.effect}-{self.protocol}-{'stream' if self.stream else 'whole'}".replace(" ", "_")


def cells():
    for fault in catalogue().values():
        for protocol in PROTOCOLS:
            for stream in (False, True):
                struck = preview(fault, protocol, stream=stream) if protocol != "mcp.stdio" else None
                if struck is None:
                    continue
                draws = {seed: fault.strike_exchange(struck.call, None, random.Random(f"{seed}/{UNIT}/target/0")) for seed in SEEDS}
                for effect, seed in sorted({strike.effect: seed for seed, strike in draws.items() if strike is not None}.items()):
                    yield Cell(fault.name, effect, protocol, stream, seed)


CELLS = list(cells())


def magnitude(fault):
    scale = catalogue()[fault].magnitude
    if scale is None or scale.unit != "s":
        return None
    return 5.0 if fault in LONG else None if fault == "llm.long_retry_after" else max(scale.low, 0.03)


class Upstream:
    """Answers every request with the good reply of a sample, in two pieces; `got` is what came."""

    def __init__(self, good):
        self.good = good
        self.got = []

    @contextlib.asynccontextmanager
    async def running(self):
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = read_request(await reader.readuntil(b"\r\n\r\n"))
                body = bytearray()
                finder = body_of_request(head)
                while not finder.done:
                    finder.feed(await reader.readexactly(1), body.extend)
                told = without(head.headers(), "host", "baggage", "user-agent", "accept-encoding", "connection", "accept", *FRAMING)
                self.got.append((head.method, head.target, sorted((name.lower(), value) for name, value in told), bytes(body)))
                fields = "".join(f"{name}: {value}\r\n" for name, value in without(self.good.headers, "content-length"))
                writer.write(f"HTTP/1.1 200 OK\r\n{fields}content-length: {len(self.good.body)}\r\n\r\n".encode())
                middle = len(self.good.body) // 2
                writer.write(self.good.body[:middle])
                await asyncio.sleep(0.002)
                writer.write(self.good.body[middle:])
        writer.close()


async def asked(url, call, *, hurry, headers=()):
    """Send a sample's request; return what the client sees in the end."""
    request = call.request
    path = "/" + request.url.partition("://")[2].partition("/")[2]
    sent = [*without(request.headers, "content-length"), *headers]
    timeout = httpx2.Timeout(PATIENT_S, read=QUICK_S if hurry else PATIENT_S)
    status, kind, body = 0, "", b""
    async with httpx2.AsyncClient(timeout=timeout) as client:
        try:
            async with client.stream(request.method, url + path, headers=sent, content=request.body) as reply:
                status = reply.status_code
                kind = (reply.headers.get("content-type"), reply.headers.get("retry-after"))
                async for piece in reply.aiter_bytes():
                    body += piece
        except httpx2.HTTPError as error:
            name = type(error).__name__
            return status, kind, body, SAME.get(name, name)
    return status, kind, body, ""


def target(cell, url, **fields):
    kind = min(kinds_over(catalogue()[cell.fault], cell.protocol), key=lambda kind: (kind != "llm", kind))
    return Arming(Component("target", kind, endpoint=url, **fields), cell.fault, magnitude(cell.fault), seed=cell.seed)


def counted(landing):
    return landing.eligible, landing.injected, landing.effect


async def in_process(cell, call, good):
    upstream = Upstream(good)
    async with upstream.running() as url:
        handle = INJECTOR.prepare(target(cell, url))
        INJECTOR.apply(handle, Lease(20))
        token = current_unit.set(UnitContext(UNIT, "treatment"))
        try:
            saw = await asked(url, call, hurry=cell.fault in LONG)
        finally:
            current_unit.reset(token)
            INJECTOR.rollback(handle)
    return saw, upstream.got, counted(INJECTOR.landed(handle))


async def proxied(cell, call, good):
    upstream, hands = Upstream(good), ProxyInjector()
    async with upstream.running() as url, ProxyServer(upstream_of(url), "127.0.0.1", 0, hands) as proxy:
        proxy._serving.units = Units(Ingress("/nowhere", "token"))
        handle = hands.prepare(target(cell, proxy.url, via="proxy"))
        hands.apply(handle, Lease(20))
        baggage = ("baggage", Seal("token").baggage(UNIT, "treatment"))
        saw = await asked(proxy.url, call, hurry=cell.fault in LONG, headers=[baggage])
        async with asyncio.timeout(10):
            while proxy.busy:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.002)
        return saw, upstream.got, counted(hands.landed(handle))


@pytest.mark.parametrize("cell", CELLS, ids=str)
async def test_the_proxy_does_what_happens_in_process(cell):
    struck = preview(catalogue()[cell.fault], cell.protocol, stream=cell.stream)
    call, good = _samples(cell.protocol, stream=cell.stream)[struck.sample]
    inside, outside = await in_process(cell, call, good), await proxied(cell, call, good)
    assert inside[2][1] == 1, "nothing was struck in process"
    assert outside == inside


def test_the_matrix_is_whole():
    assert {cell.protocol for cell in CELLS} == set(PROTOCOLS) - {"mcp.stdio"}
    assert len({cell.fault for cell in CELLS}) > 90
