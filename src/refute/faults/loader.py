"""Faults of the workers that load data for a training."""

from __future__ import annotations

from functools import partial

from refute.faults.numerics import TRAINERS
from refute.faults.spec import Fault, Magnitude

_fault = partial(
    Fault, kinds=TRAINERS, hazard="availability", trains="worker", landing="a worker process was there, and got the signal",
    undone_by="the guard: all processes of the run are ended, and the run is thrown away",
)  # fmt: skip

FAULTS = (
    _fault(
        name="loader.worker_killed",
        summary="A loader's worker is killed.",
        effect="Before one step, one of the loader's worker processes, which is drawn, is ended by SIGKILL.",
        belief="A lost loader worker is noticed at once.",
        source="out-of-memory kills of workers that keep copies of the data",
    ),
    _fault(
        name="loader.worker_frozen",
        summary="A loader's worker stops for a while.",
        effect="Before one step, one of the loader's worker processes is stopped by SIGSTOP, and goes on after the magnitude.",
        belief="A loader that hangs is noticed within its time-out.",
        source="workers stuck on network storage; loaders wait for ever by default",
        magnitude=Magnitude(unit="s", low=0.1, high=3600.0, typical=60.0, meaning="for how long", log=True),
    ),
)
