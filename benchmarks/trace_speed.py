"""Time and memory of learning a system from a million spans of OTLP JSON, with clocks that differ and parents that are missing.

A chain of programs answers each request with about ten spans; each program's clock is off by up to two seconds, one span in fifty names a
parent that nobody wrote, one request in ten is tried again. What is learned is checked: every call that was made is found, and none that
was not. The file is written first and that is not measured; memory is that of the process that reads it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import TextIO

from refute.system.traces import learn

PROGRAMS = ("front", "agent", "search", "orders", "billing")
CALLS = {("front", "agent"), ("agent", "search"), ("agent", "orders"), ("orders", "billing"), ("agent", "llm")}
LIMIT_S, LIMIT_MB = 120.0, 1_500
SKEW_S = 2.0
ORPHANS, RETRIES = 0.02, 0.1
REQUESTS_A_LINE = 200


def attribute(key: str, value: str) -> dict[str, object]:
    """Return an attribute as OTLP writes it."""
    return {"key": key, "value": {"stringValue": value}}


class Writer:
    """Writes requests as spans.

    Args:
        rng: draws everything.
    """

    def __init__(self, rng: random.Random) -> None:
        """Set each program's clock."""
        self.rng, self.count, self.batch = rng, 0, dict[str, list[dict[str, object]]]()
        self.skew = {name: rng.uniform(-SKEW_S, SKEW_S) for name in PROGRAMS}

    def span(  # noqa: PLR0913, PLR0917 - what a span is
        self, trace: str, parent: str, program: str, name: str, kind: int, at: float, *attributes: dict[str, object]
    ) -> str:
        """Write one span and return its id."""
        self.count += 1
        ident = f"{self.count:016x}"
        if parent and self.rng.random() < ORPHANS:
            parent = f"{self.rng.getrandbits(64):016x}"
        begin = int((at + self.skew[program]) * 1e9)
        self.batch.setdefault(program, []).append({
            "traceId": trace, "spanId": ident, "parentSpanId": parent, "name": name, "kind": kind, "startTimeUnixNano": str(begin),
            "endTimeUnixNano": str(begin + int(self.rng.expovariate(20) * 1e9)), "attributes": list(attributes),
        })  # fmt: skip
        return ident

    def call(self, trace: str, parent: str, caller: str, callee: str, at: float) -> None:
        """Write a call of a program, tried again now and then, with what it calls in turn."""
        for _ in range(2 if self.rng.random() < RETRIES else 1):
            client = self.span(trace, parent, caller, f"GET /{callee}", 3, at, attribute("server.address", callee))
            server = self.span(trace, client, callee, f"GET /{callee}", 2, at + 0.01, attribute("http.request.method", "GET"))
            for one, other in sorted(CALLS):
                if one == callee and other != "llm":
                    self.call(trace, server, one, other, at + 0.02)
            if callee == "agent":
                model = attribute("gen_ai.operation.name", "chat"), attribute("server.address", "llm")
                self.span(trace, server, "agent", "chat small", 3, at + 0.03, *model)

    def request(self, number: int) -> None:
        """Write one request of a user."""
        trace, at = f"{number + 1:032x}", 1_700_000_000 + number * 0.01
        root = self.span(trace, "", "front", "GET /ask", 2, at, attribute("http.request.method", "GET"), attribute("http.route", "/ask"))
        self.call(trace, root, "front", "agent", at + 0.01)

    def flush(self, file: TextIO) -> None:
        """Write what is waiting as one line."""
        resources = [
            {"resource": {"attributes": [attribute("service.name", name)]}, "scopeSpans": [{"spans": spans}]}
            for name, spans in self.batch.items()
        ]
        file.write(json.dumps({"resourceSpans": resources}) + "\n")
        self.batch.clear()


def written(path: Path, spans: int) -> int:
    """Write at least so many spans and return how many there are."""
    writer, number = Writer(random.Random(1)), 0
    with path.open("w", encoding="utf-8") as file:
        while writer.count < spans:
            writer.request(number)
            number += 1
            if number % REQUESTS_A_LINE == 0:
                writer.flush(file)
        writer.flush(file)
    return writer.count


def measure(path: Path) -> tuple[float, float, set[tuple[str, str]]]:
    """Return seconds, megabytes at most and the calls that were found; in a process of its own."""
    start = time.perf_counter()
    seen = learn([path])
    seconds = time.perf_counter() - start
    calls = {(caller, callee) for caller, one in seen.components.items() for callee in one.calls}
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, calls


def main() -> int:
    """Print the figures; return 1 where one misses its limit, or what was learned is not what was done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spans", type=int, default=1_000_000, metavar="N")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "traces.jsonl")
        spans = written(path, options.spans)
        size = path.stat().st_size / 1e6
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            seconds, megabytes, calls = pool.apply(measure, (path,))
    print(f"{spans:,} spans, {size:.0f} MB of OTLP JSON, clocks off by up to {SKEW_S:g} s, {ORPHANS:.0%} of parents missing")
    print(f"learned in {seconds:.1f} s ({spans / seconds:,.0f} spans/s, limit {LIMIT_S:g} s), {megabytes:.0f} MB (limit {LIMIT_MB})")
    print(f"calls found: {len(calls & CALLS)} of {len(CALLS)}; others: {sorted(calls - CALLS) or 'none'}")
    return int(seconds > LIMIT_S or megabytes > LIMIT_MB or not calls >= CALLS)


if __name__ == "__main__":
    sys.exit(main())
