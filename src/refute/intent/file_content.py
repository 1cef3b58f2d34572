"""The bytes of one file of an intent, or why there are none."""

from __future__ import annotations

import os
from pathlib import Path

from refute.core.errors import Problem
from refute.intent.document import shown

MAX_BYTES = 256 * 1024


def is_file(path: Path) -> bool:
    """Say whether there is a file; names that no system could hold are none."""
    return os.path.isfile(path)  # noqa: PTH113 - `Path.is_file` raises on unreadable folders and overlong names


def file_content(path: Path, name: str) -> bytes | Problem:
    """Return a file's content, known to be UTF-8 and of a sane size.

    Args:
        path: the file.
        name: how it is shown in messages.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        return Problem("FILE-UNREADABLE", "the file cannot be read", name, error.strerror or type(error).__name__)
    if len(content) > MAX_BYTES:
        allowed = f"at most {MAX_BYTES // 1024} KiB a file"
        return Problem("FILE-SIZE", "the file is too large for an intent", name, f"{path.stat().st_size} bytes", allowed)
    try:
        content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return Problem("FILE-ENCODING", "the file is not UTF-8", f"{name}:{line}", f"byte 0x{content[error.start]:02X}", "UTF-8")
    return content


def missing(name: str, named_at: str) -> Problem:
    """Return the problem of a file that is not there.

    Args:
        name: how it is shown in messages.
        named_at: where it is named, "" where the user named it on the command line.
    """
    if named_at:
        return Problem("FILE-MISSING", "the file that is named here does not exist", named_at, shown(name))
    next_step = "refute init (or, to see one at work: refute demo)"
    return Problem("FILE-MISSING", "there is no such file", name, allowed="the path of an intent file", next=next_step)
