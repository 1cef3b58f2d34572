"""Reads a system from what files there are: OTLP traces, or a graph that `refute import traces --json` printed."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterable
from pathlib import Path

from refute.core.errors import refuse
from refute.system.seen import FORMAT, SeenSystem
from refute.system.traces import learn


def found(patterns: Iterable[str], folder: Path) -> tuple[list[Path], list[str]]:
    """Return the files that patterns name, in order and each once, and the patterns that name none.

    Args:
        patterns: paths with `*`, `?` and `**`, relative to the folder.
        folder: absolute or relative to the working directory.
    """
    files: dict[Path, None] = {}
    empty = []
    for pattern in patterns:
        named = [Path(name) for name in sorted(glob.glob(os.path.join(folder, pattern), recursive=True)) if os.path.isfile(name)]  # noqa: PTH113, PTH118, PTH207 - patterns may be absolute
        files.update(dict.fromkeys(named))
        if not named:
            empty.append(pattern)
    return list(files), empty


def read_system(files: Iterable[Path]) -> SeenSystem:
    """Return the system that files show.

    Args:
        files: traces, all taken together, or one graph.

    Raises:
        RefuteError: a file cannot be read (`TRACES-UNREADABLE`, `TRACES-PROTOBUF`).
    """
    files = list(files)
    if len(files) == 1 and _is_graph(files[0]):
        return _graph(files[0])
    return learn(files)


def _is_graph(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            return FORMAT.encode() in opened.read(200)
    except OSError:
        return False


def _graph(file: Path) -> SeenSystem:
    try:
        return SeenSystem.from_json(json.loads(file.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        allowed = "a graph as `refute import traces --json` prints it"
        raise refuse("TRACES-UNREADABLE", "the graph cannot be read", where=str(file), seen=str(error), allowed=allowed) from None
