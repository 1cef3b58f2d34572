"""Time and memory of a plan over 100,000 candidates on a graph of 2,000 components, of planning anew after a run, and how both grow."""

from __future__ import annotations

import math
import resource
import statistics
import sys
import time

import numpy as np

from refute.learning.planner.graph import CallGraph, Candidates, GraphModel
from refute.learning.value import Prices

COMPONENTS = 2_000
CALLS_A_COMPONENT = 3
FAMILIES = 10
SIZES = (12_500, 25_000, 50_000, 100_000, 200_000, 400_000)
ASKED = 100_000
LIMIT_S, LIMIT_AGAIN_S, LIMIT_MB = 1.0, 0.05, 500


def graph(rng: np.random.Generator) -> CallGraph:
    """Return a random graph: most calls go from lower to higher numbers, one in fifty back, and some components stand alone."""
    count = COMPONENTS * CALLS_A_COMPONENT
    callees = rng.integers(1, COMPONENTS - 20, count)
    callers = (callees * rng.beta(2, 1.2, count)).astype(np.int64)
    back = rng.random(count) < 0.02
    callers[back], callees[back] = callees[back], callers[back]
    traffic = np.where(rng.random(count) < 0.05, 0.0, rng.beta(2, 1, count))
    return CallGraph(COMPONENTS, callers, callees, traffic, np.arange(4))


def candidates(rng: np.random.Generator, count: int) -> Candidates:
    """Return random candidates."""
    return Candidates(rng.integers(0, COMPONENTS, count), rng.integers(0, FAMILIES, count), rng.random(count))


def timed(model: GraphModel, asked: Candidates, repeats: int = 7) -> float:
    """Return the median number of seconds that scoring and picking the best twenty take."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        model.score(asked, Prices()).best(20)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def again(model: GraphModel, asked: Candidates, rng: np.random.Generator, repeats: int = 30) -> float:
    """Return the median number of seconds from a run's outcome to the next plan."""
    taken = []
    for _ in range(repeats):
        component, family = int(rng.integers(4, COMPONENTS)), int(rng.integers(0, FAMILIES))
        start = time.perf_counter()
        model.observe(component, family, float(rng.random()), failed=True, available=bool(rng.random() < 0.5))
        model.score(asked, Prices()).best(20)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def main() -> int:
    """Print the figures; return 1 where one misses its limit."""
    rng = np.random.default_rng(1)
    start = time.perf_counter()
    model = GraphModel(graph(rng), FAMILIES)
    asked = candidates(rng, ASKED)
    model.score(asked, Prices()).best(20)
    full = time.perf_counter() - start
    renewed = again(model, asked, rng)
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"full plan, {ASKED:,} candidates, {COMPONENTS:,} components: {full:.3f} s (limit {LIMIT_S} s)")
    print(f"memory of the process at most: {megabytes:.0f} MB (limit {LIMIT_MB} MB)")
    print(f"plan anew after one run: {renewed * 1000:.1f} ms (limit {LIMIT_AGAIN_S * 1000:.0f} ms)")
    seconds = [timed(model, candidates(rng, size)) for size in SIZES]
    longest = max(seconds)
    for size, taken in zip(SIZES, seconds, strict=True):
        print(f"{size:>9,} candidates {taken * 1000:8.1f} ms  {'█' * max(1, round(50 * taken / longest))}")
    slope = math.log(seconds[-1] / seconds[-3]) / math.log(SIZES[-1] / SIZES[-3])
    print(f"growth over the last two doublings: candidates to the power {slope:.2f} (1 is linear)")
    return int(full > LIMIT_S or renewed > LIMIT_AGAIN_S or megabytes > LIMIT_MB)


if __name__ == "__main__":
    sys.exit(main())
