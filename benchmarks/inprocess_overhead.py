"""What an armed fault that does not fire costs each LLM call in the process: Refute beside other injectors for Python.

    python benchmarks/inprocess_overhead.py [--rounds N] [--json]

Every tool has a client of its own on the same loopback stub. Each round, in random order, each tool makes two calls that pass
through it and two that do not, in turns on the same connection (with, without, without, with, or the other way round), after
one of each that is not timed. A round's figure is the difference of the two means; reported are the median of all rounds with a 95 %
bootstrap interval, in processor time of the calling thread, which a shared machine disturbs little, and in wall-clock time.
`nothing` shows what the method makes of no difference. Each tool is armed with a fault that is drawn for every call and never
fires; sessions and units are made outside the timed calls, so that none pays for its history. Refute's calls each belong to a
unit of their own, the dearest case, unless the row says otherwise. Where a tool is not installed its row says so:

    pip install agentic-chaos agentic-chaos-security mcp-chaos-monkey openai httpx aiohttp requests

mcp-chaos-monkey replaces the transport of a client: it does not look at the request, draws for each by itself and knows no cohorts,
logical calls, streams or protocols. It is made for httpx: with the SDK's httpx2 it works only as long as it does not fire. None of
the three reaches requests or aiohttp.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import multiprocessing
import os
import random
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import aiohttp
import httpx
import httpx2
import openai
import requests

from refute.core.arming import Arming, Handle
from refute.core.context import UnitContext, current_unit
from refute.core.lease import Lease
from refute.core.system import Component
from refute.injectors.http import INJECTOR

ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1760000000,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "word " * 80}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 80, "total_tokens": 89},
    }
).encode()
REPLY = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(ANSWER), ANSWER)
BODY = {"model": "m", "messages": [{"role": "user", "content": "Where is my order? " * 40}]}
NEVER = 1e-9
"""A share so small that nothing fires, though every draw is made."""

WARM_UP = 20
WARMING = 2
TURNS = ((False, True, True, False, False, True), (True, False, False, True, True, False))
"""Whether each call of a round passes through the tool; the first ones are not timed."""
SDK, PLAIN, REQUESTS, AIOHTTP = "openai SDK (httpx2)", "httpx client", "requests session (urllib3)", "aiohttp session"
LAYERS = (SDK, PLAIN, REQUESTS, AIOHTTP)
LIMIT_US = 20

Around = Callable[[int, bool], contextlib.AbstractContextManager[Any]]
Added = tuple[float, float, float, float]
Times = dict[tuple[str, str], list[Added]]


@dataclass(frozen=True)
class Contender:
    """One tool at work on one client.

    Attributes:
        layer: what is called.
        name: the tool's.
        call: the call to time.
        around: around a call, by its number and whether it passes through the tool. What it makes it makes in both cases, so that
            the collection of that garbage weighs on both alike.
    """

    layer: str
    name: str
    call: Callable[[], Any]
    around: Around = lambda _, __: contextlib.nullcontext()


def serve(port: Any) -> None:
    """Answer every request on a connection with the same bytes."""

    class Stub(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport, self.seen, self.wanted = transport, b"", 0

        def data_received(self, data: bytes) -> None:
            self.seen += data
            head, found, body = self.seen.partition(b"\r\n\r\n")
            if not found:
                return
            length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            if len(body) >= length:
                self.seen = b""
                self.transport.write(REPLY)

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", 0)
        port.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


def bare(library: ModuleType) -> type:
    """Return a transport class that keeps the library's own method, whatever is hooked later."""
    return type("Bare", (library.HTTPTransport,), {"handle_request": library.HTTPTransport.handle_request})


