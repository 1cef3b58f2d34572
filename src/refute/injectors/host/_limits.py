"""What is written to a control group for each fault, in either version, and what the kernel then says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PERIOD_US = 20_000
Settings = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Limit:
    """One fault by control group.

    Attributes:
        controller: as version 2 calls it.
        beside: a controller without which version 2 does not limit all of it.
        settings: (version, magnitude in the fault's unit, device `MAJOR:MINOR` or "") to lines by file.
        lift: (version, device) to lines by file, before processes leave: lets go of what waits.
    """

    controller: str
    settings: Callable[[int, float, str], Settings]
    lift: Callable[[int, str], Settings] = lambda _version, _device: {}
    beside: str = ""


def _cpu(version: int, percent: float, _device: str) -> Settings:
    quota = str(int(PERIOD_US * percent / 100))
    if version == 1:
        return {"cpu.cfs_period_us": [str(PERIOD_US)], "cpu.cfs_quota_us": [quota]}
    return {"cpu.max": [f"{quota} {PERIOD_US}"]}


def _memory(version: int, megabytes: float, _device: str) -> Settings:
    """Leave only so much; what was taken before stays with the group before, in either version."""
    most = str(int(megabytes * 1e6))
    if version == 1:
        return {"memory.limit_in_bytes": [most], "memory.memsw.limit_in_bytes?": [most]}
    return {"memory.max": [most], "memory.swap.max?": ["0"]}


def _io(version: int, kilobytes_per_s: float, device: str) -> Settings:
    most = str(int(kilobytes_per_s * 1000))
    if version == 1:
        return {f"blkio.throttle.{way}_bps_device": [f"{device} {most}"] for way in ("read", "write")}
    return {"io.max": [f"{device} rbps={most} wbps={most}"]}


def _io_lifted(version: int, device: str) -> Settings:
    if version == 1:
        return {f"blkio.throttle.{way}_bps_device": [f"{device} 0"] for way in ("read", "write")}
    return {"io.max": [f"{device} rbps=max wbps=max"]}


CPU, OOM, SLOW = "process.cpu", "process.oom", "disk.slow"
LIMITS = {CPU: Limit("cpu", _cpu), OOM: Limit("memory", _memory), SLOW: Limit("io", _io, _io_lifted, "memory")}
"""By fault."""


def waited(group: Path) -> dict[str, float]:
    """Return in how many periods a group had to wait for a processor, and for how long; empty where it never had to.

    Raises:
        OSError: the group is gone.
    """
    rows = _rows(group / "cpu.stat")
    seconds = rows["throttled_time"] / 1e9 if "throttled_time" in rows else rows.get("throttled_usec", 0.0) / 1e6
    periods = rows.get("nr_throttled", 0.0)
    return {"periods_waited": periods, "seconds_waited": seconds} if periods else {}


def killed(group: Path) -> dict[str, float]:
    """Return how many processes of a group the kernel has killed for want of memory; empty where none.

    Raises:
        OSError: the group is gone.
    """
    events = group / "memory.events"
    number = _rows(events if events.exists() else group / "memory.oom_control").get("oom_kill", 0.0)
    return {"killed_processes": number} if number else {}


def moved_bytes(group: Path, device: str) -> float:
    """Return how many bytes a group has had moved to and from a device, or asked to have moved.

    Raises:
        OSError: the group is gone.
    """
    new = group / "io.stat"
    if not new.exists():
        lines = (group / "blkio.throttle.io_service_bytes").read_text("ascii").splitlines()
        fields = [line.split() for line in lines]
        return sum(float(row[2]) for row in fields if row[0] == device and row[1] in {"Read", "Write"})
    for name, *pairs in (line.split() for line in new.read_text("ascii").splitlines()):
        if name == device:
            counts = dict(pair.split("=") for pair in pairs)
            return sum(float(counts.get(way, 0)) for way in ("rbytes", "wbytes"))  # a disk that was not used yet has none
    return 0.0


def _rows(file: Path) -> dict[str, float]:
    pairs = (line.split() for line in file.read_text("ascii").splitlines())
    return {pair[0]: float(pair[1]) for pair in pairs if len(pair) == 2}
