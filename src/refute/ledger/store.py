"""The ledger in one SQLite file: several processes append, readers never wait."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Self

from refute.core.errors import refuse
from refute.core.events import Event, Recorded
from refute.ledger import _derived, _schema
from refute.ledger._failures import explained
from refute.ledger.chain import GENESIS, canonical, digest_of, record_of
from refute.ledger.verify import Report, check, experiment_of

DEFAULT_PATH = Path(".refute/ledger.db")
_PAGE = 500


class Ledger:
    """An append-only record of events. Open it with `Ledger.open`; it may be shared by threads.

    Args:
        path: the file.
        connection: in autocommit mode, with the current schema.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        """Keep the connection."""
        self.path = path
        self._connection = connection
        self._lock = threading.RLock()
        self._full_sync: bool | None = None

    @classmethod
    def open(cls, path: str | Path = DEFAULT_PATH, *, create: bool = True, wait_s: float = 10.0) -> Ledger:
        """Open a ledger, and make it where there is none.

        Args:
            path: the file; its directory is made too (mode 0700, the file 0600).
            create: whether to make it.
            wait_s: how long to wait for another process that writes.

        Raises:
            RefuteError: `LEDGER-MISSING`, `LEDGER-OLDER`, `LEDGER-NEWER`, `LEDGER-NOT-A-DATABASE`, `LEDGER-CORRUPT`,
                `LEDGER-PERMISSION`, `LEDGER-FULL`, `LEDGER-LOCKED` or `LEDGER-IO`.
        """
        return cls._opened(Path(path), create=create, wait_s=wait_s, upgrade=False)[0]

    @classmethod
    def upgrade(cls, path: str | Path = DEFAULT_PATH) -> bool:
        """Bring an older ledger to this version and build its derived tables again; the events stay as they are.

        Returns:
            Whether the schema was changed.

        Raises:
            RefuteError: as `open`.
        """
        ledger, changed = cls._opened(Path(path), create=False, wait_s=10.0, upgrade=True)
        with ledger:
            ledger.rebuild()
        return changed

    @classmethod
    def _opened(cls, path: Path, *, create: bool, wait_s: float, upgrade: bool) -> tuple[Ledger, bool]:
        with explained(path):
            _touch(path, create=create)
            connection = sqlite3.connect(path, timeout=wait_s, isolation_level=None, check_same_thread=False)
            try:
                _schema.version_of(connection, path)
                _to_wal(connection, wait_s)
                return cls(path, connection), _schema.migrate(connection, path, upgrade=upgrade)
            except BaseException:
                connection.close()
                raise

    def append(self, event: Event, *, durable: bool = True) -> str:
        """Keep an event and return its digest.

        Args:
            event: what happened.
            durable: return only once it would survive a power cut; otherwise it survives the end of this process, and a power
                cut once a durable one follows.

        Raises:
            RefuteError: it was not kept, and the ledger is as it was before (`LEDGER-EVENT`, `LEDGER-FULL`, `LEDGER-LOCKED`,
                `LEDGER-PERMISSION`, `LEDGER-CORRUPT` or `LEDGER-IO`).
        """
        record = record_of(event)
        text = canonical(record)
        with self._lock, explained(self.path):
            self._sync_fully(durable)
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                digest = self._insert(record, text)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        return digest

    def events(self, after: int = 0, kinds: Collection[str] = ()) -> Iterator[Recorded]:
        """Return what is kept, oldest first; what is appended meanwhile is returned too.

        Args:
            after: position after which to start.
            kinds: kinds to return, none for all.
        """
        condition = f"AND kind IN ({','.join('?' * len(kinds))})" if kinds else ""
        query = f"SELECT seq, digest, previous, json FROM events WHERE seq > ? {condition} ORDER BY seq LIMIT {_PAGE}"  # noqa: S608
        while rows := self._rows(query, (after, *kinds)):
            for seq, digest, previous, text in rows:
                yield Recorded(seq, digest, previous, json.loads(text))
            after = rows[-1][0]

    def head(self) -> str:
        """Return the digest of the last record, `GENESIS` where there is none."""
        rows = self._rows("SELECT digest FROM events ORDER BY seq DESC LIMIT 1")
        return str(rows[0][0]) if rows else GENESIS

    def evidence(self, belief: str = "") -> list[dict[str, Any]]:
        """Return the rows of the evidence table, oldest first.

        Args:
            belief: the belief's id, "" for all.
        """
        rows = self._named("SELECT * FROM evidence WHERE ? IN ('', belief) ORDER BY at, belief", (belief,))
        return [row | {"fingerprint": json.loads(row["fingerprint"])} for row in rows]

    def runs(self) -> list[dict[str, Any]]:
        """Return the rows of the runs table, oldest first."""
        return self._named("SELECT * FROM runs ORDER BY at, experiment", ())

    def rebuild(self) -> None:
        """Drop what the derived tables hold, and fill them from the events.

        Raises:
            RefuteError: as `append`; the tables are as they were before.
        """
        with self._lock, explained(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                for table in _derived.TABLES:
                    self._connection.execute(f"DELETE FROM {table}")  # noqa: S608  # our own names
                for (text,) in self._connection.execute("SELECT json FROM events ORDER BY seq").fetchall():
                    _derived.project(self._connection, json.loads(text))
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def verify(self, head: str = "") -> Report:
        """Check every record.

        Args:
            head: a digest noted earlier, which must still be there; "" for none.
        """
        with self._lock, explained(self.path):
            return check(self._connection, head)

    def close(self) -> None:
        """Close the file; closing again changes nothing."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _insert(self, record: dict[str, Any], text: str) -> str:
        last = self._connection.execute("SELECT digest FROM events ORDER BY seq DESC LIMIT 1").fetchone()
        previous = last[0] if last else GENESIS
        digest = digest_of(previous, text)
        self._connection.execute(
            "INSERT INTO events (at, kind, experiment, json, digest, previous) VALUES (?, ?, ?, ?, ?, ?)",
            (record["at"], record["event"], experiment_of(record), text, digest, previous),
        )
        _derived.project(self._connection, record)
        return digest

    def _sync_fully(self, wanted: bool) -> None:
        if self._full_sync is not wanted:
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if wanted else 'NORMAL'}")
            self._full_sync = wanted

    def _rows(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with self._lock, explained(self.path):
            return self._connection.execute(query, values).fetchall()

    def _named(self, query: str, values: tuple[Any, ...]) -> list[dict[str, Any]]:
        with self._lock, explained(self.path):
            cursor = self._connection.execute(query, values)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _touch(path: Path, *, create: bool) -> None:
    """Make the file and its directory, readable by nobody else."""
    if path.is_file():
        return
    if not create and not path.exists():
        raise refuse("LEDGER-MISSING", "there is no ledger here", where=str(path), next="refute run, which makes one, or name another file")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def _to_wal(connection: sqlite3.Connection, wait_s: float) -> None:
    """Switch to write-ahead logging, which does not wait by itself while others have the file open."""
    until = time.monotonic() + wait_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if (error.sqlite_errorcode & 0xFF) != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return
