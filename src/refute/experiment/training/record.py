"""What one training run told of itself."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from refute.core.training import LANDED_FILE, REPORT_FILE


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a training, as reported.

    Attributes:
        at_s: seconds from the run's start.
        step: its number.
        loss: None where it is not told.
    """

    at_s: float
    step: int
    loss: float | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A fault's strike inside a run.

    Attributes:
        at_s: seconds from the run's start.
        step: at which step, 0 where it is not known.
        effect: what was done.
    """

    at_s: float
    step: int
    effect: str


@dataclass(frozen=True, slots=True)
class Record:
    """One training run, with all its restarts.

    Attributes:
        seed: of the run.
        exit_code: of the last attempt; None where the time was up.
        seconds: that it took.
        metrics: last value by name.
        steps: in the order told.
        failures: seconds from the start at which an attempt ended with another exit code than 0.
        alarm_s: seconds from the start at which the output first told of trouble, None where it did not.
        hits: strikes of the fault that was armed.
    """

    seed: int
    exit_code: int | None
    seconds: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    failures: tuple[float, ...] = ()
    alarm_s: float | None = None
    hits: tuple[Hit, ...] = ()

    @property
    def finished(self) -> bool:
        """Whether it ended well in time."""
        return self.exit_code == 0

    @property
    def error(self) -> str:
        """Why it did not end well, "" where it did."""
        if self.exit_code is None:
            return "timeout"
        return "" if self.finished else f"exit code {self.exit_code}"

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Record:
        """Return the record that `to_json` wrote."""
        steps, hits = tuple(Step(**step) for step in data["steps"]), tuple(Hit(**hit) for hit in data["hits"])
        return cls(**(data | {"steps": steps, "hits": hits, "failures": tuple(data["failures"])}))


def reported(folder: Path, began: float) -> tuple[dict[str, float], list[Step], list[Hit]]:
    """Return the metrics, steps and strikes that a run's processes have written down.

    Args:
        folder: of the run.
        began: when it did, seconds since the epoch.
    """
    metrics: dict[str, float] = {}
    steps: list[Step] = []
    for line in _lines(folder / REPORT_FILE):
        if line.get("step") is not None:
            steps.append(Step(line["at"] - began, int(line["step"]), None if line.get("loss") is None else _number(line["loss"])))
        metrics |= {name: _number(value) for name, value in line.get("metrics", {}).items()}
    hits = [Hit(line["at"] - began, int(line["step"]), str(line["effect"])) for line in _lines(folder / LANDED_FILE)]
    return metrics, steps, hits


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSON Lines file; a line that was torn by a killed process is no line."""
    with contextlib.suppress(FileNotFoundError):
        for line in path.read_bytes().splitlines():
            with contextlib.suppress(ValueError):
                found = json.loads(line)
                if isinstance(found, dict):
                    yield found


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
