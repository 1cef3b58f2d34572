"""How quickly a stop condition ends an injection: in seconds in process and by proxy, and in units beside what theory says.

    python benchmarks/abort_latency.py --runs 100

Seconds: whole runs against a real HTTP service, every treatment unit of which fails. Counted from the end of the unit that raised the
alarm to the proof that the fault is gone, which is later than its removal. Exits 1 where the 99th percentile is over one second.

Units: simulated units through the library's own stop conditions. Theory is the time that bets need to grow to k/alpha at the best of the
fixed fractions, log(k·2·m/alpha)/g for m fractions of which half of the wealth is spread over later starts, and, below it, what no
test of that error rate can beat on average: log(1/alpha)/KL (Wald 1945).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from refute.core.arming import Arming
from refute.core.events import Event
from refute.experiment.design import Experiment
from refute.experiment.run import Run
from refute.intent import load
from refute.safety.journal import Journal
from refute.stats import AbsoluteStop, RelativeStop
from refute.stats.mean import FRACTIONS as ABSOLUTE
from refute.stats.mean import factors_high
from refute.stats.relative import _FRACTIONS as RELATIVE

ALLOWED_S = 1.0
RATE_PER_S = 60
ALPHA, COHORT, SIMULATED, MOST = 0.05, 0.5, 400, 5000
FILE = """
version: 1
system: {{name: "abort-latency-{how}", components: {{web: {{kind: agent, calls: [model]}}, model: {component}}}}}
journeys: {{ask: {{entry: web}}}}
workload: {{{workload}, cases: cases.jsonl, rate: {rate}/s, timeout: 5 s}}
indicators: {{answered: {{ratio: "app:answered"}}}}
steady_state: {{window: 300 ms, holds: ["answered >= 90%"]}}
stop_when: [answered < 70%]
blast_radius: {{cohort: 50%, units: 600, duration: 30 s}}
beliefs:
  - {{id: b, claim: c, when: {{fault: {fault}, target: model}}, then: answered >= 1%, confidence: 50%, decides: d}}
"""
APP = """
import httpx

async def answer(case):
    async with httpx.AsyncClient() as client:
        reply = await client.post("{url}/ask", json=case)
    reply.raise_for_status()
    return reply.text

def answered(case, answer):
    return "forty-two" in str(answer)
"""


class Service(BaseHTTPRequestHandler):
    """Answers at once."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Read the case, answer it."""
        self.rfile.read(int(self.headers["content-length"]))
        body = b'"forty-two"'
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """Cares nothing for callers that hang up: a workload that has ended does."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class Abort:
    """One run's: seconds from the alarm's unit to the proof, and treatment units that had ended."""

    seconds: float
    units: int


def once(folder: Path, how: str, seed: int) -> Abort:
    """Run until the stop condition fires."""
    intent = load(folder / "refute.yaml")
    belief, component = intent.beliefs["b"], intent.system.components["model"]
    arming = Arming(component, belief.when.fault, None, 1.0, "call", COHORT, seed)
    experiment = Experiment(f"{how}-{seed}", intent, (belief,), arming, 600, check=False)
    events: list[Event] = []
    run = Run(experiment, events.append, Journal(), folder / "worker.log", lambda: False)
    asyncio.run(run.run())
    began = next(event.at for event in events if event.kind == "phase" and event.data["phase"] == "inject")
    stop = next((event for event in events if event.kind == "stop"), None)
    if stop is None:
        raise SystemExit(f"no stop condition fired: {[event.data for event in events if event.kind in {'problem', 'verdict'}]}")
    gone = next(event.at for event in events if event.kind == "rollback" and event.data["ok"])
    ended = sorted(
        one["start_s"] + one["latency_s"]
        for event in events
        if event.kind == "outcomes" and event.data["phase"] == "inject"
        for one in event.data["outcomes"]
        if one["arm"] == "treatment"
    )
    return Abort(gone - began - ended[stop.data["units"] - 1], stop.data["units"])


def prepare(folder: Path, how: str, url: str) -> None:
    """Write an intent that is reached in process or by proxy."""
    proxied = how == "proxy"
    component = f'{{kind: service, endpoint: "{url}"{", via: proxy" if proxied else ""}}}'
    workload = f'http: "{url}/ask"' if proxied else 'python: "app:answer"'
    (folder / "refute.yaml").write_text(
        FILE.format(how=how, component=component, workload=workload, rate=RATE_PER_S, fault="service.error")
    )
    (folder / "app.py").write_text(APP.format(url=url))
    (folder / "cases.jsonl").write_text("\n".join(json.dumps({"id": str(at), "journey": "ask"}) for at in range(50)))


def measured(how: str, runs: int, url: str) -> list[Abort]:
    """Run them all."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if how == "process":
            prepare(folder, how, url)
            return [once(folder, how, seed) for seed in range(runs)]
        command = [sys.executable, "-m", "refute", "proxy", "--upstream", url, "--listen", "127.0.0.1:0", "--json"]
        proxy = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert proxy.stdout is not None
            prepare(folder, how, json.loads(proxy.stdout.readline())["url"])
            return [once(folder, how, seed) for seed in range(runs)]
        finally:
            proxy.terminate()
            proxy.wait()


