"""What a run's processes write down of a strike: who strikes, once in a run whatever is restarted, and when it did what."""

from __future__ import annotations

import json
import os
import time

from refute.core.training import LANDED_FILE, RUN_VARIABLE

_CLAIM = "struck"


def rank() -> int:
    """Return this process's rank as launchers state it; 0 where there is one process."""
    try:
        return int(os.environ.get("RANK", "0"))
    except ValueError:
        return 0


def claim(handle: str) -> bool:
    """Say whether this process is the one to strike: the first of a run to ask, restarts included.

    Args:
        handle: id of the fault's handle.
    """
    folder = os.environ.get(RUN_VARIABLE)
    if not folder:
        return True
    try:
        os.close(os.open(os.path.join(folder, f"{_CLAIM}-{handle}"), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))  # noqa: PTH118
    except FileExistsError:
        return False
    return True


def claimed(handle: str) -> bool:
    """Say whether some process of this run has struck before."""
    folder = os.environ.get(RUN_VARIABLE)
    return bool(folder) and os.path.exists(os.path.join(folder or "", f"{_CLAIM}-{handle}"))  # noqa: PTH110, PTH118


def note(step: int, effect: str) -> None:
    """Write a strike down, before the process that struck may be gone.

    Args:
        step: at which step, from 1; 0 where it is not known.
        effect: what was done, in a word or two.
    """
    folder = os.environ.get(RUN_VARIABLE)
    if folder:
        line = json.dumps({"at": time.time(), "step": step, "effect": effect}) + "\n"
        with open(os.path.join(folder, LANDED_FILE), "ab", buffering=0) as file:  # noqa: PTH118, PTH123 - one append a line
            file.write(line.encode())
