"""Which block device holds a directory: the whole disk, as the kernel counts and limits what goes to and from it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_DEPTH = 8


class NoDeviceError(Exception):
    """The directory is on no block device; the text says on what."""


@dataclass(frozen=True, slots=True)
class _Mount:
    device: str
    kind: str
    source: str
    options: dict[str, str]


def device_of(directory: Path, proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> str:
    """Return `MAJOR:MINOR` of the disk that holds a directory.

    Args:
        directory: need not be there yet: then the nearest one above it counts.
        proc: where the mounts are listed.
        sys: where the devices are listed.

    Raises:
        NoDeviceError: it is on none, such as in memory or on a network.
    """
    for _ in range(_DEPTH):
        directory = next(place for place in (directory, *directory.parents) if place.exists())
        number = directory.stat().st_dev
        name = f"{os.major(number)}:{os.minor(number)}"
        if os.major(number):
            return _whole(name, sys)
        mount = _mount(name, proc)
        if mount is None or (mount.kind != "overlay" and not mount.source.startswith("/dev/")):
            raise NoDeviceError(f"{directory} is on no disk{f' but on {mount.kind}' if mount else ''}")
        if mount.kind != "overlay":
            number = Path(mount.source).stat().st_rdev
            return _whole(f"{os.major(number)}:{os.minor(number)}", sys)
        upper = Path(mount.options.get("upperdir", ""))
        if not upper.is_absolute() or not upper.exists():
            raise NoDeviceError(f"{directory} is on an overlay of which the upper directory is not seen from here")
        directory = upper
    raise NoDeviceError(f"{directory} is on too many overlays")


def _whole(name: str, sys: Path) -> str:
    """Return the disk of a partition, which alone can be limited."""
    place = sys / "dev/block" / name
    if (place / "partition").exists():
        return (place.resolve().parent / "dev").read_text("ascii").strip()
    return name


def _mount(device: str, proc: Path) -> _Mount | None:
    for line in (proc / "self/mountinfo").read_text("utf-8").splitlines():
        before, _, after = line.partition(" - ")
        kind, source, options = after.split(maxsplit=2)
        if before.split()[2] == device:
            pairs = (option.partition("=") for option in options.split(","))
            return _Mount(device, kind, source, {name: value for name, _, value in pairs})
    return None
