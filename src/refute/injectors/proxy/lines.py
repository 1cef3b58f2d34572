"""Bytes of a pipe, whole lines where somebody wants to read them, and as they come where nobody does."""

from __future__ import annotations

MOST_BYTES = 16 << 20
"""A line that grows beyond this is passed on in pieces and read by nobody."""


class Lines:
    """Cuts one direction of a pipe. What `feed` and `rest` return, joined, is what was fed."""

    __slots__ = ("_held", "_inside")

    def __init__(self) -> None:
        """Start at the beginning of a line."""
        self._held = b""
        self._inside = False

    def feed(self, chunk: bytes, *, whole: bool) -> list[tuple[bytes, bool]]:
        """Take the next bytes and return what may go on, each with whether it is one whole line.

        Args:
            chunk: as they came.
            whole: whether lines are to be read; else nothing is held back.
        """
        data, self._held = self._held + chunk, b""
        if not whole:
            self._inside = self._inside if not data else not data.endswith(b"\n")
            return [(data, False)] if data else []
        pieces: list[tuple[bytes, bool]] = []
        *lines, rest = data.split(b"\n")
        for line in lines:
            pieces.append((line + b"\n", not self._inside))
            self._inside = False
        if rest and (self._inside or len(rest) > MOST_BYTES):
            self._inside = True
            pieces.append((rest, False))
        else:
            self._held = rest
        return pieces

    def rest(self) -> bytes:
        """Return what is held back, at the end."""
        rest, self._held = self._held, b""
        return rest