class Client:
    """A client of one layer, whose transport can be exchanged on the same connection.

    Args:
        layer: `SDK` or `PLAIN`.
        url: the stub's.
    """

    def __init__(self, layer: str, url: str) -> None:
        """Connect through a transport that nothing hooks."""
        self.layer, self.library = layer, httpx2 if layer == SDK else httpx
        self.unhooked = bare(self.library)
        self.transport = self.unhooked()
        self.http = self.library.Client(transport=self.transport)
        self.sdk = openai.OpenAI(api_key="k", base_url=url, max_retries=0, http_client=self.http) if layer == SDK else None
        self.url = f"{url}/chat/completions"

    def call(self) -> Any:
        """Ask the model."""
        return self.http.post(self.url, json=BODY) if self.sdk is None else self.sdk.chat.completions.create(**BODY)

    def call_before(self) -> None:
        """Ask something else."""
        self.http.post(self.url, json=BODY | {"n": 1})

    @contextlib.contextmanager
    def unit(self, number: int, armed: bool, arm: str) -> Iterator[None]:
        """Call for one unit, through the library's own class or the one that nothing hooks."""
        token = current_unit.set(UnitContext(f"case/{number}", arm))  # type: ignore[arg-type]
        self.transport.__class__ = self.library.HTTPTransport if armed else self.unhooked
        yield
        current_unit.reset(token)

    @contextlib.contextmanager
    def through(self, transport: Any, armed: bool) -> Iterator[None]:
        """Call through another transport or this one."""
        self.http._transport = transport if armed else self.transport  # noqa: SLF001 - as mcp-chaos-monkey does
        yield


class Session:
    """A session of requests: its pool makes attempts by the library's own method, hooked or not.

    Args:
        url: the stub's.
    """

    layer = REQUESTS

    def __init__(self, url: str) -> None:
        """Connect."""
        self.session, self.url = requests.Session(), f"{url}/chat/completions"
        self.call()
        (self.pool,) = self.session.get_adapter(url).poolmanager.pools._container.values()  # noqa: SLF001 - the one that it has asked through
        self.kind = type(self.pool)
        self.unhooked = type("Bare", (self.kind,), {"_make_request": self.kind._make_request})  # noqa: SLF001 - as it is before any hook

    def call(self) -> None:
        """Ask the model."""
        self.session.post(self.url, json=BODY).json()

    def call_before(self) -> None:
        """Ask something else."""
        self.session.post(self.url, json=BODY | {"n": 1})

    @contextlib.contextmanager
    def unit(self, number: int, armed: bool, arm: str) -> Iterator[None]:
        """Call for one unit, through the library's own class or the one that nothing hooks."""
        token = current_unit.set(UnitContext(f"case/{number}", arm))  # type: ignore[arg-type]
        self.pool.__class__ = self.kind if armed else self.unhooked
        yield
        current_unit.reset(token)


