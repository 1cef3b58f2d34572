"""Faults of one process of a training run, the last rank or the only one, and of its coming back."""

from __future__ import annotations

from functools import partial

from refute.faults.numerics import BIT, TRAINERS
from refute.faults.spec import Fault, Magnitude

_fault = partial(
    Fault, kinds=TRAINERS, trains="rank", landing="the process wrote down that it is about to be struck, before it was",
    undone_by="the guard: all processes of the run are ended, and the run is thrown away",
)  # fmt: skip

FAULTS = (
    _fault(
        name="rank.killed",
        summary="A rank is killed.",
        hazard="availability",
        effect="Before one step, the last rank (or the only one) is ended by SIGKILL, once in a run: a rank that is started again lives.",
        belief="A lost rank costs the steps since the last checkpoint, and not the run.",
        source="466 interruptions in 54 days at 1,024 accelerators; restarts of elastic launchers that work by luck",
    ),
    _fault(
        name="rank.frozen",
        summary="A rank stops for a while.",
        hazard="availability",
        effect="Before one step, the last rank is stopped by SIGSTOP, and goes on after the magnitude; the others wait for it.",
        belief="A rank that hangs is noticed within the time-out.",
        source="hung accelerators, stuck file systems",
        magnitude=Magnitude(unit="s", low=0.1, high=3600.0, typical=30.0, meaning="for how long", log=True),
    ),
    _fault(
        name="rank.slow",
        summary="A rank is slow.",
        hazard="availability",
        effect="From one step on, the last rank waits before each step; with all ranks in step, everybody does.",
        belief="A slow rank is noticed, or does not matter.",
        source="fail-slow hardware: from seconds to ten hours",
        magnitude=Magnitude(unit="s", low=0.001, high=60.0, typical=0.1, meaning="before each step", log=True),
    ),
    Fault(
        name="rank.desync",
        summary="The weights of one rank are no longer those of the others.",
        kinds=TRAINERS,
        hazard="wrong_answer",
        trains="rank",
        effect="Before one step, noise is added to all weights of the last rank, in proportion to how each tensor is spread.",
        landing="the hook before the step has changed the weights, and written it down",
        undone_by="the guard: all processes of the run are ended, and the run is thrown away",
        belief="Ranks that have diverged are noticed.",
        source="silent data corruption on one rank; buffers that are not synchronised",
        magnitude=Magnitude(unit="1", low=0.001, high=100.0, typical=1.0, meaning="noise, in standard deviations of each tensor", log=True),
    ),
    _fault(
        name="rank.corrupts",
        summary="A rank computes something wrong at every step.",
        hazard="wrong_answer",
        effect="From one step on, before each step, one bit of one gradient entry of the last rank is inverted, after all have agreed.",
        landing="the hook before the step has changed the number, and written it down",
        belief="A rank that computes something else than the others is noticed.",
        source="silent data corruption by one defective accelerator, which lasts until it is taken out",
        magnitude=BIT,
    ),
    Fault(
        name="resume.skew",
        summary="A run resumes, and draws other random numbers than before.",
        kinds=TRAINERS,
        hazard="wrong_answer",
        trains="resume",
        effect="Before one step, the last rank is ended by SIGKILL; before the first step after that, the global generators of Python, "
        "numpy and torch are seeded otherwise, so that order, dropout and augmentation are not what they would have been.",
        landing="the process wrote down that it is about to be killed, and the one after it what it did",
        undone_by="the guard: all processes of the run are ended, and the run is thrown away",
        belief="A run that was interrupted ends as well as one that was not.",
        source="random state and data order that checkpoints leave out: recurrent in issue trackers",
    ),
)
