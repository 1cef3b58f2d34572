"""What an armed fault that does not fire costs each LLM call in the process: Refute beside other injectors for Python.

    python benchmarks/inprocess_overhead.py [--rounds N] [--json]

Every round makes a few calls per tool over the same loopback stub, the tools in random order, each with its own client and
connection; the first call warms the caches and is not timed. What is reported is the median over the rounds of the difference
to the bare client of the same round, with a 95 % bootstrap interval: processor time of the calling thread, which a shared
machine disturbs little, and wall-clock time beside it. `bare again` shows what the method makes of no difference. Sessions and
units are made outside the timed calls, so that none pays for its history. Where a tool is not installed its row says so:

    pip install agentic-chaos agentic-chaos-security mcp-chaos-monkey openai httpx

mcp-chaos-monkey wraps a client of httpx (not httpx2), by replacing its transport; it draws for each request by itself and
knows no cohorts, logical calls, streams or protocols.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import httpx
import httpx2
import openai

from refute.core.arming import Arming
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

CALLS = 5

Times = dict[tuple[str, str], list[tuple[float, ...]]]
Call = Callable[[], Any]
Around = Callable[[int], contextlib.AbstractContextManager[Any]]


@dataclass(frozen=True)
class Contender:
    """One tool at work on one client: what to do around a call, untimed, and the call."""

    layer: str
    name: str
    call: Call
    around: Around


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


def sdk(url: str, transport: Any) -> openai.OpenAI:
    """Return an SDK client over a transport of httpx2."""
    return openai.OpenAI(api_key="k", base_url=url, max_retries=0, http_client=httpx2.Client(transport=transport))


def asks(client: Any, url: str) -> Call:
    """Return the call to time: through the SDK, or a plain post."""
    if isinstance(client, openai.OpenAI):
        return lambda: client.chat.completions.create(**BODY)
    return lambda: client.post(f"{url}/chat/completions", json=BODY)


@contextlib.contextmanager
def unit(arm: str, number: int) -> Iterator[None]:
    """Work for one unit."""
    token = current_unit.set(UnitContext(f"case/{number}", arm))  # type: ignore[arg-type]
    yield
    current_unit.reset(token)


def contenders(url: str) -> tuple[list[Contender], dict[str, str]]:
    """Return everything that is compared, and why the rest is not."""
    missing: dict[str, str] = {}

    def nothing(_: int) -> contextlib.AbstractContextManager[Any]:
        return contextlib.nullcontext()

    makers: dict[str, Callable[[bool], Any]] = {
        "openai SDK (httpx2)": lambda hooked: sdk(url, httpx2.HTTPTransport() if hooked else bare(httpx2)()),
        "httpx client": lambda hooked: httpx.Client(transport=httpx.HTTPTransport() if hooked else bare(httpx)()),
    }
    found = []
    for layer, make in makers.items():
        found += [
            Contender(layer, "bare", asks(make(False), url), nothing),
            Contender(layer, "bare again", asks(make(False), url), nothing),
            Contender(layer, "refute, treatment", asks(make(True), url), lambda number: unit("treatment", number)),
            Contender(layer, "refute, control", asks(make(True), url), lambda number: unit("control", number)),
        ]
    for add in (_agentic_chaos, _agentic_chaos_security, _mcp_chaos_monkey):
        try:
            found += add(url)
        except ImportError as error:
            missing[add.__name__.strip("_").replace("_", "-")] = f"not installed ({error.name})"
    return found, missing


def _agentic_chaos(url: str) -> list[Contender]:
    from agentic_chaos.chaos import RateLimitStormFault, chaos_session
    from agentic_chaos.integrations.providers import patch_openai

    client = sdk(url, bare(httpx2)())

    @contextlib.contextmanager
    def around(_: int) -> Iterator[None]:
        with chaos_session([RateLimitStormFault(probability=NEVER)]):
            patch_openai(client)
            yield

    return [Contender("openai SDK (httpx2)", "agentic-chaos", asks(client, url), around)]


def _agentic_chaos_security(url: str) -> list[Contender]:
    from agentic_chaos_security.faults import RateLimit
    from agentic_chaos_security.integrations import httpx as over_httpx
    from agentic_chaos_security.integrations import httpx2 as over_httpx2
    from agentic_chaos_security.runtime import Session, bound

    def around(_: int) -> contextlib.AbstractContextManager[Any]:
        return bound(Session([RateLimit(probability=NEVER)]))

    through_sdk = sdk(url, over_httpx2.ChaosTransport(bare(httpx2)()))
    plain = httpx.Client(transport=over_httpx.ChaosTransport(bare(httpx)()))
    return [
        Contender("openai SDK (httpx2)", "agentic-chaos-security", asks(through_sdk, url), around),
        Contender("httpx client", "agentic-chaos-security", asks(plain, url), around),
    ]


def _mcp_chaos_monkey(url: str) -> list[Contender]:
    os.environ["CHAOS_ENABLED"] = "true"
    from mcp_chaos_monkey import ChaosController, ErrorFault
    from mcp_chaos_monkey.interceptors import create_chaos_aware_client_sync

    client = create_chaos_aware_client_sync("llm", httpx.Client(transport=bare(httpx)()))
    ChaosController.get_instance().inject("llm", ErrorFault(status_code=503, probability=NEVER))
    return [Contender("httpx client", "mcp-chaos-monkey", asks(client, url), lambda _: contextlib.nullcontext())]


def measure(found: list[Contender], first: int, rounds: int) -> Times:
    """Return each contender's (processor, wall-clock) microseconds per call, by round."""
    times: Times = {(each.layer, each.name): [] for each in found}
    order, rng = list(found), random.Random(first)
    for number in range(first, first + rounds):
        rng.shuffle(order)
        for each in order:
            taken = []
            for call in range(1 + CALLS):
                with each.around(number * (1 + CALLS) + call):
                    wall, cpu = time.perf_counter(), time.thread_time()
                    each.call()
                    taken.append(((time.thread_time() - cpu) * 1e6, (time.perf_counter() - wall) * 1e6))
            times[each.layer, each.name].append(tuple(map(statistics.median, zip(*taken[1:], strict=True))))
    return times


