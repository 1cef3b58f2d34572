"""Which rule finds out soonest what a system tolerates? Choosers with one learner, on measured fault spaces.

Each chooser asks for one experiment at a time among those of the space that strike known calls only, and is told what was measured.
Experiments do not repeat; where a space is exhausted its last figure stands. Printed for each application and in the mean over them:

- cross-entropy: mean over every single fault and pair of the space, tried or not, of -log2 P(what was measured), in bits, where P is the
  forecast that the entry point answers, or does not, given that the faults strike; after 0, 5, 10, 20 and 60 experiments. Faults on
  calls that nobody has seen yet are forecast, too.
  Of a space with more than 600 of them, all single faults and a fixed sample of the rest stand for it.
- experiments until it first is at most 0.1 bit; 61 where it never is within 60.
- outages among the first 20 experiments.

Intervals are 95 % bootstrap intervals over seeds within each application, the same seeds for every chooser (paired); differences are to
`information`. They say how much luck a chooser has on these applications, not how it does on others.
"""
# ruff: noqa: E402  (threads are set before numpy is imported)

from __future__ import annotations

import os

for _threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_threads, "1")  # before numpy is imported: one process a core is faster than several threads

import argparse
import json
import random
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from refute.core.errors import RefuteError
from refute.learning.planner.choosers import CHOOSERS
from refute.learning.planner.planner import Planner
from refute.learning.propagation.learner import learner_of
from refute.learning.propagation.space import FaultSpace, Run, read_spaces
from refute.learning.propagation.worlds import generated_spaces

OURS = ("information", "information_per_risk")
SHOWN = (0, 5, 10, 20, 60)
MOST = 60
RESOLVED_BITS = 0.1
OUTAGES_IN = 20
RESAMPLES = 2_000
MOST_SETS = 600


@dataclass(frozen=True)
class Played:
    """One chooser on one application with one seed.

    Attributes:
        chooser: its name.
        application: name.
        seed: of the chooser.
        resolved: experiments until the cross-entropy is at most 0.1 bit.
        entropy: after each of `SHOWN`.
        outages: among the first 20 experiments.
        stop: experiments after which the stopping rule would have ended the campaign, and outages until then.
    """

    chooser: str
    application: str
    seed: int
    resolved: int
    entropy: tuple[float, ...]
    outages: int
    stop: tuple[int, int]


def thinned(space: FaultSpace) -> tuple[list[Run], np.ndarray]:
    """Return the runs that stand for a space, and how many each stands for: all, where they are not too many."""
    single, several = ([run for run in space.runs if (len(run.faults) > 1) == more] for more in (False, True))
    room = max(1, MOST_SETS - len(single))
    kept = random.Random(space.application).sample(several, room) if len(several) > room else several
    if kept is several:
        return list(space.runs), np.ones(len(space.runs))
    return [*single, *kept], np.array([1.0] * len(single) + [len(several) / max(1, len(kept))] * len(kept))


def play(task: tuple[FaultSpace, str, int]) -> Played:
    """Run a chooser until a space is exhausted or 60 experiments are done."""
    space, name, seed = task
    rng = random.Random(f"{space.application} {seed}")
    runs, weights = thinned(space)
    sets, measured = [run.faults for run in runs], np.array([run.available for run in runs])
    learner = learner_of(space.calls, space.steady, sorted({fault.kind for faults in sets for fault in faults}))
    planner = Planner(learner, CHOOSERS[name](rng), rng, audit=name in OURS)
    pool = list(runs)

    def entropy() -> float:
        said = learner.available(sets, space.calls)
        return float(np.average(-np.log2(np.where(measured, said, 1 - said)), weights=weights))

    curve, outages, stopped = [entropy()], [], None
    while len(outages) < MOST and (chosen := planner.ask([run.faults for run in pool])):
        run = pool.pop(next(position for position, one in enumerate(pool) if one.faults == chosen[0].faults))
        planner.tell(run, space.calls)
        outages.append(not run.available)
        curve.append(entropy())
        if stopped is None and planner.may_stop([one.faults for one in pool]):
            stopped = len(outages)
    resolved = next((count for count, bits in enumerate(curve) if bits <= RESOLVED_BITS), MOST + 1)
    ended = len(outages) if stopped is None else stopped
    shown = tuple(curve[min(count, len(curve) - 1)] for count in SHOWN)
    return Played(name, space.application, seed, resolved, shown, sum(outages[:OUTAGES_IN]), (ended, sum(outages[:ended])))


def figures(played: list[Played]) -> dict[str, Any]:
    """Return means over seeds, then over applications."""
    names = dict.fromkeys(one.application for one in played)
    groups = [[one for one in played if one.application == name] for name in names]

    def mean(values: Any) -> float:
        return round(float(np.mean([np.mean([values(one) for one in group]) for group in groups])), 4)

    return {
        "experiments_to_0.1_bit": mean(lambda one: one.resolved),
        "cross_entropy": {str(count): mean(lambda one, n=n: one.entropy[n]) for n, count in enumerate(SHOWN)},
        "outages_20": mean(lambda one: one.outages),
        "stops_after": mean(lambda one: one.stop[0]),
        "outages_until_stop": mean(lambda one: one.stop[1]),
    }


