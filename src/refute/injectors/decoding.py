"""Undoes a body's content coding piece by piece; bounded, so that a small body cannot become a huge one at once."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

READABLE = frozenset({"", "identity", "gzip", "x-gzip", "deflate"})
_PIECE_BYTES = 256 * 1024


class Decoder:
    """Decodes one body.

    Args:
        coding: `gzip`, `deflate`, or "" for none.
    """

    def __init__(self, coding: str) -> None:
        """Start at the beginning."""
        self._unpack = None if coding in {"", "identity"} else zlib.decompressobj(47 if coding.endswith("gzip") else 15)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take the next bytes and yield what they hold, in pieces of bounded size.

        Raises:
            ValueError: they are not in that coding.
        """
        if self._unpack is None:
            yield data
            return
        while data:
            try:
                piece = self._unpack.decompress(data, _PIECE_BYTES)
            except zlib.error as error:
                raise ValueError(str(error)) from None
            data = self._unpack.unconsumed_tail
            if piece:
                yield piece
            elif not data:
                return
