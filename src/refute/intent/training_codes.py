"""Codes with which an intent about training runs is answered; see `codes.py`."""

from __future__ import annotations

TRAINING_CODES: dict[str, tuple[str, str, str]] = {
    "PATTERN-SYNTAX": (
        "An expression that cannot be used",
        "Metrics, progress and alarms are found in a training's output by regular expressions, as Python's `re` reads them.",
        "Correct it. A metric's has one group, for its value; `progress` has a group `(?P<step>…)` and may have `(?P<loss>…)`.",
    ),
    "TRAINING-FAULT": (
        "A fault and a workload that do not go together",
        (
            "Some faults strike only inside a training run (a gradient, a checkpoint, a rank); others only what serves requests. "
            "A run takes one fault at a time."
        ),
        "See `refute faults`; `workload.training` says how training runs are started. Write one belief a fault.",
    ),
    "TRAINING-INDICATOR": (
        "An indicator that this workload does not have",
        "A training run has metrics that it reports, and indicators of how it went; requests have answers that functions judge.",
        "Use `metric:` or `training:` in a training, and `ratio:`, `score:`, `cost:` or `latency:` elsewhere.",
    ),
    "TRAINING-LOAD": (
        "A training has no load",
        "The units of a training are its seeds: it has neither cases nor a rate nor a setup, and nobody to choose among.",
        (
            "Leave out `cases`, `rate` and `setup`, and of `blast_radius` `ramp`, `cohort_by`, `only` and `except`; `seeds` under "
            "`training` says how many pairs there are at most."
        ),
    ),
    "TRAINING-METRIC": (
        "A metric that nothing says how to read",
        "The workload reads its metrics from the output, and none of its expressions has this name.",
        "Add it under `workload.training.metrics`, or correct the name.",
    ),
    "TRAINING-PAIRS": (
        "A training is compared in pairs",
        "Runs with and without the fault share their seed. Numbers are compared pair by pair; what is yes or no is held against a bound.",
        "Leave out `cohort`; write `worse by <=` for metrics, and `>=` for what is yes or no.",
    ),
    "TRAINING-SHARE": (
        "A fault that strikes once in a run",
        "Faults inside a training strike at one step, save or rank; how much they strike is their magnitude.",
        "Leave out `share`; `turn` says at which step, save or batch.",
    ),
    "TRAINING-STOP": (
        "What training runs do not have",
        "A training experiment is bounded by the number of pairs, by the time of each run and by `blast_radius.duration`.",
        "Leave out `stop_when` and `steady_state.holds`.",
    ),
}
