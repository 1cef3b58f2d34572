"""What is kept of a training run for plots: its loss by step, what struck it, and how it came back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from refute.core.context import Arm
from refute.experiment.training.reading import setbacks, told
from refute.experiment.training.record import Record, Step

POINTS = 160
"""Steps of a run that are kept at most, but for those at which it went back."""


def told_of(record: Record, arm: Arm) -> dict[str, Any]:
    """Return the data of a `training` event; docs/reference/events.md says what is in it.

    Args:
        record: of the run.
        arm: `treatment` or `control`.
    """
    return {
        "seed": record.seed,
        "arm": arm,
        "seconds": round(record.seconds, 3),
        "error": record.error,
        "metrics": {name: _number(value) for name, value in record.metrics.items()},
        "steps": [_told(step) for step in thinned(record.steps)],
        "hits": [{"at_s": round(hit.at_s, 3), "step": hit.step, "effect": hit.effect} for hit in record.hits],
        "failures": [round(at_s, 3) for at_s in record.failures],
        "told_s": [round(at_s, 3) for at_s in sorted(told(record))],
        "setbacks": [
            {"lost": one.lost, "from_s": round(one.from_s, 3), "to_s": _number(round(one.to_s, 3) if math.isfinite(one.to_s) else math.inf)}
            for one in setbacks(record)
        ],
    }  # fmt: skip


def thinned(steps: Sequence[Step], points: int = POINTS) -> list[Step]:
    """Return some of a run's steps, evenly spread; where it went back or its loss ceased to be a number, both sides are kept.

    Args:
        steps: in the order told.
        points: that are kept beside those.
    """
    last = len(steps) - 1
    kept = {round(place * last / (points - 1)) for place in range(points)} if last >= points else set(range(last + 1))
    for place in range(1, last + 1):
        before, now = steps[place - 1], steps[place]
        if now.step < before.step or _sick(now) != _sick(before):
            kept |= {place - 1, place}
    return [steps[place] for place in sorted(kept)][: 4 * points]


def _told(step: Step) -> list[Any]:
    """Return when, which step, and its loss where it was told: null where that is no number."""
    return [round(step.at_s, 3), step.step, *([] if step.loss is None else [_number(step.loss)])]


def _sick(step: Step) -> bool:
    return step.loss is not None and not math.isfinite(step.loss)


def _number(value: float) -> float | None:
    """Return what JSON can carry."""
    return float(f"{value:.6g}") if math.isfinite(value) else None
