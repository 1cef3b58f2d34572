"""Numbered migrations of the ledger's tables."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from refute.core.errors import refuse
from refute.ledger._failures import not_a_ledger

APPLICATION_ID = 0x52465554
"""Written into the file's header, so that another program's database is never taken for a ledger."""

_EVENTS = """
CREATE TABLE events (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  at REAL NOT NULL,
  kind TEXT NOT NULL,
  experiment TEXT NOT NULL,
  json TEXT NOT NULL,
  digest TEXT NOT NULL UNIQUE,
  previous TEXT NOT NULL UNIQUE
) STRICT;
CREATE INDEX events_by_kind ON events (kind, seq);
CREATE TRIGGER events_no_update BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER events_no_delete BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
"""

_DERIVED = """
CREATE TABLE runs (
  experiment TEXT PRIMARY KEY,
  at REAL NOT NULL,
  ended_at REAL,
  fault TEXT,
  target TEXT,
  magnitude TEXT,
  share REAL,
  environment TEXT,
  stopped_by TEXT,
  landed INTEGER,
  rolled_back INTEGER
) STRICT;
CREATE TABLE evidence (
  belief TEXT NOT NULL,
  experiment TEXT NOT NULL,
  at REAL NOT NULL,
  n INTEGER,
  breaches INTEGER,
  verdict TEXT,
  confidence_before REAL,
  confidence_after REAL,
  counted INTEGER,
  environment TEXT,
  fingerprint TEXT,
  PRIMARY KEY (belief, experiment)
) STRICT;
CREATE INDEX evidence_by_time ON evidence (belief, at);
"""

MIGRATIONS: tuple[str, ...] = (_EVENTS, _DERIVED)
"""Migration k takes a file from version k to k + 1."""

VERSION = len(MIGRATIONS)


def version_of(connection: sqlite3.Connection, path: Path) -> int:
    """Return a file's schema version, 0 for an empty one.

    Raises:
        RefuteError: it is another program's database (`LEDGER-NOT-A-DATABASE`).
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID and (tables or version):
        raise not_a_ledger(path, "a database of another program")
    return int(version)


def migrate(connection: sqlite3.Connection, path: Path, *, upgrade: bool) -> bool:
    """Bring a file to this version, in one transaction.

    Args:
        connection: in autocommit mode.
        path: the file, for messages.
        upgrade: whether to change an existing, older ledger; an empty file is always filled.

    Returns:
        Whether anything was changed.

    Raises:
        RefuteError: the file is newer (`LEDGER-NEWER`), or older and may not be changed (`LEDGER-OLDER`).
    """
    if version_of(connection, path) == VERSION:
        return False
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = version_of(connection, path)
        _check(version, path, upgrade=upgrade)
        for statements in MIGRATIONS[version:]:
            _run(connection, statements)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    return version < VERSION


def _check(version: int, path: Path, *, upgrade: bool) -> None:
    if version > VERSION:
        raise refuse(
            "LEDGER-NEWER",
            "this ledger was written by a newer Refute",
            where=str(path),
            seen=f"schema {version}",
            allowed=f"up to schema {VERSION}",
            next="pip install --upgrade refute",
        )
    if 0 < version < VERSION and not upgrade:
        raise refuse(
            "LEDGER-OLDER",
            "this ledger was written by an older Refute",
            where=str(path),
            seen=f"schema {version}",
            allowed=f"schema {VERSION}",
            next="refute ledger upgrade",
        )


def _run(connection: sqlite3.Connection, statements: str) -> None:
    """Run several statements inside the open transaction (`executescript` would end it)."""
    pending = ""
    for line in statements.splitlines():
        pending += line + "\n"
        if sqlite3.complete_statement(pending):
            connection.execute(pending)
            pending = ""
