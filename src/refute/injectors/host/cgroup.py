"""Faults by control group: a process and all its descendants get little processor time, memory, or way to and from a disk."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from refute.core.arming import Arming, Handle, Landing, RollbackKind
from refute.core.lease import Lease
from refute.core.process import is_running
from refute.injectors.host._devices import NoDeviceError, device_of
from refute.injectors.host._groups import OURS, NoGroupError, empty, hierarchy, make, move, write
from refute.injectors.host._limits import LIMITS, OOM, SLOW, killed, moved_bytes, waited
from refute.injectors.host._processes import UnfoundError, find
from refute.injectors.host._target import family_of, processes_of, unnamed
from refute.injectors.host._watch import Watch
from refute.injectors.host._whole import Lack, arming_of, magnitude_of, misfit, permitted, refused

_FULL = 0.8
"""Share of what may go through from which on a component is taken to have waited."""


class CgroupInjector:
    """Moves processes into a control group of their own, of whichever version the host has, and back."""

    name = "cgroup"
    rollback_kind: RollbackKind = "journalled"
    faults = tuple(LIMITS)

    def __init__(self) -> None:
        """Watch nothing yet."""
        self._watch = Watch()
        self._seen: dict[str, dict[str, float]] = {}

    def refuses(self, arming: Arming) -> str:
        """Say why this injector cannot do it, or return ""; the process need not run yet."""
        if reason := misfit(arming, self.faults) or unnamed(arming.component) or self.lacks(arming.fault).what:
            return reason
        try:
            _device(arming)
        except NoDeviceError as error:
            return str(error)
        return ""

    def lacks(self, fault: str) -> Lack:
        """Say which control groups the host lacks."""
        try:
            tree = hierarchy(LIMITS[fault].controller)
            if tree.version == 2 and (beside := LIMITS[fault].beside):  # what is written late is counted by its memory's group
                hierarchy(beside)
        except NoGroupError as error:
            return Lack(str(error), error.next)
        return Lack()

    def means(self, fault: str) -> str:
        """Say by which control groups."""
        tree = hierarchy(LIMITS[fault].controller)
        return f"control groups of version {tree.version} in {tree.root}"

    def prepare(self, arming: Arming) -> Handle:
        """Find the processes and the groups that they are in; make none.

        Raises:
            RefuteError: they cannot be told for certain, or no group can be made for them (`HOST-REFUSED`).
        """
        if reason := self.refuses(arming):
            raise refused(arming, reason)
        number, processes = secrets.token_hex(6), family_of(arming)
        tree = hierarchy(LIMITS[arming.fault].controller)
        try:
            before = [tree.group_of(one.pid) for one in processes]
            parent = tree.parent_for(before[0])
        except (OSError, NoGroupError) as error:
            raise refused(arming, str(error)) from None
        if ours := [group for group in before if OURS in str(group)]:
            raise refused(arming, f"another fault has moved it to {ours[0]}")
        data = {
            "arming": arming.to_json(), "processes": [one.to_json() for one in processes], "group": str(parent / f"{OURS}{number}"),
            "before": [str(group) for group in before], "version": tree.version, "device": _device(arming),
        }  # fmt: skip
        return Handle(self.name, "journalled", data, id=number)

    def apply(self, handle: Handle, lease: Lease) -> None:
        """Make the group and move the processes, and what they start meanwhile, into it.

        Raises:
            RefuteError: it could not be made (`HOST-REFUSED`); the rollback is then due.
        """
        arming, group = arming_of(handle), Path(handle.data["group"])
        permitted(arming, lease)
        settings = LIMITS[arming.fault].settings(handle.data["version"], magnitude_of(arming), handle.data["device"])
        try:
            make(group, settings, [one.pid for one in processes_of(handle) if is_running(one)])
            for child in family_of(arming):
                with suppress(ProcessLookupError):
                    move(child.pid, group)
        except OSError as error:
            raise refused(arming, f"{group}: {error.strerror}") from None
        if arming.fault == SLOW:
            self._watch.begin(handle, lease, _flow(handle))

    def landed(self, handle: Handle) -> Landing:
        """Read what the kernel has counted."""
        fault, group = arming_of(handle).fault, Path(handle.data["group"])
        if fault == SLOW:
            seen = self._watch.landed(handle)
            effect, why = seen.effect, "it never moved as much as it may"
        else:
            try:
                effect, why = (killed if fault == OOM else waited)(group), "it never wanted more than it got"
            except OSError:
                effect, why = self._seen.get(handle.id, {}), "the control group is gone"
        self._seen[handle.id] = effect
        return Landing(eligible=1, injected=int(bool(effect)), effect=effect, reason="" if effect else why)

    def rollback(self, handle: Handle) -> None:
        """Lift the limits, move each process back to its group, what they have started to the first one's, and remove the group."""
        group, limit = Path(handle.data["group"]), LIMITS[arming_of(handle).fault]
        if group.is_dir():
            with suppress(OSError):  # the device may be gone
                write(group, limit.lift(handle.data["version"], handle.data["device"]))
        before = [Path(name) for name in handle.data["before"]]
        homes = {one.pid: home for one, home in zip(processes_of(handle), before, strict=True) if is_running(one)}
        empty(group, homes, before[0])

    def verify(self, handle: Handle) -> bool:
        """Say whether the group is gone; where the kernel may have killed, also whether a process serves the component again."""
        if Path(handle.data["group"]).exists():
            return False
        arming = arming_of(handle)
        if arming.fault != OOM or all(map(is_running, processes_of(handle))):
            return True
        try:
            find(arming.component)
        except UnfoundError:
            return False
        return True


def _device(arming: Arming) -> str:
    if arming.fault != SLOW:
        return ""
    if not arming.component.place.directory:
        raise NoDeviceError(f"component {arming.component.name!r} says no `directory`")
    return device_of(Path(arming.component.place.directory))


def _flow(handle: Handle) -> Callable[[], tuple[dict[str, float], str]]:
    """Watch how much goes through since the look before: what moves as much as it may has had to wait."""
    group, device, most = Path(handle.data["group"]), handle.data["device"], magnitude_of(arming_of(handle)) * 1000
    last = [time.monotonic(), 0.0]

    def look() -> tuple[dict[str, float], str]:
        try:
            now_s, now = time.monotonic(), moved_bytes(group, device)
        except OSError:
            return {}, "the control group is gone"
        per_s = (now - last[1]) / max(now_s - last[0], 0.1)
        last[:] = now_s, now
        return ({"bytes_per_s": per_s}, "") if per_s >= _FULL * most else ({}, "")

    return look


INJECTOR = CgroupInjector()
"""The one of this process."""
