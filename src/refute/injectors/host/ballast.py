"""Faults by a ballast file: a file system of its own is filled until nothing more goes in."""

from __future__ import annotations

import errno
import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

from refute.core.arming import Arming, Handle, Landing, RollbackKind
from refute.core.lease import Lease
from refute.injectors.host._watch import Watch
from refute.injectors.host._whole import Lack, arming_of, magnitude_of, misfit, permitted, refused

_SLACK_BYTES = 4 << 20
_STEP_BYTES = 4096
_NAME = ".refute-ballast-"
_MEMORY_SHARE = 0.5


class BallastInjector:
    """Takes the room of a file system."""

    name = "ballast"
    rollback_kind: RollbackKind = "journalled"
    faults = ("disk.full",)

    def __init__(self) -> None:
        """Watch nothing yet."""
        self._watch = Watch()

    def refuses(self, arming: Arming) -> str:
        """Say why this injector cannot do it, or return ""; the directory need not be there yet."""
        if reason := misfit(arming, self.faults):
            return reason
        directory = arming.component.place.directory
        if not directory:
            return f"component {arming.component.name!r} says no `directory`"
        return _needed(Path(directory)) if Path(directory).is_dir() else ""

    def lacks(self, _fault: str) -> Lack:
        """Say what the host lacks: nothing."""
        return Lack()

    def means(self, _fault: str) -> str:
        """Say by what."""
        return "a file in a directory that may be written, on a file system of its own"

    def prepare(self, arming: Arming) -> Handle:
        """Name the file; make none.

        Raises:
            RefuteError: the file system must not or cannot be filled (`HOST-REFUSED`).
        """
        directory = Path(arming.component.place.directory)
        if reason := self.refuses(arming) or _unfit(directory):
            raise refused(arming, reason)
        number = secrets.token_hex(6)
        data = {"arming": arming.to_json(), "file": str(directory / f"{_NAME}{number}"), "device": directory.stat().st_dev}
        return Handle(self.name, "journalled", data, id=number)

    def apply(self, handle: Handle, lease: Lease) -> None:
        """Fill it.

        Raises:
            RefuteError: it cannot be filled (`HOST-REFUSED`); the rollback is then due.
        """
        arming, file = arming_of(handle), Path(handle.data["file"])
        permitted(arming, lease)
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            try:
                _fill(descriptor, _left_bytes(arming), lease)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise refused(arming, f"{file}: {error.strerror}") from None
        self._watch.begin(handle, lease, lambda: _look(file.parent, _left_bytes(arming)))

    def landed(self, handle: Handle) -> Landing:
        """Return what asking for room has shown."""
        return self._watch.landed(handle)

    def rollback(self, handle: Handle) -> None:
        """Delete the file, and never another one, whatever a journal says.

        Raises:
            RefuteError: the handle names a file that is not its own (`HOST-REFUSED`).
        """
        file = Path(handle.data["file"])
        if file.name != f"{_NAME}{handle.id}":
            raise refused(arming_of(handle), f"{file} is not a file of this fault")
        file.unlink(missing_ok=True)

    def verify(self, handle: Handle) -> bool:
        """Say whether the file is gone from the file system that it was made on; one that is not mounted cannot be looked at."""
        file = Path(handle.data["file"])
        return file.parent.stat().st_dev == handle.data["device"] and not file.exists()


def _left_bytes(arming: Arming) -> int:
    return int(magnitude_of(arming) * 1e6)


def _needed(directory: Path) -> str:
    """Say what else lives on a file system that must not be filled, "" where nothing does."""
    device = directory.stat().st_dev
    for what, path in _others():
        if path.exists() and path.stat().st_dev == device:
            return f"{directory} is on the file system of {what}: only one of its own may be filled"
    return ""


def _others() -> Iterator[tuple[str, Path]]:
    yield "the host itself", Path("/")
    yield "temporary files", Path(tempfile.gettempdir())
    yield "the user's own files", Path.home()
    yield "Refute itself", Path(__file__)
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    yield "the rollback journal", next(path for path in (state, *state.parents) if path.exists())


def _unfit(directory: Path) -> str:
    """Say why a file system cannot be filled, "" where it can."""
    if not directory.is_dir():
        return f"there is no directory {directory}"
    if any(directory.glob(f"{_NAME}*")):
        return f"{directory} is being filled by another fault already"
    room = os.statvfs(directory)
    if room.f_flag & os.ST_RDONLY:
        return f"the file system of {directory} is read-only"
    if _in_memory(directory.stat().st_dev) and room.f_bfree * room.f_frsize > _MEMORY_SHARE * _available_bytes():
        return f"the file system of {directory} lives in memory, and filling it would take most of what the host has left"
    return ""


def _in_memory(device: int) -> bool:
    number = f"{os.major(device)}:{os.minor(device)}"
    rows = (line.split(" - ") for line in Path("/proc/self/mountinfo").read_text("utf-8").splitlines())
    return any(before.split()[2] == number and after.split()[0] in {"tmpfs", "ramfs"} for before, after in rows)


def _available_bytes() -> int:
    rows = (line.split() for line in Path("/proc/meminfo").read_text("ascii").splitlines())
    return next(int(row[1]) * 1024 for row in rows if row[0] == "MemAvailable:")


def _fill(descriptor: int, left_bytes: int, lease: Lease) -> None:
    """Take space until only so much is left; what is free keeps changing, so that the end is found by trying."""
    size, step = 0, max(_STEP_BYTES, os.fstatvfs(descriptor).f_bfree * os.fstatvfs(descriptor).f_frsize - left_bytes)
    while step >= _STEP_BYTES and lease.remaining_s() > 0:
        room = os.fstatvfs(descriptor)
        step = min(step, room.f_bfree * room.f_frsize - left_bytes) if left_bytes else step
        if step < _STEP_BYTES:
            return
        try:
            os.posix_fallocate(descriptor, size, step)
            size += step
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            step //= 2


def _look(directory: Path, left_bytes: int) -> tuple[dict[str, float], str]:
    """Ask for more room than should be left; what is given is given back at once."""
    room = os.statvfs(directory)
    free = float(room.f_bfree * room.f_frsize)
    try:
        descriptor = os.open(directory, os.O_WRONLY | os.O_TMPFILE, 0o600)
    except OSError as error:
        return ({"free_bytes": free}, "") if error.errno == errno.ENOSPC else ({}, str(error))
    try:
        os.posix_fallocate(descriptor, 0, left_bytes + _SLACK_BYTES)
    except OSError as error:
        return ({"free_bytes": free}, "") if error.errno == errno.ENOSPC else ({}, str(error))
    finally:
        os.close(descriptor)
    return {}, f"there was room again: {free / 1e6:.1f} MB"


INJECTOR = BallastInjector()
"""The one of this process."""
