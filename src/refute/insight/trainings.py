"""Loss curves and recovery of training runs, from their events: the part of a report that their plots are drawn from."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from statistics import median
from typing import Any

from refute.insight import words

Record = dict[str, Any]

_WIDE = 30.0  # between the largest and the smallest loss: beyond it the scale is logarithmic


def trainings(events: Sequence[Record]) -> Record | None:
    """Return what the plots of training runs show; None where no unit was one.

    Args:
        events: of one experiment, oldest first.
    """
    runs = [event for event in events if event["event"] == "training" and event["phase"] == "inject"]
    struck = [run for run in runs if run["arm"] == "treatment"]
    if not struck:
        return None
    usual = {run["seed"]: run for run in runs if run["arm"] == "control"}
    rows = [_row(run, usual.get(run["seed"])) for run in struck]
    return {"loss": _loss(runs), "rows": rows, "table": [row["cells"] for row in rows]}


def _loss(runs: Sequence[Record]) -> Record | None:
    curves = [curve for run in runs if (curve := _curve(run))["x"]]
    known = [loss for curve in curves for loss in curve["y"] if loss is not None]
    if not known:
        return None
    medians = {arm: _median([curve for curve in curves if curve["arm"] == arm]) for arm in ("treatment", "control")}
    strikes = sorted({hit["step"] for run in runs for hit in run["hits"] if hit["step"]})
    steps = [step for curve in curves for step in curve["x"]]
    return {
        "curves": curves, "medians": {arm: line for arm, line in medians.items() if line["x"]}, "strikes": strikes,
        "low": min(known), "high": max(known), "log": min(known) > 0 and max(known) > _WIDE * min(known),
        "first": min(steps), "last": max(steps), "lost": sum(curve["ends"] is not None for curve in curves if curve["arm"] == "treatment"),
    }  # fmt: skip


def _curve(run: Record) -> Record:
    """Return a run's loss by step, with a gap where it went back; a run that never tells a loss has none."""
    x: list[int] = []
    y: list[float | None] = []
    for _, step, *told in run["steps"]:
        if not told:
            continue
        if x and step < x[-1]:
            x.append(step)
            y.append(None)
        x.append(step)
        y.append(told[0])
    ends = next((step for step, loss in zip(x, y, strict=True) if loss is None and _lost_for_good(x, y, step)), None)
    return {"seed": run["seed"], "arm": run["arm"], "x": x, "y": y, "ends": ends}


def _lost_for_good(x: Sequence[int], y: Sequence[float | None], step: int) -> bool:
    """Say whether no loss from a step on is a number."""
    return all(loss is None for at, loss in zip(x, y, strict=True) if at >= step)


def _median(curves: Sequence[Record]) -> Record:
    """Return the median loss by step, over the runs of one arm that told one, where most of them did; of steps done twice the last."""
    by_step: defaultdict[int, dict[int, float]] = defaultdict(dict)
    for curve in curves:
        for step, loss in zip(curve["x"], curve["y"], strict=True):
            by_step[step][curve["seed"]] = math.inf if loss is None else loss
    found = {step: median(told.values()) for step, told in sorted(by_step.items()) if 2 * len(told) > len(curves)}
    return {"x": list(found), "y": [loss if math.isfinite(loss) else None for loss in found.values()]}


def _row(run: Record, usual: Record | None) -> Record:
    struck = min((hit["at_s"] for hit in run["hits"]), default=None)
    told = next((at_s for at_s in run["told_s"] if struck is None or at_s >= struck), None)
    return {
        "seed": run["seed"], "seconds": run["seconds"], "usual_s": usual["seconds"] if usual else None, "ok": not run["error"],
        "struck_s": struck, "told_s": told, "failures": run["failures"], "setbacks": run["setbacks"],
        "cells": _cells(run, None if told is None else told - (struck or 0.0)),
    }  # fmt: skip


def _cells(run: Record, noticed_s: float | None) -> list[str]:
    """Return a run in words: which, struck by what, told after, steps done again, as far again after, how it ended."""
    hits = sorted({f"{hit['effect']} at step {hit['step']}" if hit["step"] else hit["effect"] for hit in run["hits"]})
    again = [math.inf if one["to_s"] is None else one["to_s"] - one["from_s"] for one in run["setbacks"]]
    back = "–" if not again else words.duration(sum(again)) if math.isfinite(sum(again)) else "never"
    return [
        f"seed {run['seed']}",
        "; ".join(map(words.clean, hits)) or "as it loads",
        "nobody was" if noticed_s is None else words.duration(noticed_s),
        str(sum(one["lost"] for one in run["setbacks"])) if again else "–",
        back,
        f"{'ended in ' + words.clean(run['error']) if run['error'] else 'ended well'} after {words.duration(run['seconds'])}",
    ]
