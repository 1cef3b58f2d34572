"""Reads service-level objectives that a team has already written down, in OpenSLO's or Sloth's format."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from refute.core.errors import RefuteError, refuse
from refute.core.units import UnitError, seconds

_SLOTH_WINDOW = re.compile(r"\{\{\s*\.window\s*\}\}")
_RANGE = re.compile(r"\[(?:\d+(?:ms|s|m|h|d|w|y))+\]")
_SELECTOR = re.compile(r"^[A-Za-z_:][\w:]*(\{[^{}]*\})?$")
_FORMATS = "openslo/v1, prometheus/v1 (Sloth)"
_USUAL_WINDOW_S = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class Objective:
    """A service-level objective over events.

    Attributes:
        name: unique in its file.
        objective: share of good events, in (0, 1).
        window_s: over which it is counted.
        bad: PromQL of the rate of bad events, `$window` where its range goes.
        total: likewise of all events.
    """

    name: str
    objective: float
    window_s: float
    bad: str
    total: str


def read_objectives(path: Path) -> list[Objective]:
    """Return the objectives of a file.

    Args:
        path: YAML in OpenSLO (`openslo/v1`) or Sloth (`prometheus/v1`) format; several documents are fine.

    Raises:
        RefuteError: it cannot be read (`SLO-FILE`), or holds no objective over events (`SLO-NONE`).
    """
    try:
        documents = [one for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if isinstance(one, dict)]
        found = [objective for document in documents for objective in _objectives(document)]
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, UnitError) as error:
        raise _unreadable(path, error) from None
    if not found:
        raise refuse("SLO-NONE", "the file holds no objective over good and bad events", where=str(path), allowed=_FORMATS)
    return found


def objective_at(folder: Path, named: str) -> Objective:
    """Return the one objective that an intent names.

    Args:
        folder: what the path is relative to.
        named: `FILE`, or `FILE#NAME` where the file holds several.

    Raises:
        RefuteError: see `read_objectives`; none or several fit (`SLO-NAME`).
    """
    path, _, name = named.partition("#")
    found = read_objectives(folder / path)
    fitting = [one for one in found if not name or one.name == name]
    if len(fitting) != 1:
        known = ", ".join(f"{path}#{one.name}" for one in found)
        raise refuse("SLO-NAME", "this does not name one objective", where=path, seen=name or "no name", allowed=known)
    return fitting[0]


def _objectives(document: dict[str, Any]) -> Iterator[Objective]:
    if str(document.get("apiVersion", "")).startswith("openslo/") and document.get("kind") == "SLO":
        yield from _openslo(document)
    elif document.get("version") == "prometheus/v1" or document.get("kind") == "PrometheusServiceLevel":
        yield from _sloth(document.get("spec", document))


def _openslo(document: dict[str, Any]) -> Iterator[Objective]:
    spec = document["spec"]
    ratio = (spec.get("indicator") or {}).get("spec", {}).get("ratioMetric")
    if not ratio:
        return
    total, name = _query(ratio["total"]), document["metadata"]["name"]
    bad = _query(ratio["bad"]) if "bad" in ratio else f"({total}) - ({_query(ratio['good'])})"
    windows = spec.get("timeWindow") or [{}]
    window_s = seconds(_spaced(windows[0]["duration"])) if "duration" in windows[0] else _USUAL_WINDOW_S
    for number, one in enumerate(spec["objectives"]):
        target = one["target"] if "target" in one else one["targetPercent"] / 100
        yield Objective(name if not number else f"{name}-{number + 1}", _inside(target), window_s, bad, total)


def _sloth(spec: dict[str, Any]) -> Iterator[Objective]:
    for one in spec["slos"]:
        events = one.get("sli", {}).get("events")
        if events is None:
            continue
        bad, total = (_SLOTH_WINDOW.sub("$window", _either(events, kind)) for kind in ("error", "total"))
        yield Objective(one["name"], _inside(one["objective"] / 100), _USUAL_WINDOW_S, bad, total)


def _either(events: dict[str, Any], kind: str) -> str:
    """Return a query under its name in Sloth's own format, or in its Kubernetes one."""
    return str(events[f"{kind}_query"] if f"{kind}_query" in events else events[f"{kind}Query"])


def _query(source: dict[str, Any]) -> str:
    """Return the query of an OpenSLO metric source with its range left open; a bare counter is counted over it."""
    query = str(source["metricSource"]["spec"]["query"]).strip()
    if _SELECTOR.match(query):
        return f"sum(increase({query}[$window]))"
    if not _RANGE.search(query):
        raise ValueError(f"a query over a range, such as sum(increase(requests_total[5m])), not {query}")
    return _RANGE.sub("[$window]", query)


def _spaced(duration: str) -> str:
    """Return an OpenSLO duration (`30d`, `4w`, `5m`) as we write them."""
    number, unit = duration[:-1], duration[-1]
    days = {"w": 7, "M": 30, "Q": 91, "Y": 365}
    return f"{float(number) * days[unit]} d" if unit in days else f"{number} {'min' if unit == 'm' else unit}"


def _inside(objective: float) -> float:
    if not 0.0 < objective < 1.0:
        raise ValueError(f"an objective between 0 and 1, not {objective:g}")
    return float(objective)


def _unreadable(path: Path, error: Exception) -> RefuteError:
    seen = f"{type(error).__name__}: {error}".splitlines()[0]
    return refuse("SLO-FILE", "the file of objectives cannot be read", where=str(path), seen=seen, allowed=_FORMATS)
