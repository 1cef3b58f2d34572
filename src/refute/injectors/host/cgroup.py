"""Faults by control group (version 1): a process and all its descendants get a small share of a processor."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from refute.core.arming import Arming, Handle, Landing, RollbackKind
from refute.core.lease import Lease
from refute.core.process import is_running
from refute.faults.catalogue import catalogue
from refute.injectors.host._target import family_of, processes_of, unnamed
from refute.injectors.host._whole import arming_of, misfit, permitted, refused

_PERIOD_US = 20_000
_ATTEMPTS = 20


class CgroupInjector:
    """Moves processes into a control group of their own, and back."""

    name = "cgroup"
    rollback_kind: RollbackKind = "journalled"

    def refuses(self, arming: Arming) -> str:
        """Say why this injector cannot do it, or return ""; the process need not run yet."""
        return misfit(arming, ("process.cpu",)) or unnamed(arming.component) or _incapable()

    def prepare(self, arming: Arming) -> Handle:
        """Find the processes and the groups that they are in; make none.

        Raises:
            RefuteError: they cannot be told for certain (`HOST-REFUSED`).
        """
        if reason := self.refuses(arming):
            raise refused(arming, reason)
        number, processes = secrets.token_hex(6), family_of(arming)
        data = {
            "arming": arming.to_json(), "processes": [one.to_json() for one in processes], "group": f"refute-{number}",
            "before": [_group_of(one.pid) for one in processes],
        }  # fmt: skip
        return Handle(self.name, "journalled", data, id=number)

    def apply(self, handle: Handle, lease: Lease) -> None:
        """Make the group and move the processes, and what they start meanwhile, into it.

        Raises:
            RefuteError: it could not be made (`HOST-REFUSED`); the rollback is then due.
        """
        arming, group = arming_of(handle), _directory(handle)
        permitted(arming, lease)
        scale = catalogue()[arming.fault].magnitude
        assert scale is not None
        try:
            group.mkdir()
            (group / "cpu.cfs_period_us").write_text(str(_PERIOD_US), "ascii")
            (group / "cpu.cfs_quota_us").write_text(str(int(_PERIOD_US * scale.or_typical(arming.magnitude) / 100)), "ascii")
            for process in processes_of(handle):
                if is_running(process):
                    _move(process.pid, group)
            for child in family_of(arming):
                _move(child.pid, group)
        except OSError as error:
            raise refused(arming, f"{group}: {error.strerror}") from None

    def landed(self, handle: Handle) -> Landing:
        """Read in how many periods the group had to wait."""
        try:
            rows = dict(line.split() for line in (_directory(handle) / "cpu.stat").read_text("ascii").splitlines())
        except OSError:
            return Landing(eligible=1, reason="the control group is gone")
        waited = float(rows["nr_throttled"])
        effect = {"periods_waited": waited, "seconds_waited": float(rows["throttled_time"]) / 1e9} if waited else {}
        return Landing(eligible=1, injected=int(bool(effect)), effect=effect, reason="" if effect else "it never wanted more than it got")

    def rollback(self, handle: Handle) -> None:
        """Move each process back to its group, what they have started to the first one's, and remove the group."""
        group, root = _directory(handle), _root()
        before = dict(zip(processes_of(handle), handle.data["before"], strict=True))
        home = root / handle.data["before"][0].lstrip("/")
        for _ in range(_ATTEMPTS):  # a process may start another while it is being moved
            if not (pids := _members(group)):
                break
            for pid in pids:
                name = next((name for one, name in before.items() if one.pid == pid and is_running(one)), None)
                with suppress(ProcessLookupError):
                    _move(pid, home if name is None else root / name.lstrip("/"))
        with suppress(FileNotFoundError):
            group.rmdir()

    def verify(self, handle: Handle) -> bool:
        """Say whether the group is gone."""
        return not _directory(handle).exists()


def _root() -> Path:
    """Return where the version 1 hierarchy of processor time is mounted.

    Raises:
        OSError: it is not.
    """
    for line in Path("/proc/self/mountinfo").read_text("utf-8").splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(maxsplit=2)
        if kind == "cgroup" and "cpu" in options.split(","):
            return Path(before.split()[4])
    raise FileNotFoundError


def _incapable() -> str:
    try:
        root = _root()
    except OSError:
        return "this host has no control groups of version 1 for processor time"
    return "" if os.access(root, os.W_OK) else f"it may not make a group in {root}"


def _group_of(pid: int) -> str:
    """Return the group of processor time that a process is in."""
    for line in Path("/proc", str(pid), "cgroup").read_text("utf-8").splitlines():
        _, controllers, name = line.split(":", 2)
        if "cpu" in controllers.split(","):
            return name
    return "/"


def _directory(handle: Handle) -> Path:
    return _root() / str(handle.data["group"])


def _members(group: Path) -> list[int]:
    try:
        return [int(line) for line in (group / "cgroup.procs").read_text("ascii").split()]
    except FileNotFoundError:
        return []


def _move(pid: int, group: Path) -> None:
    (group / "cgroup.procs").write_text(str(pid), "ascii")


INJECTOR = CgroupInjector()
"""The one of this process."""
