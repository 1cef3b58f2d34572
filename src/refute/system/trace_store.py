"""Brings the spans of each trace together, whatever file and order they come in, in bounded memory.

Spans of one trace are spread over the files of several programs. So they are sorted by trace into parts, which go to a temporary folder
once there are many; each part is then small enough to be held.
"""

from __future__ import annotations

import marshal
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final
from zlib import crc32

from refute.system.span import Span

_PARTS: Final = 64
_HELD: Final = 100_000  # spans in memory, at about 1 kB each


def traces(spans: Iterable[Span], *, held: int = _HELD) -> Iterator[list[Span]]:
    """Yield the spans of each trace, in the order in which they came.

    Args:
        spans: of any number of traces, mixed.
        held: how many spans to hold in memory before the rest is written to a temporary folder.
    """
    with tempfile.TemporaryDirectory(prefix="refute-traces-") as folder:
        files = [Path(folder, f"{number}") for number in range(_PARTS)]
        parts: list[list[Span]] = [[] for _ in range(_PARTS)]
        count = 0
        for span in spans:
            parts[crc32(span.trace.encode()) % _PARTS].append(span)
            count += 1
            if count == held:
                count = 0
                _spill(parts, files)
        for part, file in zip(parts, files, strict=True):
            yield from _grouped([*_spilt(file), *part]).values()
            part.clear()


def _spill(parts: list[list[Span]], files: list[Path]) -> None:
    for part, file in zip(parts, files, strict=True):
        with file.open("ab") as opened:
            marshal.dump([tuple(span) for span in part], opened, 2)  # this version looks for no shared values: quicker both ways
        part.clear()


def _spilt(file: Path) -> Iterator[Span]:
    if not file.exists():
        return
    with file.open("rb") as opened:
        while True:
            try:
                batch = marshal.load(opened)  # noqa: S302  # our own file, in a folder that nobody else may enter
            except EOFError:
                return
            yield from map(Span._make, batch)


def _grouped(spans: list[Span]) -> dict[str, list[Span]]:
    found: dict[str, list[Span]] = {}
    for span in spans:
        found.setdefault(span.trace, []).append(span)
    return found
