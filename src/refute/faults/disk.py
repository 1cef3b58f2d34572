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

FAULTS = (FULL,)
