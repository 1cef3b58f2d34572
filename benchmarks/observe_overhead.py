"""What the middleware for live traffic costs a service's request: idle, and while a run observes; beside a middleware that does nothing.

    python benchmarks/observe_overhead.py [--rounds N] [--json]

The application answers in process, without a server, so that a request costs next to nothing but what is measured. Each round calls the
bare application and each middleware in random order, many times each; reported is the median over all rounds of the time added by
one request, in microseconds of processor time, and how many times that is what the middleware adds that does nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import socket
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from refute.core.audience import Audience
from refute.core.intent import Indicator
from refute.injectors.ingress import Ingress
from refute.integrations import _observer
from refute.integrations._judge import Judge
from refute.integrations._units import Units
from refute.integrations.asgi import ObserveMiddleware

App = Callable[[Any, Any, Any], Awaitable[None]]
SCOPE = {"type": "http", "method": "GET", "path": "/quote", "headers": [(b"host", b"shop"), (b"accept", b"*/*"), (b"x-user", b"ann")]}
REQUESTS = 300
START, BODY = {"type": "http.response.start", "status": 200, "headers": []}, {"type": "http.response.body", "body": b"{}"}


async def application(_scope: Any, _receive: Any, send: Any) -> None:
    """Answer at once."""
    await send(START)
    await send(BODY)


class Nothing:
    """A middleware that only passes on."""

    def __init__(self, app: App) -> None:
        """Keep the application."""
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on."""
        await self._app(scope, receive, send)


class Joined:
    """Stands for a run that has joined, with room for all units; somebody reads what it is told."""

    def __init__(self, folder: str) -> None:
        """Begin a phase."""
        self.ears = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.ears.bind(f"{folder}/link.units")
        self.ears.setblocking(False)
        self._ingress = Ingress(f"{folder}/link", "token")
        watch = {
            "phase": "inject",
            "seed": 1,
            "share": 0.5,
            "step": 0,
            "audience": Audience("user").to_json(),
            "timeout_s": 30.0,
            "units": 10**9,
        }
        self.units = Units(watch, self._ingress, Judge([Indicator("latency", "latency")]))

    def travelling(self, _baggage: str) -> None:
        """Return nobody's unit."""

    def begin(self, case: dict[str, str]) -> Any:
        """Begin a unit."""
        return self.units.begin(case)

    def listen(self) -> None:
        """Read what was told, as the run does meanwhile in a process of its own."""
        self.units.news()
        try:
            while True:
                self.ears.recv(8192)
        except BlockingIOError:
            return


async def seconds(app: App, between: Callable[[], None]) -> float:
    """Return the processor time of one request."""

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_message: Any) -> None:
        return

    spent = 0.0
    for _ in range(REQUESTS // 10):
        start = time.thread_time()
        for _ in range(10):
            await app(SCOPE, receive, send)
        spent += time.thread_time() - start
        between()
    return spent / REQUESTS


async def measured(rounds: int, folder: str) -> dict[str, float]:
    """Return the seconds that each adds to one request."""
    idle = _observer.Observer("shop")
    observed = _observer.Observer("shop")
    idle.present = observed.present = True
    joined = Joined(folder)
    observed.joined = joined  # type: ignore[assignment]
    apps: dict[str, App] = {"bare": application, "a middleware that does nothing": Nothing(application)}
    for name, observer in (("idle", idle), ("observing", observed)):
        _observer._Here.observer = observer  # noqa: SLF001 - both in one process, to compare them
        apps[name] = ObserveMiddleware(application, service="shop", fields={"user": "x-user"})
    taken: dict[str, list[float]] = {name: [] for name in apps}
    for _ in range(rounds):
        for name in random.sample(list(apps), len(apps)):
            taken[name].append(await seconds(apps[name], joined.listen))
    bare = taken.pop("bare")
    return {name: statistics.median(one - base for one, base in zip(times, bare, strict=True)) for name, times in taken.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        added = asyncio.run(measured(asked.rounds, str(Path(folder))))
    nothing = added["a middleware that does nothing"]
    rows = [{"middleware": name, "added_us": seconds * 1e6, "times_nothing": seconds / nothing} for name, seconds in added.items()]
    if asked.json:
        print(json.dumps(rows))
        return
    print(f"{'middleware':34}{'added by a request':>20}{'against nothing':>18}")
    for row in rows:
        print(f"{row['middleware']:34}{row['added_us']:>17.2f} us{row['times_nothing']:>17.1f}x")


if __name__ == "__main__":
    main()
