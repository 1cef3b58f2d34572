"""Tables that follow from the events: runs and evidence. They can be dropped and built again at any time."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

TABLES = ("runs", "evidence")


def project(connection: sqlite3.Connection, record: dict[str, Any]) -> None:
    """Carry one record over into the derived tables; records without an experiment change nothing.

    Args:
        connection: inside the transaction that appends the record.
        record: as kept.
    """
    step = _STEPS.get(record["event"])
    if step is not None and _text(record.get("experiment")):
        step(connection, record)


def _started(connection: sqlite3.Connection, record: dict[str, Any]) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO runs (experiment, at, fault, target, magnitude, share, environment) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            _text(record["experiment"]),
            record["at"],
            *(_joined(record, name) for name in ("fault", "target", "magnitude")),
            _number(record.get("share")),
            _text(record.get("environment")),
        ),
    )


def _joined(record: dict[str, Any], name: str) -> str | None:
    """Return what a run's faults say under a name, joined where there are several."""
    also = record.get("also")
    further = [_text(one.get(name)) for one in also if isinstance(one, dict)] if isinstance(also, list) else []
    told = [text for text in (_text(record.get(name)), *further) if text]
    return " + ".join(told) if further else _text(record.get(name))


def _set(column: str, value: str | float | None, connection: sqlite3.Connection, record: dict[str, Any]) -> None:
    connection.execute(f"UPDATE runs SET {column} = ? WHERE experiment = ?", (value, record["experiment"]))  # noqa: S608  # our own names


def _stopped(connection: sqlite3.Connection, record: dict[str, Any]) -> None:
    _set("stopped_by", _text(record.get("condition")), connection, record)


def _landed(connection: sqlite3.Connection, record: dict[str, Any]) -> None:
    _set("landed", _number(record.get("ok")), connection, record)


def _rolled_back(connection: sqlite3.Connection, record: dict[str, Any]) -> None:
    _set("rolled_back", _number(record.get("ok")), connection, record)


def _judged(connection: sqlite3.Connection, record: dict[str, Any]) -> None:
    _set("ended_at", record["at"], connection, record)
    if (belief := _text(record.get("belief"))) is None:
        return
    fingerprint = record.get("fingerprint") or record.get("versions") or {}
    connection.execute(
        "INSERT OR REPLACE INTO evidence (belief, experiment, at, n, breaches, verdict, environment, fingerprint) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            belief,
            _text(record["experiment"]),
            record["at"],
            *(_whole(record.get(name)) for name in ("n", "breaches")),
            *(_text(record.get(name)) for name in ("verdict", "environment")),
            json.dumps(fingerprint, sort_keys=True),
        ),
    )


def _learned(connection: sqlite3.Connection, record: dict[str, Any]) -> None:
    before, after, counted = (_number(record.get(name)) for name in ("confidence_before", "confidence_after", "counted"))
    connection.execute(
        "UPDATE evidence SET confidence_before = ?, confidence_after = ?, counted = ? WHERE belief = ? AND experiment = ?",
        (before, after, None if counted is None else int(counted), _text(record.get("belief")), _text(record["experiment"])),
    )


_STEPS = {
    "experiment": _started,
    "stop": _stopped,
    "landing": _landed,
    "rollback": _rolled_back,
    "verdict": _judged,
    "learned": _learned,
}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) else None


def _whole(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) else None
