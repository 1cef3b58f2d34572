"""Counts how often a file is opened, by the kernel's own word (inotify)."""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path

_NONBLOCK_CLOEXEC = os.O_NONBLOCK | os.O_CLOEXEC
_OPEN = 0x20
_EVENT = struct.Struct("iIII")


class Openings:
    """The openings of one file from now on.

    Args:
        file: it is there.

    Raises:
        OSError: it cannot be watched.
    """

    def __init__(self, file: Path) -> None:
        """Begin to watch."""
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init1(_NONBLOCK_CLOEXEC)
        if self._descriptor < 0 or libc.inotify_add_watch(self._descriptor, os.fsencode(file), _OPEN) < 0:
            number = ctypes.get_errno()
            self.close()
            raise OSError(number, os.strerror(number))

    def since(self) -> int:
        """Return how many there were since this was last asked; the kernel counts several in a row as one where nobody reads."""
        count = 0
        while self._descriptor >= 0:
            try:
                data = os.read(self._descriptor, 1 << 16)
            except BlockingIOError:
                break
            while data:
                _, _, _, length = _EVENT.unpack_from(data)
                count, data = count + 1, data[_EVENT.size + length :]
        return count

    def close(self) -> None:
        """Watch no more."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1
