"""Writes what a training tells of itself into the folder of its run."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from typing import Any

from refute.core.training import REPORT_FILE, RUN_VARIABLE


def report(step: int | None = None, loss: float | None = None, **metrics: float) -> None:
    """Tell of a step, and of metrics; does nothing where the training was not started by `refute run`.

    Args:
        step: its number, from 1.
        loss: at this step.
        **metrics: values by name; the last one told of each is final.
    """
    tell(step, loss, metrics)


def tell_of(step: int | None, logged: Mapping[str, Any]) -> None:
    """Tell of a step and of whatever a framework has logged with it: the loss where there is one, and every other number as a metric.

    Args:
        step: its number, from 1.
        logged: by name; what stands in names beside letters, digits and underscores becomes an underscore, as intent files name metrics.
    """
    numbers = {name: number for name, value in logged.items() if (number := _number(value)) is not None}
    tell(step, numbers.pop("loss", None), {re.sub(r"\W", "_", name): number for name, number in numbers.items()})


def _number(value: Any) -> float | None:
    """Return a number, or what a tensor of one entry holds; None of anything else."""
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        return None


def tell(step: int | None, loss: float | None, metrics: Mapping[str, float]) -> None:
    """Do what `report` does, with metrics of any name."""
    folder = os.environ.get(RUN_VARIABLE)
    if not folder:
        return
    told = {"at": time.time(), "step": step, "loss": None if loss is None else float(loss)}
    line = json.dumps({**told, "metrics": {name: float(value) for name, value in metrics.items()}}) + "\n"
    with open(os.path.join(folder, REPORT_FILE), "ab", buffering=0) as file:  # noqa: PTH118, PTH123 - one append a line: ranks share it
        file.write(line.encode())
