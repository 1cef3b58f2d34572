"""Finds the process that serves a component, and what belongs to it. Reads /proc; changes nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from refute.core.process import ProcessIdentity, identity_of
from refute.core.system import Component

_PROC = Path("/proc")
_OURS = ("refute.safety.", "refute.experiment.")
_LISTENS = "0A"
_STALE_S = 5.0


class UnfoundError(Exception):
    """The component's process cannot be told for certain; the text says why."""


def find(component: Component) -> ProcessIdentity:
    """Return the one process that serves a component; of a family the eldest.

    Args:
        component: with a `process`, or with a port at which it listens.

    Raises:
        UnfoundError: there is none, or there are several, or it is one that must not be touched.
    """
    place = component.place
    if place.pidfile:
        root = _from_pidfile(Path(place.pidfile))
    elif place.match:
        root = _only(_matching(place.match), f"a command line with {place.match!r}")
    elif component.port:
        root = _only(_listening(component.port), f"a process that listens at port {component.port}")
    else:
        raise UnfoundError(f"component {component.name!r} says neither `process` nor a port on loopback")
    if reason := untouchable(root.pid):
        raise UnfoundError(f"process {root.pid} is {reason}")
    return root


def family(root: ProcessIdentity) -> list[ProcessIdentity]:
    """Return a process and all its descendants, parents first.

    Raises:
        UnfoundError: one of them must not be touched.
    """
    parents = _parents()
    found = [root.pid]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    running = [identity for pid in found if (identity := identity_of(pid)) is not None]  # the dead that nobody waited for are left out
    for one in running:
        if reason := untouchable(one.pid):
            raise UnfoundError(f"process {one.pid}, of the family of process {root.pid}, is {reason}")
    return running


def is_stopped(process: ProcessIdentity) -> bool:
    """Say whether this very process is stopped: it exists and runs nothing."""
    return identity_of(process.pid) == process and _stat(process.pid)[0] in {"T", "t"}


def untouchable(pid: int) -> str:
    """Say what a process is where no fault may touch it, "" where one may: the system's own, Refute's own, and what they run in."""
    if pid == 1:
        return "the first process of the system"
    arguments = _arguments(pid)
    if not arguments:
        return "a part of the kernel, or gone"
    if arguments[1:2] == ["-m"] and arguments[2:3] and arguments[2].startswith(_OURS):
        return "a part of Refute"
    if pid in _lineage():
        return "this run itself, or what it runs in"
    return ""


def _from_pidfile(path: Path) -> ProcessIdentity:
    try:
        pid, age_s = int(path.read_text("ascii").split()[0]), time.time() - path.stat().st_mtime
    except (OSError, ValueError, IndexError) as error:
        raise UnfoundError(f"{path} holds no process id: {error}") from None
    process = identity_of(pid)
    if process is None:
        raise UnfoundError(f"process {pid}, which {path} names, does not run")
    if age_s > _age_s(process) + _STALE_S:
        raise UnfoundError(f"{path} was written before process {pid} started: it names a process that is gone")
    return process


def _age_s(process: ProcessIdentity) -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(process.started) / os.sysconf("SC_CLK_TCK")


def _matching(text: str) -> Iterator[int]:
    own = _lineage()
    return (pid for pid in _pids() if pid not in own and text in " ".join(_arguments(pid)))


def _listening(port: int) -> Iterator[int]:
    """Yield the processes that hold a listening socket of that port."""
    sockets = {f"socket:[{inode}]" for family in ("tcp", "tcp6") for inode in _inodes(_PROC / "net" / family, port)}
    return (pid for pid in _pids() if sockets & _descriptors(pid)) if sockets else iter(())


def _inodes(table: Path, port: int) -> Iterator[str]:
    try:
        lines = table.read_text("ascii").splitlines()[1:]
    except OSError:
        return
    for fields in map(str.split, lines):
        if fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
            yield fields[9]


def _descriptors(pid: int) -> set[str]:
    found = set()
    with suppress(OSError):
        for entry in (_PROC / str(pid) / "fd").iterdir():
            with suppress(OSError):
                found.add(str(entry.readlink()))
    return found


def _only(pids: Iterable[int], what: str) -> ProcessIdentity:
    """Return the one process that has no ancestor among the others."""
    found, parents = set(pids), _parents()
    roots = sorted(pid for pid in found if not found & set(_ancestors(pid, parents)))
    identities = [identity for pid in roots if (identity := identity_of(pid)) is not None]
    if not identities:
        raise UnfoundError(f"there is no {what.removeprefix('a ')}")
    if len(identities) > 1:
        raise UnfoundError(f"{what} is not the only one: processes {', '.join(str(one.pid) for one in identities)}")
    return identities[0]


def _lineage() -> set[int]:
    return {os.getpid(), *_ancestors(os.getpid(), _parents())}


def _ancestors(pid: int, parents: Mapping[int, int]) -> Iterator[int]:
    while (pid := parents.get(pid, 0)) > 0:
        yield pid


def _parents() -> dict[int, int]:
    return {pid: int(fields[1]) for pid in _pids() if len(fields := _stat(pid)) > 1}


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal())


def _stat(pid: int) -> list[str]:
    """Return state, parent and so on: the fields of `stat` after the name."""
    try:
        return (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].decode().split()
    except OSError:
        return [""]


def _arguments(pid: int) -> list[str]:
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []
