"""What a proxy in front of an LLM provider costs: `refute proxy` beside other fault-injecting proxies and plain ones.

    python benchmarks/proxy_overhead.py [--rounds N] [--requests N] [--only NAME ...] [--json]

All stand in front of one loopback stub, one at a time and in random order in every round, with nothing to inject. On two cores the
proxy has one and the stub and the client share the other. What is reported is the median over the rounds with a 95 % bootstrap
interval: the median time of one request minus that of the same request without a proxy in the same round; requests a second over 32
connections; the time to the first byte of a stream's content, which the stub sends at once and follows up every 5 ms. `refute,
armed` has a fault armed whose share is so small that nothing fires, and all requests are of a treatment unit, so that each is looked
into. At the end `--requests` further requests go through `refute proxy`, whose resident memory is read before, in the middle and after.

The others are installed from the package index into environments of their own, under `--cache` (a temporary folder unless given);
nginx is used where it is installed. Those that cannot be had are said to be missing.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import random
import selectors
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from refute.core.arming import Arming
from refute.core.cohort import Seal
from refute.core.link import TOKEN_VARIABLE
from refute.core.system import Component
from refute.experiment.doors import invite_proxies
from refute.experiment.link import Link
from refute.injectors.proxy import INJECTOR

ANSWER = json.dumps(
    {"id": "chatcmpl-1", "object": "chat.completion", "model": "m", "choices": [{"index": 0, "message": {"content": "word " * 12}}]}
).encode()
REPLY = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(ANSWER), ANSWER)
EVENT = b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":" word"}}]}\n\n'
EVENTS = 14
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
GAP_S = 0.005
MESSAGES = [{"role": "user", "content": "Where is my order? " * 20}]
CONNECTIONS = 32
SLICE_S = 1.0
PATIENCE_S = 10.0
HANG_S = 5.0
NEVER = 1e-9

Kind = str  # plain, stream, slow


class Stub(asyncio.Protocol):
    """Answers every request; a stream event by event, each in a write of its own."""

    def connection_made(self, transport: Any) -> None:
        """Start with nothing."""
        self.transport, self.seen = transport, b""

    def data_received(self, data: bytes) -> None:
        """Answer once the request is whole."""
        self.seen += data
        head, found, body = self.seen.partition(b"\r\n\r\n")
        if not found:
            return
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        if len(body) < length:
            return
        self.seen = b""
        if b'"stream": true' in body:
            self.stream(EVENTS, GAP_S if b'"slow"' in body else 0.0, STREAM)
        else:
            self.transport.write(REPLY)

    def stream(self, left: int, gap_s: float, before: bytes = b"") -> None:
        """Send an event, and the next one later."""
        if self.transport.is_closing():
            return
        end = b"" if left > 1 else b"0\r\n\r\n"
        self.transport.write(before + b"%x\r\n%b\r\n" % (len(EVENT), EVENT) + end)
        if left > 1:
            asyncio.get_running_loop().call_later(gap_s, self.stream, left - 1, gap_s)


def serve(port: Any) -> None:
    """Run the stub and say where."""

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", 0)
        port.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    pin(1)
    asyncio.run(run())


CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]


def pin(core: int) -> None:
    """Stay on one core, where there are two or more."""
    if hasattr(os, "sched_setaffinity") and len(CORES) > 1:
        os.sched_setaffinity(0, {CORES[core]})


def request(kind: Kind, baggage: str = "") -> bytes:
    """Return a request as an SDK sends it."""
    body = json.dumps({"model": "slow" if kind == "slow" else "m", "messages": MESSAGES, "stream": kind != "plain"}).encode()
    fields = [f"content-length: {len(body)}", "content-type: application/json", "authorization: Bearer k", "accept: */*"]
    fields += [f"baggage: {baggage}"] if baggage else []
    return "\r\n".join(["POST /v1/chat/completions HTTP/1.1", "host: 127.0.0.1", *fields, "", ""]).encode() + body


class Reader:
    """Reads one response off a socket, whatever its framing.

    Attributes:
        first_s: when the first byte of content came.
        closes: whether the connection ends with it.
    """

    def __init__(self) -> None:
        self.data, self.first_s, self.closes = b"", 0.0, False

    def feed(self, data: bytes) -> bool:
        """Take bytes, none for the end; say whether the response is whole."""
        self.data += data
        head, found, body = self.data.partition(b"\r\n\r\n")
        if body and not self.first_s:
            self.first_s = time.perf_counter()
        if not data:
            self.closes = True
            return True
        if not found:
            return False
        lower = head.lower()
        self.closes = b"\r\nconnection: close" in lower or lower.startswith(b"http/1.0")
        if b"\r\ncontent-length: " in lower:
            return len(body) >= int(lower.partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0])
        return b"\r\ntransfer-encoding: chunked" in lower and body.endswith(b"0\r\n\r\n")

    def good(self, kind: Kind) -> bool:
        """Say whether the response is the one that the stub sends."""
        return b" 200 " in self.data[:20] and self.data.count(b"word") >= (12 if kind == "plain" else EVENTS)


def dial(port: int) -> socket.socket:
    """Connect."""
    made = socket.create_connection(("127.0.0.1", port), timeout=HANG_S)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


@dataclass
class Measured:
    """What one contender did in one round.

    Attributes:
        once_s: median time of one request, by kind.
        first_s: median time to the first byte of a slow stream's content.
        per_s: requests a second over all connections, by kind.
        bad: answers that were wrong.
    """

    once_s: dict[Kind, float] = field(default_factory=dict)
    first_s: float = 0.0
    per_s: dict[Kind, float] = field(default_factory=dict)
    bad: int = 0


def one_by_one(port: int, sent: bytes, kind: Kind, count: int) -> tuple[float, float, int]:
    """Send requests one after the other; return median time, median time to the first byte of content, and wrong answers."""
    own, times, firsts, bad = dial(port), [], [], 0
    for number in range(count + 3):
        reader, start = Reader(), time.perf_counter()
        with contextlib.suppress(OSError):
            own.sendall(sent)
            while not reader.feed(own.recv(65536)):
                pass
        reader.closes |= not reader.good(kind)
        if number >= 3:
            times.append(time.perf_counter() - start)
            firsts.append(reader.first_s - start)
            bad += not reader.good(kind)
        if reader.closes:
            own.close()
            own = dial(port)
    own.close()
    return statistics.median(times), statistics.median(firsts), bad


def at_once(port: int, sent: Callable[[int], bytes], kind: Kind, seconds: float, most: int = 10**9) -> tuple[float, int, int]:
    """Keep all connections busy; return right answers a second, how many there were in all, and wrong ones."""
    selector, done, bad = selectors.DefaultSelector(), 0, 0
    for number in range(CONNECTIONS):
        own = dial(port)
        selector.register(own, selectors.EVENT_READ, Reader())
        own.sendall(sent(number))
    start = time.perf_counter()
    while (passed := time.perf_counter() - start) < max(seconds, PATIENCE_S) and (passed < seconds or done < CONNECTIONS) and done < most:
        for key, _ in selector.select(1.0):
            own = cast("socket.socket", key.fileobj)
            try:
                data = own.recv(65536)
            except ConnectionError:
                data = b""
            if not key.data.feed(data):
                continue
            done, bad = done + 1, bad + (not key.data.good(kind))
            selector.unregister(own)
            if key.data.closes:
                own.close()
                own = dial(port)
            selector.register(own, selectors.EVENT_READ, Reader())
            own.sendall(sent(done))
    per_s = (done - bad) / (time.perf_counter() - start)
    for key in list(selector.get_map().values()):
        key.fileobj.close()  # type: ignore[union-attr]
    selector.close()
    return per_s, done, bad


@dataclass
class Contender:
    """A proxy that is running.

    Attributes:
        port: where.
        pid: its process, 0 where there is none.
        baggage: returns what a request carries so that it is looked into.
    """

    port: int
    pid: int = 0
    baggage: Callable[[int], str] = lambda _number: ""


def measured(one: Contender, count: int) -> Measured:
    """Measure one contender once."""
    result = Measured()
    for kind in ("plain", "stream"):
        result.once_s[kind], _, bad = one_by_one(one.port, request(kind, one.baggage(0)), kind, count)
        result.per_s[kind], _, more = at_once(one.port, sender(one, kind), kind, SLICE_S)
        result.bad += bad + more
    _, result.first_s, bad = one_by_one(one.port, request("slow", one.baggage(0)), "slow", max(5, count // 10))
    result.bad += bad
    return result


def sender(one: Contender, kind: Kind) -> Callable[[int], bytes]:
    """Return what makes the request of a number."""
    if not one.baggage(0):
        sent = request(kind)
        return lambda _number: sent
    return lambda number: request(kind, one.baggage(number % 1000))


# The contenders


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def process(command: list[str], port: int, cwd: Path) -> Iterator[Contender]:
    """Run a proxy on the first core until the caller is done."""
    pin(0)  # what is started now stays there
    with (cwd / "log").open("ab") as log:
        running = subprocess.Popen(command, cwd=cwd, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
    pin(1)
    try:
        until_s = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError):
                dial(port).close()
                break
            if running.poll() is not None or time.monotonic() > until_s:
                raise RuntimeError(f"{command[0]} does not listen; see {cwd / 'log'}")
            time.sleep(0.05)
        yield Contender(port, running.pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)


def installed(package: str, cache: Path) -> Path | None:
    """Return the folder of commands of a package's own environment; None where it cannot be installed."""
    folder = cache / package
    if not (folder / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True, capture_output=True)
        command = [folder / "bin/pip", "install", "--quiet", "--disable-pip-version-check", package]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            return None
        (folder / "ready").touch()
    return folder / "bin"


NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream stub {{ server 127.0.0.1:{stub}; keepalive 64; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://stub; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }}
  }}
}}
"""


class Field:
    """Starts contenders.

    Args:
        stub: port of the stub.
        folder: for their files.
        cache: for their environments.
    """

    def __init__(self, stub: int, folder: Path, cache: Path) -> None:
        self.stub, self.folder, self.cache = stub, folder, cache
        self.ready: dict[str, Path | None] = {}

    def names(self) -> list[str]:
        """Return all contenders."""
        return ["refute", "refute, armed", "nginx", "mitmproxy", "agentbreak", "agentgauntlet", "kneepoint"]

    def prepare(self, name: str) -> str:
        """Install what a contender needs; return why it is missing, or ""."""
        if name.startswith("refute"):
            return ""
        if name == "nginx":
            return "" if shutil.which("nginx") else "nginx is not installed"
        self.ready[name] = installed(name, self.cache)
        return "" if self.ready[name] else "it cannot be installed"

    @contextlib.contextmanager
    def running(self, name: str) -> Iterator[Contender]:
        """Run a contender until the caller is done."""
        port, folder = free_port(), Path(tempfile.mkdtemp(dir=self.folder))
        upstream = f"http://127.0.0.1:{self.stub}"
        with process(self._command(name, port, upstream, folder), port, folder) as one:
            if name == "refute, armed":
                with armed(one, f"http://127.0.0.1:{port}"):
                    yield one
            else:
                yield one

    def _command(self, name: str, port: int, upstream: str, folder: Path) -> list[str]:
        commands = self.ready.get(name) or Path()
        if name == "agentbreak":
            (folder / "a.yaml").write_text(json.dumps({"llm": {"enabled": True, "mode": "proxy", "upstream_url": upstream},
                                                       "mcp": {"enabled": False}, "serve": {"port": port}}))  # fmt: skip
            (folder / "s.yaml").write_text("version: 1\nscenarios: []\n")
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, stub=self.stub, port=port))
        mine = [sys.executable, "-m", "refute", "proxy", "--upstream", upstream, "--listen", f"127.0.0.1:{port}"]
        known: dict[str, list[Any]] = {
            "refute": mine,
            "refute, armed": mine,
            "nginx": ["nginx", "-c", folder / "nginx.conf"],
            "mitmproxy": [commands / "mitmdump", "--mode", f"reverse:{upstream}", "-q", "--set", "stream_large_bodies=1",
                          "--listen-host", "127.0.0.1", "--listen-port", port],
            "agentbreak": [commands / "agentbreak", "serve", "--config", "a.yaml", "--scenarios", "s.yaml"],
            "agentgauntlet": [commands / "agentgauntlet", "proxy", "--upstream", upstream, "--port", port, "--probability", "0"],
            "kneepoint": [commands / "kneepoint", "proxy", "--upstream", upstream, "--port", port],
        }  # fmt: skip
        return [str(part) for part in known[name]]


@contextlib.contextmanager
def armed(one: Contender, url: str) -> Iterator[None]:
    """Keep a fault armed in a refute proxy that hits next to nothing, from a thread of its own."""
    import threading

    ready, over, seal = threading.Event(), threading.Event(), []

    async def hold() -> None:
        component = Component("llm", "llm", endpoint=f"{url}/v1", via="proxy")
        async with Link(lambda *_: None) as link:
            await invite_proxies(link, [component])
            handle = INJECTOR.prepare(Arming(component, "llm.rate_limit", share=NEVER, draw="attempt"))
            link.arm_joining([handle], 10.0)
            await link.arm_live()
            seal.append(Seal(link.environment[TOKEN_VARIABLE]))
            ready.set()
            while not over.is_set():
                await link.renew_live(10.0)
                await asyncio.sleep(1.0)
            await link.disarm()
            if not link.landed(handle).eligible:
                raise RuntimeError("nothing was looked into")

    thread = threading.Thread(target=lambda: asyncio.run(hold()), daemon=True)
    thread.start()
    ready.wait(10)
    one.baggage = lambda number: seal[0].baggage(f"case/{number}", "treatment")
    try:
        yield
    finally:
        over.set()
        thread.join(10)


# What is shown


def interval(values: list[float], seed: int = 1) -> tuple[float, float, float]:
    """Return the median and its 95 % bootstrap interval."""
    rng = random.Random(seed)
    medians = sorted(statistics.median(rng.choices(values, k=len(values))) for _ in range(2000))
    return statistics.median(values), medians[50], medians[1949]


def ms(values: list[float]) -> str:
    """Show seconds as milliseconds with their interval."""
    middle, low, high = (1000 * value for value in interval(values))
    return f"{middle:.2f} [{low:.2f}, {high:.2f}]"


def whole(values: list[float]) -> str:
    """Show numbers with their interval."""
    return "{:,.0f} [{:,.0f}, {:,.0f}]".format(*interval(values))


def table(seen: dict[str, list[Measured]]) -> None:
    """Print everything but memory."""
    direct = seen["direct"]
    heads = ("added p50 at 1, ms", "the same, streamed", "first token later, ms", "requests/s at 32", "streams/s at 32")
    print(" " * 16 + "".join(f"{head:>26}" for head in heads))
    for name, rounds in seen.items():
        pairs = list(zip(rounds, direct, strict=True))
        added = [ms([one.once_s[kind] - bare.once_s[kind] for one, bare in pairs]) for kind in ("plain", "stream")]
        first = ms([one.first_s - bare.first_s for one, bare in pairs])
        rates = [whole([one.per_s[kind] for one in rounds]) for kind in ("plain", "stream")]
        bad = sum(one.bad for one in rounds)
        print(f"{name:16}{added[0]:>26}{added[1]:>26}{first:>26}{rates[0]:>26}{rates[1]:>26}" + (f"  {bad} wrong answers" if bad else ""))
    if "refute" in seen:
        ratios(seen)


def ratios(seen: dict[str, list[Measured]]) -> None:
    """Print how many times as many requests Refute passes on as the others, in the same rounds."""
    print("\nrequests/s at 32, refute over the others, plain and streamed:")
    for name, rounds in seen.items():
        if name not in {"direct", "refute"}:
            of = [interval([mine.per_s[kind] / one.per_s[kind] for mine, one in zip(seen["refute"], rounds, strict=True)])
                  for kind in ("plain", "stream")]  # fmt: skip
            print(f"  {name:16}" + "   ".join("{:6.2f} [{:.2f}, {:.2f}]".format(*one) for one in of))


def memory_kib(pid: int) -> int:
    """Return what of a process is resident, KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def memory(field_: Field, name: str, requests: int) -> list[tuple[int, int]]:
    """Return (requests so far, resident KiB) of a refute proxy."""
    with field_.running(name) as one:
        seen, so_far = [], 0
        for part in (0.1, 0.4, 0.5):
            _, done, bad = at_once(one.port, sender(one, "plain"), "plain", 600.0, int(requests * part))
            assert not bad, f"{bad} wrong answers"
            so_far += done
            seen.append((so_far, memory_kib(one.pid)))
        return seen


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--calls", type=int, default=200, help="requests one by one, a kind and a round")
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "refute-benchmark")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    port: Any = multiprocessing.Queue()
    stub = multiprocessing.Process(target=serve, args=(port,), daemon=True)
    stub.start()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_STATE_HOME"] = folder
        show(Field(port.get(), Path(folder), options.cache), options)
    stub.terminate()


def show(field_: Field, options: argparse.Namespace) -> None:
    """Run all rounds, then print."""
    names = [name for name in field_.names() if not options.only or name in options.only]
    missing = {name: why for name in names if (why := field_.prepare(name))}
    seen: dict[str, list[Measured]] = {name: [] for name in ["direct", *names] if name not in missing}
    pin(1)
    rng = random.Random(1)
    for number in range(options.rounds):
        for name in rng.sample(list(seen), len(seen)):
            with field_.running(name) if name != "direct" else contextlib.nullcontext(Contender(field_.stub)) as one:
                seen[name].append(measured(one, options.calls))
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
    kept = {name: memory(field_, name, options.requests) for name in seen if name.startswith("refute") and options.requests}
    if options.json:
        print(json.dumps({name: [vars(one) for one in rounds] for name, rounds in seen.items()} | {"memory": kept}))
        return
    table(seen)
    for name, readings in kept.items():
        print(f"\nresident memory of {name}: " + ", ".join(f"{kib / 1024:.1f} MiB after {count:,}" for count, kib in readings))
    for name, why in missing.items():
        print(f"{name}: missing, {why}")


if __name__ == "__main__":
    main()