def in_seconds(runs: int) -> bool:
    """Print the seconds and say whether they are few enough."""
    server = Server(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    good = True
    for how in ("process", "proxy"):
        aborts = measured(how, runs, f"http://127.0.0.1:{server.server_address[1]}")
        times = sorted(one.seconds for one in aborts)
        p99 = times[min(len(times) - 1, math.ceil(0.99 * len(times)) - 1)]
        good = good and p99 <= ALLOWED_S
        print(
            f"{how}: {len(times)} aborts, from the unit that raised the alarm to the proof that the fault is gone: "
            f"median {statistics.median(times):.3f} s, p99 {p99:.3f} s, longest {times[-1]:.3f} s; "
            f"after {statistics.median(one.units for one in aborts):.0f} treatment units",
            flush=True,
        )
    server.shutdown()
    return good


def absolute_units(bound: float, rate: float, rng: random.Random) -> int:
    """Return the treatment units until an absolute stop fires."""
    watch = AbsoluteStop(bound, ALPHA).watch()
    return next((number + 1 for number in range(MOST) if watch.see(number, float(rng.random() < rate))), MOST)


def relative_units(bound: float, difference: float, control: float, rng: random.Random) -> int:
    """Return the units of both arms until a relative stop fires."""
    watch = RelativeStop(bound, ALPHA).watch()
    for number in range(MOST):
        treatment = rng.random() < COHORT
        watch.begin(treatment=treatment, share=COHORT)
        if watch.see(number, float(rng.random() < control + difference * treatment)):
            return number + 1
    return MOST


def grown(growths: list[float], log_bound: float) -> float:
    """Return log(2·m/alpha)/g at the best of m fractions; infinite where none grows."""
    best = max(growths)
    return (log_bound + math.log(2 * len(growths))) / best if best > 0 else math.inf


def absolute_theory(bound: float, rate: float) -> tuple[float, float]:
    """Return the bets' time to the alarm, and the bound for all tests."""
    bad, good = factors_high(1.0, bound), factors_high(0.0, bound)
    growths = [rate * math.log(b) + (1 - rate) * math.log(g) for b, g in zip(bad, good, strict=True)]
    assert len(growths) == len(ABSOLUTE)
    kl = rate * math.log(rate / bound) + ((1 - rate) * math.log((1 - rate) / (1 - bound)) if rate < 1 else 0.0)
    return grown(growths, -math.log(ALPHA)), -math.log(ALPHA) / kl


def relative_theory(bound: float, difference: float, control: float) -> float:
    """Return the bets' time to the alarm, once the mean m is known."""
    mean = control + COHORT * difference
    largest = bound + max(mean / COHORT, (1 - mean) / (1 - COHORT))
    growths = []
    for fraction in RELATIVE:
        growth = 0.0
        for treatment, share, rate in ((True, COHORT, control + difference), (False, 1 - COHORT, control)):
            for breach, chance in ((1.0, rate), (0.0, 1 - rate)):
                x = (breach - mean) / COHORT if treatment else -(breach - mean) / (1 - COHORT)
                growth += share * chance * math.log(1 + fraction * (x - bound) / largest)
        growths.append(growth)
    return grown(growths, -math.log(ALPHA))


def row(values: list[int], theory: float) -> str:
    """Return one row's figures."""
    ordered = sorted(values)
    never = sum(value >= MOST for value in values)
    late = f", {never} of {len(values)} not within {MOST}" if never else ""
    middle, p95 = ordered[len(ordered) // 2], ordered[int(0.95 * len(ordered))]
    return f"mean {statistics.mean(values):.0f}, median {middle}, p95 {p95}; theory {theory:.0f}{late}"


def in_units() -> None:
    """Print the units beside theory's."""
    print(f"absolute, treatment units until `answered < 90%` fires ({SIMULATED} simulated injections a row):")
    for name, rate in (("just past", 0.12), ("2 times", 0.2), ("4 times", 0.4)):
        rng = random.Random(f"absolute {rate}")
        values = [absolute_units(0.1, rate, rng) for _ in range(SIMULATED)]
        theory, least = absolute_theory(0.1, rate)
        print(f"  breach rate {rate:.0%} ({name} the bound): {row(values, theory)}; no test beats {least:.0f} on average")
    print("relative, units of both arms until `answered worse by > 10 points` fires, 2 % breaches in control:")
    for name, difference in (("just past", 0.12), ("2 times", 0.2), ("4 times", 0.4)):
        rng = random.Random(f"relative {difference}")
        values = [relative_units(0.1, difference, 0.02, rng) for _ in range(SIMULATED if difference > 0.12 else SIMULATED // 8)]
        print(f"  worse by {100 * difference:.0f} points ({name} the bound): {row(values, relative_theory(0.1, difference, 0.02))}")


def main() -> int:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100, help="of each kind, in seconds")
    options: Any = parser.parse_args()
    in_units()
    with tempfile.TemporaryDirectory() as state:
        os.environ["XDG_STATE_HOME"] = state
        return 0 if in_seconds(options.runs) else 1


if __name__ == "__main__":
    sys.exit(main())
