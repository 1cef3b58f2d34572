"""Whether the ledger is what was written: chain, gaps, columns, triggers, file."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict, dataclass
from typing import Any

from refute.ledger.chain import GENESIS, canonical, digest_of

_MOST = 20
_TRIGGERS = frozenset({"events_no_update", "events_no_delete"})


@dataclass(frozen=True, slots=True)
class Report:
    """What a check of the ledger found.

    Attributes:
        events: number of records.
        head: digest of the last one; note it elsewhere, and a later check can tell whether the end was cut off.
        problems: (row, what is wrong), 20 at most; row 0 for the file as a whole.
    """

    events: int
    head: str
    problems: tuple[tuple[int, str], ...] = ()

    @property
    def ok(self) -> bool:
        """Say whether nothing is wrong."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        problems = [{"row": row, "what": what} for row, what in self.problems]
        return asdict(self) | {"ok": self.ok, "problems": problems}


def check(connection: sqlite3.Connection, head: str = "") -> Report:
    """Check every record, in one snapshot.

    Args:
        connection: in autocommit mode.
        head: a digest noted earlier, which must still be in the chain; "" for none.
    """
    problems: list[tuple[int, str]] = []
    connection.execute("BEGIN")
    try:
        problems += [(0, what) for what in _file_problems(connection)]
        last, previous, known = 0, GENESIS, head in {"", GENESIS}
        for row in connection.execute("SELECT seq, at, kind, experiment, json, digest, previous FROM events ORDER BY seq"):
            if len(problems) < _MOST:
                problems += [(row[0], what) for what in _row_problems(row, last, previous)]
            last, previous = row[0], row[5]
            known = known or previous == head
        if not known:
            problems.append((0, f"no record has the digest {head}: the end was cut off, or this is another ledger"))
        (ever,) = connection.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'events'").fetchone()
        if ever > last:
            problems.append((last, f"the end was cut off: record {ever} was written once, {last} is the last one left"))
        (count,) = connection.execute("SELECT count(*) FROM events").fetchone()
        return Report(count, previous, tuple(problems))
    finally:
        connection.execute("ROLLBACK")


def _file_problems(connection: sqlite3.Connection) -> list[str]:
    found = [str(text) for (text,) in connection.execute("PRAGMA quick_check(5)") if text != "ok"]
    there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'events'")}
    return found + [f"the trigger {name} is gone: records could be changed" for name in sorted(_TRIGGERS - there)]


def _row_problems(row: tuple[Any, ...], last: int, previous: str) -> list[str]:
    seq, at, kind, experiment, text, digest, claimed = row
    problems = []
    if seq != last + 1:
        problems.append(f"records {last + 1} to {seq - 1} are missing")
    elif claimed != previous:
        problems.append("it does not follow the record before it")
    if digest != digest_of(claimed, text):
        problems.append("its content was changed after it was written")
    elif not _columns_agree(at, kind, experiment, text):
        problems.append("its columns disagree with its content")
    return problems


def _columns_agree(at: float, kind: str, experiment: str, text: str) -> bool:
    try:
        record = json.loads(text)
        return (record["at"], record["event"], experiment_of(record)) == (at, kind, experiment) and canonical(record) == text
    except (ValueError, TypeError, LookupError):
        return False


def experiment_of(record: dict[str, Any]) -> str:
    """Return the experiment that a record belongs to, or ""."""
    value = record.get("experiment", "")
    return value if isinstance(value, str) else ""
