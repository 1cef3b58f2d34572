"""Where a machine's state lies, and how a line gets to disk for certain."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from refute.core.errors import refuse

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def state_directory() -> Path:
    """Return `$XDG_STATE_HOME/refute`, by default `~/.local/state/refute`; it need not exist."""
    given = os.environ.get("XDG_STATE_HOME", "")
    base = Path(given) if given.startswith("/") else Path.home() / ".local" / "state"
    return base / "refute"


def doors_directory() -> Path:
    """Return where processes that runs may ask to join have their signs; it need not exist."""
    return state_directory() / "doors"


def make_directory(directory: Path) -> None:
    """Make a directory, with its parents, that nobody else may look into.

    Raises:
        RefuteError: `JOURNAL-FULL`, `JOURNAL-PERMISSION` or `JOURNAL-IO`.
    """
    with explained(directory):
        missing = [place for place in (directory, *directory.parents) if not place.exists()]
        for place in reversed(missing):
            place.mkdir(mode=0o700, exist_ok=True)
            sync_directory(place.parent)
    keep_to_ourselves(directory)


def keep_to_ourselves(directory: Path) -> None:
    """Let nobody else write to a directory of ours, nor to the state directory around it: what stands there is believed, and undone.

    Raises:
        RefuteError: it belongs to somebody else (`JOURNAL-PERMISSION`).
    """
    around = state_directory()
    with explained(directory):
        for place in (directory, around) if around in directory.parents else (directory,):
            if not place.is_dir():
                continue
            found = place.stat()
            if found.st_uid not in {0, os.geteuid()}:
                raise PermissionError(errno.EPERM, f"it belongs to user {found.st_uid}")
            if found.st_mode & 0o022:
                place.chmod(0o700)


def probe(directory: Path) -> Path:
    """Write, flush and remove a file, as the journal would, and return the directory.

    Raises:
        RefuteError: `JOURNAL-FULL`, `JOURNAL-PERMISSION` or `JOURNAL-IO`.
    """
    make_directory(directory)
    path = directory / f"probe.{os.getpid()}"
    with explained(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            write_durably(descriptor, b"probe\n")
        finally:
            os.close(descriptor)
            path.unlink()
    return directory


def write_durably(descriptor: int, data: bytes) -> None:
    """Append to an open file and flush it to disk; where that fails, take back what was written.

    Args:
        descriptor: opened for appending.
        data: what to write.

    Raises:
        OSError: it is not on disk.
    """
    size = os.fstat(descriptor).st_size
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        sync(descriptor)
    except OSError:
        os.ftruncate(descriptor, size)
        raise


def sync(descriptor: int) -> None:
    """Flush a file to the disk itself."""
    os.fsync(descriptor)
    if (full := getattr(fcntl, "F_FULLFSYNC", None)) is not None:
        fcntl.fcntl(descriptor, full)


def sync_directory(directory: Path) -> None:
    """Flush a directory's names to disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Raise what the file system says as `RefuteError`.

    Args:
        path: what is read or written.
    """
    try:
        yield
    except OSError as error:
        seen = error.strerror or str(error)
        if error.errno in _NO_SPACE:
            what, then = "there is no room to write the rollback journal, so nothing may be injected", "free some space, then try again"
            raise refuse("JOURNAL-FULL", what, where=str(path), seen=seen, next=then) from error
        if isinstance(error, PermissionError) or error.errno == errno.EROFS:
            what = "the rollback journal may not be written here, so nothing may be injected"
            raise refuse(
                "JOURNAL-PERMISSION", what, where=str(path), seen=seen, next="set XDG_STATE_HOME to a directory of yours"
            ) from error
        what = "the rollback journal cannot be read or written, so nothing may be injected"
        raise refuse("JOURNAL-IO", what, where=str(path), seen=seen, next="refute doctor") from error