class AsyncSession:
    """A session of aiohttp, on an event loop of its own.

    Args:
        url: the stub's.
    """

    layer = AIOHTTP

    def __init__(self, url: str) -> None:
        """Connect."""
        self.loop, self.url, self.kind = asyncio.new_event_loop(), f"{url}/chat/completions", aiohttp.ClientSession
        with warnings.catch_warnings(action="ignore"):
            self.unhooked = type("Bare", (self.kind,), {"_request": self.kind._request})  # noqa: SLF001 - as it is before any hook
        self.session = self.loop.run_until_complete(self._made())

    def __del__(self) -> None:
        """Close."""
        self.loop.run_until_complete(self.session.close())

    async def _made(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession()

    def call(self) -> None:
        """Ask the model."""
        self.loop.run_until_complete(self._asked(BODY))

    def call_before(self) -> None:
        """Ask something else."""
        self.loop.run_until_complete(self._asked(BODY | {"n": 1}))

    async def _asked(self, body: dict[str, Any]) -> None:
        async with self.session.post(self.url, json=body) as reply:
            await reply.json()

    @contextlib.contextmanager
    def unit(self, number: int, armed: bool, arm: str) -> Iterator[None]:
        """Call for one unit, through the library's own class or the one that nothing hooks."""
        token = current_unit.set(UnitContext(f"case/{number}", arm))  # type: ignore[arg-type]
        self.session.__class__ = self.kind if armed else self.unhooked
        yield
        current_unit.reset(token)


def contenders(url: str) -> tuple[list[Contender], dict[str, str]]:
    """Return everything that is compared, and why the rest is not."""
    found: list[Contender] = []
    missing: dict[str, str] = {}
    for layer in (SDK, PLAIN):
        found.append(Contender(layer, "nothing", Client(layer, url).call))
        found += [_refute(Client(layer, url), arm) for arm in ("treatment", "control")]
        found.append(_refute_later(Client(layer, url)))
        for add in (_agentic_chaos, _agentic_chaos_security, _mcp_chaos_monkey):
            try:
                found += add(Client(layer, url))
            except ImportError as error:
                missing[add.__name__.strip("_").replace("_", "-")] = f"not installed ({error.name})"
    for kind in (Session, AsyncSession):
        found.append(Contender(kind.layer, "nothing", kind(url).call))
        found += [_refute(kind(url), arm) for arm in ("treatment", "control")]
        found.append(_refute_later(kind(url)))
    return found, missing


def _refute(client: Client | Session | AsyncSession, arm: str) -> Contender:
    return Contender(client.layer, f"refute, {arm}", client.call, lambda number, armed: client.unit(number, armed, arm))


def _refute_later(client: Client | Session | AsyncSession) -> Contender:
    @contextlib.contextmanager
    def around(number: int, armed: bool) -> Iterator[None]:
        with client.unit(number, armed, "treatment"):
            client.call_before()
            yield

    return Contender(client.layer, "refute, second of a unit", client.call, around)


def _agentic_chaos(client: Client) -> list[Contender]:
    from agentic_chaos.chaos import RateLimitStormFault, chaos_session
    from agentic_chaos.integrations.providers import patch_openai

    if client.sdk is None:
        return []

    @contextlib.contextmanager
    def around(_: int, armed: bool) -> Iterator[None]:
        with chaos_session([RateLimitStormFault(probability=NEVER)]):
            patch = patch_openai(client.sdk)
            if not armed:
                patch.close()
            yield
            patch.close()

    return [Contender(client.layer, "agentic-chaos", client.call, around)]


def _agentic_chaos_security(client: Client) -> list[Contender]:
    from agentic_chaos_security.faults import RateLimit
    from agentic_chaos_security.integrations import httpx as over_httpx
    from agentic_chaos_security.integrations import httpx2 as over_httpx2
    from agentic_chaos_security.runtime import Session, bound

    transport = (over_httpx2 if client.sdk else over_httpx).ChaosTransport(client.transport)

    @contextlib.contextmanager
    def around(_: int, armed: bool) -> Iterator[None]:
        with bound(Session([RateLimit(probability=NEVER)])), client.through(transport, armed):
            yield

    return [Contender(client.layer, "agentic-chaos-security", client.call, around)]


def _mcp_chaos_monkey(client: Client) -> list[Contender]:
    os.environ["CHAOS_ENABLED"] = "true"
    logging.disable(logging.WARNING)
    from mcp_chaos_monkey import ChaosController, ErrorFault
    from mcp_chaos_monkey.interceptors import create_chaos_aware_client_sync

    create_chaos_aware_client_sync("llm", client.http)
    transport = client.http._transport  # noqa: SLF001 - where it has put its own
    if not ChaosController.get_instance().get_active_faults():
        ChaosController.get_instance().inject("llm", ErrorFault(status_code=503, probability=NEVER))
    return [Contender(client.layer, "mcp-chaos-monkey", client.call, lambda _, armed: client.through(transport, armed))]


def timed(each: Contender, number: int, armed: bool) -> tuple[float, float]:
    """Return a call's processor time and wall-clock time in microseconds."""
    with each.around(number, armed):
        wall, cpu = time.perf_counter(), time.thread_time()
        each.call()
        return (time.thread_time() - cpu) * 1e6, (time.perf_counter() - wall) * 1e6


def measure(found: list[Contender], number: int, rng: random.Random) -> dict[tuple[str, str], Added]:
    """Return for each contender what it adds in one round, in processor and wall-clock time, and those of a bare call."""
    added = {}
    for each in rng.sample(found, len(found)):
        taken: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
        for turn, armed in enumerate(rng.choice(TURNS)):
            took = timed(each, number * len(TURNS[0]) + turn, armed)
            if turn >= WARMING:
                taken[armed].append(took)
        (cpu, wall), (bare_cpu, bare_wall) = (
            [statistics.mean(clock) for clock in zip(*taken[side], strict=True)] for side in (True, False)
        )
        added[each.layer, each.name] = (cpu - bare_cpu, wall - bare_wall, bare_cpu, bare_wall)
    return added


def interval(ours: list[float], theirs: list[float]) -> tuple[float, float]:
    """Return a 95 % bootstrap interval, over rounds, of the difference of two medians."""
    rng, rounds = random.Random(2), range(len(ours))
    found = []
    for _ in range(1000):
        drawn = rng.choices(rounds, k=len(rounds))
        found.append(statistics.median(ours[each] for each in drawn) - statistics.median(theirs[each] for each in drawn))
    found.sort()
    return found[25], found[974]


def summary(times: Times) -> list[dict[str, Any]]:
    """Return a row for each contender: what it adds and the interval of that, in microseconds, and Refute beside it."""
    rows: list[dict[str, Any]] = []
    for (layer, name), took in times.items():
        added, wall, bare_cpu, bare_wall = (list(column) for column in zip(*took, strict=True))
        low, high = interval(added, [0.0] * len(added))
        rows.append(
            {
                "layer": layer,
                "tool": name,
                "added_us": statistics.median(added),
                "low_us": low,
                "high_us": high,
                "added_wall_us": statistics.median(wall),
                "call_us": statistics.median(bare_cpu),
                "call_wall_us": statistics.median(bare_wall),
            }
        )
    for row in rows:
        if row["tool"] != "nothing" and not row["tool"].startswith("refute"):
            ours, theirs = ([each[0] for each in times[row["layer"], tool]] for tool in ("refute, treatment", row["tool"]))
            row["refute_ratio"] = statistics.median(ours) / max(statistics.median(theirs), 0.1)
            row["refute_more_us"] = statistics.median(ours) - statistics.median(theirs)
            row["more_low_us"], row["more_high_us"] = interval(ours, theirs)
    return rows


@contextlib.contextmanager
def stub() -> Iterator[str]:
    """Run the stub in a process of its own."""
    port: Any = multiprocessing.Queue()
    server = multiprocessing.Process(target=serve, args=(port,), daemon=True)
    server.start()
    yield f"http://127.0.0.1:{port.get(timeout=10)}/v1"
    server.terminate()


def arm(url: str, lease: Lease) -> Handle:
    """Arm a fault on the stub's calls."""
    handle = INJECTOR.prepare(Arming(Component("llm", "llm", endpoint=url), "llm.rate_limit", share=NEVER))
    INJECTOR.apply(handle, lease)
    return handle


def between(low: float, high: float) -> str:
    """Write an interval."""
    return f"[{low:.1f}, {high:.1f}]"


def show(report: dict[str, Any]) -> None:
    """Print the report for people."""
    seen = f"{report['eligible']} eligible calls in treatment and {report['control_eligible']} in control, and hit {report['injected']}"
    print(f"{report['rounds']} rounds; refute saw {seen}; limit {LIMIT_US} µs")
    for layer in LAYERS:
        rows = [row for row in report["rows"] if row["layer"] == layer]
        call, wall = (statistics.median(row[name] for row in rows) for name in ("call_us", "call_wall_us"))
        print(f"\n{layer}: a bare call takes {call:.0f} µs of processor time, {wall:.0f} µs in all")
        for row in sorted(rows, key=lambda row: row["added_us"]):
            added = f"{row['added_us']:+6.1f} µs  {between(row['low_us'], row['high_us']):<16} wall {row['added_wall_us']:+6.1f} µs"
            told = f"  {row['tool']:<26} {added}"
            if "refute_ratio" in row:
                more = between(row["more_low_us"], row["more_high_us"])
                told += f"  refute: {row['refute_ratio']:.2f} of it, {row['refute_more_us']:+.1f} µs {more}"
            print(told)
    for tool, reason in report["missing"].items():
        print(f"{tool}: {reason}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    times: Times = {}
    rng = random.Random(1)
    with stub() as url:
        found, missing = contenders(url)
        lease = Lease(30)
        handle = arm(url, lease)
        for number in range(-WARM_UP, options.rounds):
            if not lease.renew(30):
                raise SystemExit("the lease ended during a round: not all calls met an armed fault")
            for key, took in measure(found, number, rng).items():
                if number >= 0:
                    times.setdefault(key, []).append(took)
        landing = INJECTOR.landed(handle)
        INJECTOR.rollback(handle)
    counts = {name: getattr(landing, name) for name in ("eligible", "control_eligible", "injected", "unattributed")}
    report = {"rounds": options.rounds, **counts, "rows": summary(times), "missing": missing}
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        show(report)


if __name__ == "__main__":
    main()
