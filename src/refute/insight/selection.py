"""Which events a report is about: the last run, one experiment, or everything that was kept."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from refute.core.errors import refuse
from refute.core.events import Event, Recorded
from refute.insight.model import as_record

Record = dict[str, Any]


def select(events: Iterable[Event | Recorded | Record], which: str = "last") -> list[Record]:
    """Return the events that a report is about, oldest first.

    Args:
        events: everything that was kept, oldest first.
        which: `last` for the last run, `all`, or the id of an experiment or its start.

    Raises:
        RefuteError: nothing was kept (`REPORT-EMPTY`), or no single experiment has that id (`REPORT-UNKNOWN`).
    """
    records = [as_record(event) for event in events]
    runs = [run for run in _runs(records) if any(record["event"] == "experiment" for record in run)]
    if not runs:
        raise refuse("REPORT-EMPTY", "nothing was run yet", seen="no experiment in the ledger", next="refute run")
    if which == "all":
        return records
    return runs[-1] if which == "last" else _one(runs, which)


def _runs(records: list[Record]) -> list[list[Record]]:
    """Return runs, each from its `intent` event to the next run's: a run that was killed has no summary."""
    runs: list[list[Record]] = []
    for record in records:
        if record["event"] == "intent" or not runs:
            runs.append([])
        runs[-1].append(record)
    return runs


def _one(runs: list[list[Record]], which: str) -> list[Record]:
    known = [record["experiment"] for run in runs for record in run if record["event"] == "experiment"]
    found = [name for name in known if name == which] or [name for name in known if name.startswith(which)]
    if len(found) != 1:
        what = "several experiments start so" if found else "no experiment has that id"
        close = ", ".join(found or difflib.get_close_matches(which, known))
        raise refuse(
            "REPORT-UNKNOWN", what, seen=which, allowed="an experiment's id, last or all", suggestion=close, next="refute report last"
        )
    run = next(run for run in runs if any(record.get("experiment") == found[0] for record in run))
    return [record for record in run if record.get("experiment", found[0]) == found[0] and record["event"] != "summary"]
