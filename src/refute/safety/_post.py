"""Where the guardian of a machine sits: its lock, its socket, its log. Whoever holds the lock is the guardian."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from refute.core.process import ProcessIdentity, is_running, this_process
from refute.safety.state import explained, make_directory, state_directory

_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Post:
    """The files by which a guardian is found.

    Attributes:
        directory: mode 0700, by default `guardian` in the state directory.
    """

    directory: Path = field(default_factory=lambda: state_directory() / "guardian")

    @property
    def log(self) -> Path:
        """What it prints: nothing, while all is well."""
        return self.directory / "log"

    def take(self, wait_s: float | None = 0.0) -> int | None:
        """Take the lock, and with it the duty.

        Args:
            wait_s: how long to wait for it, seconds; None for ever.

        Returns:
            The descriptor that holds it, None where another process does. Closing it, or dying, lets go. Commands that undo or apply
            inherit it, so that nobody takes over before they have ended.

        Raises:
            RefuteError: the state directory cannot be written (`JOURNAL-…`).
        """
        make_directory(self.directory)
        with explained(self._lock):
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        if not _locked(descriptor, wait_s):
            os.close(descriptor)
            return None
        os.set_inheritable(descriptor, True)
        with suppress(OSError):  # who holds it is only good to know; a full disk must not keep a guardian from its duty
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(this_process().to_json()).encode(), 0)
        return descriptor

    def holder(self) -> ProcessIdentity | None:
        """Return the process that holds the lock, None where none does, or where it is not known."""
        try:
            holder = ProcessIdentity.from_json(json.loads(self._lock.read_bytes()))
        except (OSError, ValueError, LookupError, TypeError):
            return None
        return holder if is_running(holder) else None

    def listen(self) -> socket.socket:
        """Return a listening socket that only its owner can reach."""
        with self._short() as path:
            path.unlink(missing_ok=True)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            before = os.umask(0o177)
            try:
                listener.bind(str(path))
            finally:
                os.umask(before)
        listener.listen(16)
        return listener

    def leave(self) -> None:
        """Take the socket away."""
        with suppress(OSError):
            (self.directory / "socket").unlink(missing_ok=True)

    def connect(self) -> socket.socket:
        """Return a connection to the guardian.

        Raises:
            OSError: none is there.
        """
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with self._short() as path:
                connection.connect(str(path))
        except BaseException:
            connection.close()
            raise
        return connection

    @property
    def _lock(self) -> Path:
        return self.directory / "lock"

    @contextmanager
    def _short(self) -> Iterator[Path]:
        """Give the socket a short path: one of over 107 bytes cannot be bound."""
        descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield Path(f"/proc/self/fd/{descriptor}/socket")
        finally:
            os.close(descriptor)


def _locked(descriptor: int, wait_s: float | None) -> bool:
    if wait_s is None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return True
    until_s = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until_s:
                return False
            time.sleep(_POLL_S)
        else:
            return True