def summary(times: Times) -> list[dict[str, Any]]:
    """Return a row for each contender: the bare call's time, or what it adds and the interval of that, in microseconds."""
    rng = random.Random(2)
    rows: list[dict[str, Any]] = []
    for layer, name in sorted(times, key=lambda key: (key[0], key[1] != "bare")):
        took, base = times[layer, name], times[layer, "bare"]
        if name == "bare":
            cpu, wall = map(statistics.median, zip(*took, strict=True))
            rows.append({"layer": layer, "tool": name, "call_us": cpu, "call_wall_us": wall})
            continue
        added = [[mine[clock] - theirs[clock] for mine, theirs in zip(took, base, strict=True)] for clock in (0, 1)]
        medians = sorted(statistics.median(rng.choices(added[0], k=len(took))) for _ in range(1000))
        middle, wall = map(statistics.median, added)
        rows.append({"layer": layer, "tool": name, "added_us": middle, "low_us": medians[25], "high_us": medians[974], "wall_us": wall})
    refute = {row["layer"]: row["added_us"] for row in rows if row["tool"] == "refute, treatment"}
    for row in rows:
        if "added_us" in row and not row["tool"].startswith(("bare", "refute")):
            row["times_refute"] = row["added_us"] / max(refute[row["layer"]], 0.1)
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    port: Any = multiprocessing.Queue()
    server = multiprocessing.Process(target=serve, args=(port,), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{port.get(timeout=10)}/v1"
    found, missing = contenders(url)
    handle = INJECTOR.prepare(Arming(Component("llm", "llm", endpoint=url), "llm.rate_limit", share=NEVER))
    lease = Lease(30)
    INJECTOR.apply(handle, lease)
    measure(found, -20, 20)
    times: Times = {}
    for first in range(0, options.rounds, 50):
        lease.renew(30)
        for key, took in measure(found, first, 50).items():
            times.setdefault(key, []).extend(took)
    landing = INJECTOR.landed(handle)
    INJECTOR.rollback(handle)
    server.terminate()
    rows = summary(times)
    report = {"rounds": len(next(iter(times.values()))), "eligible": landing.eligible, "injected": landing.injected, "rows": rows}
    if options.json:
        print(json.dumps(report | {"missing": missing}, indent=2))
        return
    print(f"{report['rounds']} rounds; refute saw {landing.eligible} eligible calls and hit {landing.injected}")
    for row in rows:
        if "call_us" in row:
            print(f"\n{row['layer']}: a bare call takes {row['call_us']:.0f} µs of processor time, {row['call_wall_us']:.0f} µs in all")
        else:
            interval = f"[{row['low_us']:.1f}, {row['high_us']:.1f}]"
            ratio = f"  {row['times_refute']:.1f} x refute" if "times_refute" in row else ""
            print(f"  {row['tool']:<24} +{row['added_us']:6.1f} µs  {interval}  wall +{row['wall_us']:.0f} µs{ratio}")
    for tool, reason in missing.items():
        print(f"{tool}: {reason}")


if __name__ == "__main__":
    main()
