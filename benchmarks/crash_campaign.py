"""Kills runs, guardians and targets with kill -9, at every step of the journal and at random instants, and says what was left broken.

    python benchmarks/crash_campaign.py --kills 2500

Most trials drive the guardian as a run does; some are whole runs of the command line, whose ledger must verify afterwards.
Prints a table by fault, and exits 1 where anything was left broken for longer than five seconds after its lease.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import chain, cycle
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from crashes import ALLOWED_S, FAULTS, TTL_S, Kill, Trial, instants, steps, trial
from whole_runs import whole_run

WHOLE = ("process.pause", "network.partition")
KINDS = {
    "left broken": ("the fault is", "the fault has", "left at the end"),
    "journal inconsistent": ("still live in the journal", "the journal is damaged", "recover", "live:"),
    "ledger not verifying": ("the ledger",),
    "trial failed": ("",),
}
"""What may be wrong, by how its words begin; the last takes everything else."""


def planned(kills: int, seed: int, *, stepwise: bool) -> Iterator[tuple[str, Kill]]:
    """Yield every step of every fault once, where wanted, then random instants, the faults in turn, until enough are to be killed."""
    every = ((fault, kill) for kill in steps() for fault in FAULTS if stepwise)
    count = 0
    for fault, kill in chain(every, zip(cycle(FAULTS), instants(seed), strict=False)):
        if count >= kills:
            return
        count += len(kill.who)
        yield fault, kill


def work(job: tuple[str, Kill | int]) -> Trial:
    """Do one trial: with a kill that is planned, or a whole run of that seed."""
    fault, how = job
    try:
        return trial(fault, how) if isinstance(how, Kill) else whole_run(fault, how)
    except Exception as error:  # noqa: BLE001 - one trial that cannot be done must not cost the others' figures
        kill = how if isinstance(how, Kill) else Kill((), f"of whole run {how}")
        return Trial(kill, fault, wrong=[f"{type(error).__name__}: {error}"])


def main() -> int:
    """Run the campaign and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=2500)
    parser.add_argument("--runs", type=int, default=20, help="whole runs among the trials")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", action=argparse.BooleanOptionalAction, default=True, help="first every step of the journal")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    jobs = chain(
        planned(options.kills, options.seed, stepwise=options.steps),
        zip(cycle(WHOLE), range(options.seed, options.seed + options.runs), strict=False),
    )
    start, done = time.monotonic(), []
    with contextlib.suppress(KeyboardInterrupt), multiprocessing.get_context("forkserver").Pool(options.jobs) as pool:
        for one in pool.imap_unordered(work, jobs):
            done.append(one)
            if one.wrong:
                print(f"WRONG {one.fault}, {one.kill}: {'; '.join(one.wrong)}", flush=True)
    report(done, time.monotonic() - start)
    return 1 if any(one.wrong for one in done) else 0


def report(done: list[Trial], seconds: float) -> None:
    """Print what came of it."""
    who = Counter(name for one in done for name in one.kill.who)
    print(f"{sum(one.kills for one in done)} processes killed in {len(done)} trials ({seconds:.0f} s): {dict(who)}")
    kinds = Counter(kind_of(one) for one in done if one.wrong)
    print(", ".join(f"{kind} {kinds[kind]}" for kind in KINDS) + f"; mended by recover {sum(one.by_recover for one in done)}")
    waits = sorted(one.seconds for one in done if one.seconds)
    late = sorted(max(0.0, one.seconds - one.lease_s) for one in done if one.seconds)
    print(f"until all was well, from the kill on, with leases of {TTL_S} s and more: {spread(waits)}")
    print(f"after the last lease could have ended (allowed: {ALLOWED_S} s): {spread(late)}")
    for fault in sorted({one.fault for one in done}):
        mine = [one for one in done if one.fault == fault]
        waits = sorted(one.seconds for one in mine if one.seconds)
        print(
            f"{fault}: {len(mine)} trials, wrong {sum(1 for one in mine if one.wrong)}, "
            f"mended by recover {sum(one.by_recover for one in mine)}, until all was well: {spread(waits)}"
        )


def kind_of(trial: Trial) -> str:
    """Return the gravest of what went wrong in a trial."""
    return next(kind for kind, begins in KINDS.items() if any(why.startswith(begins) for why in trial.wrong))


def spread(waits: list[float]) -> str:
    """Return median, 99th percentile and the longest of sorted seconds."""
    if not waits:
        return "never"
    return f"median {waits[len(waits) // 2]:.2f} s, p99 {waits[int(len(waits) * 0.99)]:.2f} s, longest {waits[-1]:.2f} s"


if __name__ == "__main__":
    sys.exit(main())