def intervals(played: list[Played], other: list[Played]) -> dict[str, list[float]]:
    """Return 95 % bootstrap intervals of the experiments needed, of the bits after 20 and of outages, and of differences to another."""
    rng = np.random.default_rng(0)
    found = {}
    for label, values in (
        ("experiments_to_0.1_bit", lambda one: one.resolved),
        ("cross_entropy_20", lambda one: one.entropy[SHOWN.index(20)]),
        ("outages_20", lambda one: one.outages),
    ):
        own, theirs = _by_application(played, values), _by_application(other, values)
        draws = [rng.integers(0, row.size, (RESAMPLES, row.size)) for row in own]
        mean = np.mean([row[draw].mean(1) for row, draw in zip(own, draws, strict=True)], axis=0)
        apart = np.mean([(row - base)[draw].mean(1) for row, base, draw in zip(own, theirs, draws, strict=True)], axis=0)
        found[label] = [round(float(one), 4) for one in np.percentile(mean, [2.5, 97.5])]
        found[f"{label}_minus_information"] = [round(float(one), 4) for one in np.percentile(apart, [2.5, 97.5])]
    return found


def _by_application(played: list[Played], values: Any) -> list[np.ndarray]:
    rows: dict[str, dict[int, float]] = {}
    for one in played:
        rows.setdefault(one.application, {})[one.seed] = float(values(one))
    return [np.array([row[seed] for seed in sorted(row)]) for row in rows.values()]


def summary(played: list[Played], choosers: list[str]) -> dict[str, Any]:
    """Return the object that --json prints."""
    by_chooser = {name: [one for one in played if one.chooser == name] for name in choosers}
    base = by_chooser.get(OURS[0]) or by_chooser[choosers[0]]
    return {
        "choosers": {name: figures(rows) | {"intervals": intervals(rows, base)} for name, rows in by_chooser.items()},
        "applications": {
            application: {name: figures([one for one in rows if one.application == application]) for name, rows in by_chooser.items()}
            for application in dict.fromkeys(one.application for one in played)
        },
    }


def show(found: dict[str, Any], seconds: float) -> None:
    """Print tables."""
    tables = {**found["applications"], f"mean over {len(found['applications'])} applications": found["choosers"]}
    counts = "".join(f"{count:>7}" for count in SHOWN)
    for title, rows in tables.items():
        print(f"\n{title}\n{'':22}to 0.1 bit | bits after{counts} | outages in 20 | stops after (outages)")
        for name, row in rows.items():
            bits = "".join(f"{one:7.3f}" for one in row["cross_entropy"].values())
            stop = f"{row['stops_after']:.1f} ({row['outages_until_stop']:.1f})"
            print(f"{name:22}{row['experiments_to_0.1_bit']:10.1f} | {'':10}{bits} | {row['outages_20']:13.1f} | {stop:>21}")
    print(
        f"\n95 % intervals{'':8}"
        + "".join(f"{label:>20}{'- information':>20}" for label in ("to 0.1 bit", "bits after 20", "outages in 20"))
    )
    for name, row in found["choosers"].items():
        print(f"{name:22}" + "".join(f"{f'{low:g} to {high:g}':>20}" for low, high in row["intervals"].values()))
    print(f"\n{seconds:.0f} s")


def main() -> int:
    """Play every chooser on every space with every seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--spaces", type=Path, metavar="DIR", help="folder of fault spaces")
    source.add_argument("--generated", type=int, metavar="N", help="as many random applications instead")
    parser.add_argument("--seeds", type=int, default=20, metavar="N", help="seeds a chooser (20)")
    parser.add_argument("--choosers", default=",".join(CHOOSERS), metavar="NAMES", help="separated by commas")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, metavar="N")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    choosers = options.choosers.split(",")
    if unknown := [name for name in choosers if name not in CHOOSERS]:
        parser.error(f"unknown choosers: {', '.join(unknown)}; there are {', '.join(CHOOSERS)}")
    if options.seeds < 1 or options.processes < 1:
        parser.error("--seeds and --processes must be at least 1")
    start = time.perf_counter()
    try:
        found_spaces = read_spaces(options.spaces) if options.spaces else generated_spaces(options.generated, seed=1)
    except RefuteError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    spaces = [space for space in found_spaces if space.runs]
    for space in found_spaces:
        if not space.runs:
            print(f"{space.application} has no run with faults, and is left out", file=sys.stderr)
    if not spaces:
        return 2
    tasks = [(space, name, seed) for space in spaces for name in choosers for seed in range(options.seeds)]
    with ProcessPoolExecutor(options.processes) as pool:
        played = list(pool.map(play, tasks, chunksize=2))
    found = summary(played, choosers)
    if options.json:
        print(json.dumps(found))
    else:
        show(found, time.perf_counter() - start)
    return 0


if __name__ == "__main__":
    sys.exit(main())
