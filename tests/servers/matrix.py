"""Every fault on an exchange over every HTTP protocol, and an upstream that gives the good reply of a sample."""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass

from refute.core.arming import Arming
from refute.core.context import UnitContext, current_unit
from refute.core.lease import Lease
from refute.core.system import Component
from refute.faults.catalogue import catalogue
from refute.faults.preview import _samples, kinds_over, preview
from refute.injectors.http import INJECTOR
from refute.injectors.proxy.framing import body_of_request, read_request
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
                alone = fault.awaits is None or fault.awaits.data is None  # else: test_recalled.py
                struck = preview(fault, protocol, stream=stream) if protocol != "mcp.stdio" and alone else None
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


def target(cell, url, **fields):
    kind = min(kinds_over(catalogue()[cell.fault], cell.protocol), key=lambda kind: (kind != "llm", kind))
    return Arming(Component("target", kind, endpoint=url, **fields), cell.fault, magnitude(cell.fault), seed=cell.seed)


def counted(landing):
    return landing.eligible, landing.injected, landing.effect


def sample(cell):
    """Return a cell's call and its good reply."""
    struck = preview(catalogue()[cell.fault], cell.protocol, stream=cell.stream)
    return _samples(cell.protocol, stream=cell.stream)[struck.sample]


async def in_process(cell, call, good, asked):
    """Ask with the fault armed in this process; return what the client saw, what upstream got, and what was counted."""
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
