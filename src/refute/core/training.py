"""A training run as a unit: how it is started, what it tells of itself, and what is read from that."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

RUN_VARIABLE = "REFUTE_TRAINING_RUN"
"""Names the folder of one training run: what the run and its faults tell goes there, and every process of the run carries the name."""
SEED_VARIABLE = "REFUTE_SEED"
REPORT_FILE = "report.jsonl"
LANDED_FILE = "landed.jsonl"

BuiltIn = Literal[
    "finished", "noticed", "resumed_equal", "steps_lost", "spike_size", "spike_steps", "recovery_time", "detection_time", "wasted_compute"
]

RATIOS: frozenset[str] = frozenset({"finished", "noticed", "resumed_equal"})
"""Built-in indicators that are yes or no for each run; all others are numbers, the lower the better."""


ABOUT_TROUBLE: frozenset[str] = frozenset({"noticed", "detection_time"})
"""Built-in indicators that a failed run may be good in."""


@dataclass(frozen=True, slots=True)
class Training:
    """How a training run is started and read.

    Attributes:
        command: program and arguments, with `{seed}` and `{run}` (a fresh folder) filled in for each run; empty where it is a function.
        seeds: pairs of runs at most; the seeds are 1, 2, ….
        restarts: how often a run that failed is started again in the same folder.
        metrics: regular expressions by metric, whose last match in the output is the metric's value.
        progress: regular expression with the groups `step` and, where there is one, `loss`, or "".
        alarm: regular expression of what would tell the team that something is wrong, or "".
        files: what a run depends on beside the Python files of the intent's folder, relative to it.
    """

    command: tuple[str, ...] = ()
    seeds: int = 20
    restarts: int = 0
    metrics: dict[str, str] = field(default_factory=dict)
    progress: str = ""
    alarm: str = ""
    files: tuple[str, ...] = ()
