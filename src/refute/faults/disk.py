"""Faults of disks: they strike the file system that a component writes to."""

from __future__ import annotations

from refute.faults.process import SERVED
from refute.faults.spec import Fault, Magnitude

FULL = Fault(
    name="disk.full",
    summary="The file system is full.",
    kinds=SERVED | {"trainer"},
    hazard="state_write",
    effect=(
        "A ballast file takes all space of the file system that holds the directory, but for the magnitude: writes fail with ENOSPC, "
        "or come out short. Only a file system of its own is filled, never one that the host, its temporary files or Refute itself need."
    ),
    landing="room for more than the magnitude is asked of the file system and refused, at every look",
    undone_by="the guardian: the ballast file is deleted; what the component failed to write stays unwritten",
    belief="With no room left, the component says so and loses nothing that it had.",
    source="log files that nobody rotates, forgotten snapshots, checkpoints",
    magnitude=Magnitude(unit="MB", low=0.0, high=100_000.0, typical=0.0, meaning="room that is left, in millions of bytes"),
    acts_on="directory",
)

SLOW = Fault(
    name="disk.slow",
    summary="Little gets to and from the disk at a time.",
    kinds=SERVED,
    hazard="availability",
    effect=(
        "What the component's processes read from and write to the disk that holds the directory goes through at no more than the "
        "magnitude each way. What the kernel has in its cache is read as ever; writes wait once they must reach the "
        "disk: with version 1 of control groups those that are direct or that somebody waits for (fsync), with version 2 all to files "
        "that were not being written before."
    ),
    landing=(
        "the kernel counts at least 80 % of what may go through within half a second, or more that was asked for: a component that leaves "
        "its disk alone is not struck"
    ),
    undone_by="the guardian: the limit is lifted, each process is moved back to its group, and the control group is removed",
    belief="A slow disk costs time, not answers, and nothing that was confirmed is lost.",
    source="throttled cloud volumes, backups and neighbours on the same storage, failing disks",
    magnitude=Magnitude(
        unit="kB/s",
        low=10.0,
        high=10_000_000.0,
        typical=500.0,
        meaning="what goes through each way, in thousands of bytes a second",
        log=True,
    ),
    acts_on="directory",
)

FAULTS = (FULL, SLOW)
