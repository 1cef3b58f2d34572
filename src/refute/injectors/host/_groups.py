"""Control groups of this host, version 1 or 2, whichever has a controller: where a process is, and a group of our own beside or below."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
OURS = "refute-"
_OLD_NAMES = {"io": "blkio"}
_ATTEMPTS = 20


class NoGroupError(Exception):
    """No group can be made for it; the text says why.

    Args:
        what: in words.
        next_: the command that would mend it.
    """

    def __init__(self, what: str, next_: str = "") -> None:
        """Keep both."""
        super().__init__(what)
        self.next = next_


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """One mounted tree of control groups.

    Attributes:
        controller: what it is to limit, as version 2 calls it: `cpu`, `io`, `memory`; "" for the version 2 tree itself.
        version: 1 or 2.
        root: where it is mounted.
        within: the group of the whole tree that the mount shows, "/" but in containers.
        proc: where processes are seen.
    """

    controller: str
    version: int
    root: Path
    within: str = "/"
    proc: Path = PROC

    def group_of(self, pid: int) -> Path:
        """Return the directory of the group that a process is in; the root where its group is not shown here.

        Raises:
            OSError: the process is gone.
        """
        name = _OLD_NAMES.get(self.controller, self.controller)
        for line in (self.proc / str(pid) / "cgroup").read_text("utf-8").splitlines():
            _, controllers, group = line.split(":", 2)
            if (name in controllers.split(",")) if self.version == 1 else not controllers:
                shown = group if self.within == "/" else group.removeprefix(self.within)
                place = self.root / shown.lstrip("/")
                return place if place.is_dir() and ".." not in place.parts else self.root
        return self.root

    def parent_for(self, group: Path) -> Path:
        """Return where a group may be made for processes that are in `group`.

        In version 1, and where no controller is asked for, below it, so that its own limits go on; in version 2 processes and controlled
        groups may not stand side by side, so that it is the nearest group above that hands the controller down.

        Raises:
            NoGroupError: none does.
        """
        if self.version == 1 or not self.controller:
            return group
        for place in (group, *group.parents) if group == self.root else group.parents:
            if self.controller in _words(place / "cgroup.subtree_control"):
                return place
            if place == self.root:
                break
        raise NoGroupError(f"no group above {group} hands down `{self.controller}`", self.handing_down())

    def handing_down(self) -> str:
        """Return the command by which root has the tree hand its controller down."""
        return f"echo +{self.controller} > {self.root}/cgroup.subtree_control"


def hierarchy(controller: str, proc: Path = PROC) -> Hierarchy:
    """Return the tree that has a controller; a kernel has each in one of them.

    Args:
        controller: `cpu`, `io` or `memory`; "" for the version 2 tree, whatever it has.
        proc: where the mounts are listed.

    Raises:
        NoGroupError: there is none, or no group may be made in it.
    """
    found = next((one for one in _mounted(controller, proc)), None)
    if found is None:
        what = f"this host has no control groups{f' for `{controller}`' if controller else ' of version 2'}"
        raise NoGroupError(what, "mount -t cgroup2 cgroup2 /sys/fs/cgroup")
    if not os.access(found.root, os.W_OK):
        next_ = "sudo refute doctor" if os.geteuid() else f"mount -o remount,rw {found.root}, or start the container with --privileged"
        raise NoGroupError(f"it may not make a control group in {found.root}", next_)
    if found.version == 2 and controller and controller not in _words(found.root / "cgroup.subtree_control"):
        raise NoGroupError(f"control groups of version 2 do not hand down `{controller}`", found.handing_down())
    return found


def _mounted(controller: str, proc: Path) -> Iterator[Hierarchy]:
    """Yield the trees that have the controller."""
    for line in (proc / "self/mountinfo").read_text("utf-8").splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(maxsplit=2)
        _, _, _, within, root, *_ = before.split()
        if kind == "cgroup" and controller and _OLD_NAMES.get(controller, controller) in options.split(","):
            yield Hierarchy(controller, 1, Path(root), within, proc)
        if kind == "cgroup2" and (not controller or controller in _words(Path(root) / "cgroup.controllers")):
            yield Hierarchy(controller, 2, Path(root), within, proc)


def make(group: Path, settings: Mapping[str, Sequence[str]], pids: Sequence[int]) -> None:
    """Make a group, set its limits, and move processes into it; those that have ended are left out.

    Args:
        group: its directory.
        settings: lines to write, by file.
        pids: of the processes.

    Raises:
        OSError: it cannot be made.
    """
    group.mkdir()
    write(group, settings)
    for pid in pids:
        with suppress(ProcessLookupError):
            move(pid, group)


def write(group: Path, settings: Mapping[str, Sequence[str]]) -> None:
    """Write lines to files of a group; a file that ends in `?` may be missing.

    Raises:
        OSError: the kernel refuses one.
    """
    for name, lines in settings.items():
        file = group / name.removesuffix("?")
        if name.endswith("?") and not file.exists():
            continue
        for line in lines:
            file.write_text(line, "ascii")


def empty(group: Path, homes: Mapping[int, Path], otherwise: Path) -> None:
    """Move everything out of a group and remove it; one that is not there is well.

    Args:
        group: its directory.
        homes: where processes belong, by process id.
        otherwise: where all others go: what they have started meanwhile.

    Raises:
        OSError: it cannot be removed.
    """
    for _ in range(_ATTEMPTS):  # a process may start another while it is being moved
        if not (pids := members(group)):
            break
        for pid in pids:
            home = homes.get(pid, otherwise)
            with suppress(ProcessLookupError):
                move(pid, home if home.is_dir() else group.parent)
    with suppress(FileNotFoundError):
        group.rmdir()


def members(group: Path) -> list[int]:
    """Return the ids of the processes in a group, none where it is gone."""
    try:
        return [int(line) for line in (group / "cgroup.procs").read_text("ascii").split()]
    except FileNotFoundError:
        return []


def move(pid: int, group: Path) -> None:
    """Move a process into a group.

    Raises:
        OSError: it may not be moved, or is gone.
    """
    (group / "cgroup.procs").write_text(str(pid), "ascii")


def _words(file: Path) -> list[str]:
    try:
        return file.read_text("ascii").split()
    except OSError:
        return []
