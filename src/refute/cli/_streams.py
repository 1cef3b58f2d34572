"""Standard output and error that never make a verb fail: an exit code says what was decided, not who still listened."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from typing import Any, TextIO


class Steady:
    """A text stream that goes on without its reader, or its room.

    Args:
        stream: with a file descriptor.

    Attributes:
        lost: why what was written did not arrive, "" where it did, or where the reader wanted no more.
    """

    def __init__(self, stream: TextIO) -> None:
        """Pass everything on."""
        self._stream = stream
        self.lost = ""

    def write(self, text: str) -> int:
        """Write text, in vain once it cannot be."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self._leave(error)
            return len(text)

    def flush(self) -> None:
        """Hand on what was written."""
        try:
            self._stream.flush()
        except OSError as error:
            self._leave(error)

    def _leave(self, error: OSError) -> None:
        """Let what is still buffered drain into nothing, or the interpreter would complain as it exits."""
        if error.errno != errno.EPIPE:
            self.lost = error.strerror or str(error)
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def steady() -> Steady:
    """Have the three streams that every program has, and output that never raises; return standard output.

    Without all three, what is opened next would be taken for one of them.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = out = Steady(sys.stdout or os.fdopen(1, "w", closefd=False))
    sys.stderr = Steady(sys.stderr or os.fdopen(2, "w", closefd=False))
    return out
