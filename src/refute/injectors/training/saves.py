"""Strikes on a checkpoint while it is saved: what `torch.save` leaves in its file, and what becomes of the process."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refute.injectors.training.armed import OPTIMIZER, Armed
from refute.injectors.training.marks import note

_SAVING = "torch.serialization"
FATAL_NEXT = frozenset({"checkpoint.torn", "checkpoint.truncated", "checkpoint.stale", "checkpoint.missing_shard"})
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

    @property
    def target(self) -> Any:
        """Where it writes to."""
        return self.args[1] if len(self.args) > 1 else self.kwargs["f"]

    def written(self) -> tuple[bytes, Any]:
        """Return the bytes that it would write, and where to."""
        memory = io.BytesIO()
        if len(self.args) > 1:
            self.original(self.args[0], memory, *self.args[2:], **self.kwargs)
            return memory.getvalue(), self.target
        self.original(*self.args, **(self.kwargs | {"f": memory}))
        return memory.getvalue(), self.target


class ArmedSave(Armed):
    """One call of `torch.save` goes wrong; where that matters only to whoever resumes, the process is killed a step later."""

    counted = "saves"
    _saves = 0
    _doomed = False
    _lost: tuple[int, Path] | None = None

    def _drawn(self) -> int:
        return 2

    def _reached(self) -> int:
        return self._saves

    def _missed(self) -> str:
        why = super()._missed()
        return why if self._saves else f"{why}: checkpoints that are not written by `torch.save` are out of reach"

    def _places(self) -> Mapping[str, Callable[[], None]]:
        return {OPTIMIZER: self._hook_steps, _SAVING: self._wrap}

    def _wrap(self) -> None:
        module: Any = sys.modules[_SAVING]
        original = module.save

        def save(*args: Any, **kwargs: Any) -> Any:
            return self._saved(Save(original, args, kwargs))

        self._replace("save", save, _SAVING, "torch")

    def _before(self, optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        del optimizer, args, kwargs
        self._steps += 1
        if self._doomed:
            if self._lost is not None:
                _remove(*self._lost)
            os.kill(os.getpid(), signal.SIGKILL)

    def _saved(self, save: Save) -> Any:
        self._saves += 1
        if self._saves < self._at or self._over or not self._may() or not self._claimed():
            return save.original(*save.args, **save.kwargs)
        self._landed = self._over = True
        self._doomed = self._fault in FATAL_NEXT
        if self._fault == "storage.slow":
            note(self._steps, f"save slowed by {self._magnitude:g} s")
            self._lease.wait_revoked(self._magnitude)
            return save.original(*save.args, **save.kwargs)
        if self._fault == "checkpoint.missing_shard":
            return self._written(save)
        return strike(self._fault, self._magnitude, self._steps, save)

    def _written(self, save: Save) -> Any:
        """Save as ever, and remember which file it is, whatever its name will be."""
        result, target = save.original(*save.args, **save.kwargs), save.target
        path = Path(target.name if hasattr(target, "write") else target)
        self._lost = (path.stat().st_ino, path)
        note(self._steps, "file of a checkpoint lost")
        return result


def _remove(inode: int, path: Path) -> None:
    """Remove a file that may have another name by now, in the folder where it was written or beside that."""
    if path.exists() and path.stat().st_ino == inode:
        path.unlink()
        return
    for folder in (path.parent, path.parent.parent):
        for found in folder.glob("**/*") if folder.exists() else ():
            if found.is_file() and found.stat().st_ino == inode:
                found.unlink()
                return


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
