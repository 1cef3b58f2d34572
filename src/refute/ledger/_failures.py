"""Turns what SQLite and the file system say into errors that a user can act on."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from refute.core.errors import RefuteError, refuse

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FULL = ("LEDGER-FULL", "there is no room to write the ledger", "free some space; what was recorded before is intact")
_LOCKED = ("LEDGER-LOCKED", "another process keeps the ledger locked", "wait for it or end it, then try again")
_PERMISSION = ("LEDGER-PERMISSION", "the ledger may not be written here", "check who owns the file and its directory")
_NOT_A_DATABASE = ("LEDGER-NOT-A-DATABASE", "this file is not a ledger", "move it away, or name another file")
_CORRUPT = ("LEDGER-CORRUPT", "the ledger's file is damaged", "keep a copy, then see what is left: refute ledger verify")
_IO = ("LEDGER-IO", "the ledger could not be read or written", "check the disk; what was recorded before is intact")

_BY_PRIMARY_CODE = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_READONLY: _PERMISSION,
    sqlite3.SQLITE_PERM: _PERMISSION,
    sqlite3.SQLITE_CANTOPEN: _PERMISSION,
    sqlite3.SQLITE_NOTADB: _NOT_A_DATABASE,
    sqlite3.SQLITE_CORRUPT: _CORRUPT,
}


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Raise what goes wrong inside as `RefuteError`.

    Args:
        path: the ledger's file.
    """
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        raise _refusal(_BY_PRIMARY_CODE.get(code, _IO), path, str(error)) from error
    except OSError as error:
        known = (
            _FULL if error.errno in _NO_SPACE else _PERMISSION if isinstance(error, PermissionError) or error.errno == errno.EROFS else _IO
        )
        raise _refusal(known, path, error.strerror or str(error)) from error


def not_a_ledger(path: Path, seen: str) -> RefuteError:
    """Return the error for a file that is something else."""
    return _refusal(_NOT_A_DATABASE, path, seen)


def _refusal(known: tuple[str, str, str], path: Path, seen: str) -> RefuteError:
    code, what, then = known
    return refuse(code, what, where=str(path), seen=seen, next=then)
