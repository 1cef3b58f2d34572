"""Series and intervals for plots, computed from outcome records: pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import NormalDist, fmean, median, stdev
from typing import Any

Record = dict[str, Any]

ARMS = ("treatment", "control")
_Z = NormalDist().inv_cdf(0.975)
_GRID = 120
_ECDF_POINTS = 160


def wilson(good: float, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson, JASA 22:209, 1927).

    Args:
        good: units that count.
        n: units in all, at least 1.
    """
    p, z2 = good / n, _Z * _Z
    centre = p + z2 / (2 * n)
    half = _Z * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return max(0.0, (centre - half) / (1 + z2 / n)), min(1.0, (centre + half) / (1 + z2 / n))


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of a mean: Wilson's where all values are 0 or 1, else the normal approximation."""
    if set(values) <= {0.0, 1.0}:
        return wilson(sum(values), len(values))
    half = _Z * stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.inf
    return fmean(values) - half, fmean(values) + half


def quantile(values: Sequence[float], q: float) -> float:
    """Return the smallest value that a share q does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, math.ceil(q * len(ordered)) - 1))]


def quantile_interval(values: Sequence[float], q: float) -> tuple[float, float]:
    """Return the 95 % interval of a quantile from order statistics: ranks nq ± 1.96 √(nq(1 - q))."""
    ordered, n = sorted(values), len(values)
    half = _Z * math.sqrt(n * q * (1 - q))
    low, high = math.floor(n * q - half), math.ceil(n * q + half)
    return ordered[min(n - 1, max(0, low - 1))], ordered[min(n - 1, max(0, high))]


def value_of(outcome: Record, indicator: str) -> float | None:
    """Return one unit's number: its latency, or an indicator's; a unit that raised without a number counts as 0."""
    if indicator == "latency":
        return float(outcome["latency_s"])
    value = outcome["values"].get(indicator)
    if value is None:
        return 0.0 if outcome["error"] else None
    return float(value)


def values_of(outcomes: Iterable[Record], indicator: str, arm: str) -> list[float]:
    """Return the numbers of one arm, without units that have none."""
    found = (value_of(outcome, indicator) for outcome in outcomes if outcome["arm"] == arm)
    return [value for value in found if value is not None]


def comparable(outcomes: Sequence[Record], targets: Sequence[str]) -> list[Record]:
    """Return the units that called a target, where both arms have such; else all of them."""
    eligible = [outcome for outcome in outcomes if any(outcome["eligible"].get(target, 0) > 0 for target in targets)]
    return eligible if {outcome["arm"] for outcome in eligible} >= set(ARMS) else list(outcomes)


def indicators(outcomes: Iterable[Record]) -> list[str]:
    """Return the names of all indicators, latency last."""
    names = dict.fromkeys(name for outcome in outcomes for name in outcome["values"] if name != "latency")
    return [*names, "latency"]


def ecdf(latencies: Sequence[float]) -> dict[str, list[float]]:
    """Return the share of units that were done within each latency, on at most some hundred points."""
    ordered, n = sorted(latencies), len(latencies)
    picked = range(n) if n <= _ECDF_POINTS else sorted({round(i * (n - 1) / (_ECDF_POINTS - 1)) for i in range(_ECDF_POINTS)})
    return {"x": [round(ordered[i], 4) for i in picked], "y": [(i + 1) / n for i in picked]}


def summary(values: Sequence[float], statistic: str) -> dict[str, Any] | None:
    """Return n, value and interval of a mean or a quantile such as `p95`; None where there is no value."""
    if not values:
        return None
    if statistic == "mean":
        return {"n": len(values), "value": fmean(values), "interval": list(mean_interval(values))}
    q = float(statistic[1:]) / 100
    return {"n": len(values), "value": quantile(values, q), "interval": list(quantile_interval(values, q))}


def timeline(phases: Sequence[Record], indicator: str) -> dict[str, list[float | None]]:
    """Return both arms over time: a moving mean, or median of a latency, that never mixes two phases.

    Args:
        phases: each with `from` and `to` in seconds and its `outcomes`.
        indicator: which number.
    """
    total = max((phase["to"] for phase in phases), default=0.0)
    half = max(total / 30, 1e-9)
    series: dict[str, list[float | None]] = {"t": [], "treatment": [], "control": []}
    for phase in phases:
        points = max(2, round(_GRID * (phase["to"] - phase["from"]) / total)) if total else 0
        timed = {arm: _timed(phase, indicator, arm) for arm in ARMS}
        if series["t"]:  # lines break between phases
            for name, value in (("t", round(phase["from"], 3)), ("treatment", None), ("control", None)):
                series[name].append(value)
        for i in range(points):
            at = phase["from"] + (phase["to"] - phase["from"]) * i / (points - 1)
            series["t"].append(round(at, 3))
            for arm in ARMS:
                near = [value for time, value in timed[arm] if abs(time - at) <= half]
                series[arm].append((median if indicator == "latency" else fmean)(near) if near else None)
    return series


def _timed(phase: Record, indicator: str, arm: str) -> list[tuple[float, float]]:
    found = ((phase["from"] + outcome["start_s"], value_of(outcome, indicator)) for outcome in phase["outcomes"] if outcome["arm"] == arm)
    return [(time, value) for time, value in found if value is not None]
