"""Strikes on a checkpoint while it is saved: what `torch.save` leaves in its file, and what becomes of the process."""

from __future__ import annotations

import errno
import io
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refute.injectors.training.marks import note

FATAL_NEXT = frozenset({"checkpoint.torn", "checkpoint.truncated", "checkpoint.stale"})
"""Faults whose process is killed a step after the save: a broken checkpoint matters when somebody resumes from it."""


@dataclass(frozen=True, slots=True)
class Save:
    """One call of `torch.save`.

    Attributes:
        original: the function.
        args: positional arguments.
        kwargs: keyword arguments.
    """

    original: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def written(self) -> tuple[bytes, Any]:
        """Return the bytes that it would write, and where to."""
        memory = io.BytesIO()
        if len(self.args) > 1:
            self.original(self.args[0], memory, *self.args[2:], **self.kwargs)
            return memory.getvalue(), self.args[1]
        self.original(*self.args, **(self.kwargs | {"f": memory}))
        return memory.getvalue(), self.kwargs["f"]


def strike(fault: str, percent: float, step: int, save: Save) -> Any:
    """Save as the fault has it.

    Args:
        fault: name in the catalogue.
        percent: share of the bytes that reach the disk.
        step: at which step this is.
        save: the call.

    Raises:
        OSError: the disk is full, by `storage.full`.
    """
    if fault == "checkpoint.stale":
        note(step, "save skipped")
        return None
    whole, target = save.written()
    cut = whole[: round(len(whole) * percent / 100)]
    if fault == "checkpoint.torn":
        cut += bytes(len(whole) - len(cut))
    _put(target, cut)
    note(step, fault.partition(".")[2].replace("_", " "))
    if fault == "checkpoint.killed_in_save":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "storage.full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
    return None


def _put(target: Any, content: bytes) -> None:
    """Write to a path as `torch.save` would, or to an open file."""
    if hasattr(target, "write"):
        target.write(content)
        target.flush()
    else:
        Path(target).write_bytes(content)
