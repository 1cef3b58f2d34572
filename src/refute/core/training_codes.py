"""Codes with which a training experiment is answered; see `codes.py`."""

from __future__ import annotations

TRAINING_CODES: dict[str, tuple[str, str, str]] = {
    "TRAINING-CONTROL": (
        "A training run without the fault failed",
        "The run of a pair that has no fault did not end well, or did not report a metric that a belief reads: nothing compares with it.",
        "Run the training by itself until it works; the message names the seed and the log.",
    ),
    "TRAINING-NOISE": (
        "Training is not deterministic",
        (
            "Two runs with the same seed and no fault ended further apart than the belief allows. The verdict stays valid, for it counts "
            "pairs; but it takes more of them, and says less of one run."
        ),
        "Fix the seeds of every source of chance, or state a wider difference.",
    ),
    "TRAINING-REFUSED": (
        "A fault that cannot be carried out in a training run",
        "The message says why.",
        "See `refute faults show NAME` for what it applies to.",
    ),
    "TRAINING-START": (
        "The training cannot be started",
        "The command is not there, or may not be executed.",
        "Run it by hand in the folder of the intent.",
    ),
}
