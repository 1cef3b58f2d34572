"""Faults by resource limit: a process and all its descendants get no more memory, or no more descriptors."""

from __future__ import annotations

import resource
from contextlib import suppress
from pathlib import Path
from typing import Any

from refute.core.arming import Arming, Handle, Landing, RollbackKind
from refute.core.lease import Lease
from refute.core.process import ProcessIdentity, is_running
from refute.injectors.host._target import family_of, grown, processes_of, unnamed
from refute.injectors.host._whole import Lack, Looks, arming_of, magnitude_of, misfit, permitted, refused

_MEMORY, _DESCRIPTORS = "process.memory", "process.fd_exhaustion"
_RESOURCE = {_MEMORY: resource.RLIMIT_AS, _DESCRIPTORS: resource.RLIMIT_NOFILE}
_UNIT = {_MEMORY: 1e6, _DESCRIPTORS: 1.0}


class PrlimitInjector:
    """Lowers the soft limit of each process to what it has; the hard limit stays, so that nobody needs a right to raise it again."""

    name = "prlimit"
    rollback_kind: RollbackKind = "journalled"
    faults = tuple(_RESOURCE)

    def __init__(self) -> None:
        """Count nothing yet."""
        self._looks = Looks()

    def refuses(self, arming: Arming) -> str:
        """Say why this injector cannot do it, or return ""; the process need not run yet."""
        return misfit(arming, self.faults) or unnamed(arming.component)

    def lacks(self, _fault: str) -> Lack:
        """Say what the host lacks: nothing."""
        return Lack()

    def means(self, _fault: str) -> str:
        """Say by what."""
        return "resource limits, of processes of the same user, or as root"

    def prepare(self, arming: Arming) -> Handle:
        """Find the processes, what limits they have and what they use; change none.

        Raises:
            RefuteError: they cannot be told for certain, or may not be looked at (`HOST-REFUSED`).
        """
        if reason := self.refuses(arming):
            raise refused(arming, reason)
        processes = family_of(arming)
        data = {"arming": arming.to_json(), "processes": [one.to_json() for one in processes]}
        return Handle(self.name, "journalled", data | {"limits": [_limits(arming, one) for one in processes]})

    def apply(self, handle: Handle, lease: Lease) -> None:
        """Set the limits.

        Raises:
            RefuteError: a process has ended, or may not be told (`HOST-REFUSED`); the rollback is then due.
        """
        arming = arming_of(handle)
        for process, limits in zip(processes_of(handle), handle.data["limits"], strict=True):
            permitted(arming, lease)
            try:
                _set(arming.fault, process, limits["low"], limits["hard"])
            except OSError as error:
                raise refused(arming, f"process {process.pid} may not be limited: {error.strerror}") from None
        if reason := grown(processes_of(handle)):
            raise refused(arming, reason)

    def landed(self, handle: Handle) -> Landing:
        """Look whether every limit stands, and whether it is kept."""
        fault, used, limit = arming_of(handle).fault, 0, 0
        for process, limits in zip(processes_of(handle), handle.data["limits"], strict=True):
            if not is_running(process) or _soft(fault, process) != limits["low"]:
                return self._looks.note(handle, {}, f"the limit of process {process.pid} does not stand any more")
            with suppress(OSError):
                used, limit = used + _used(fault, process), limit + limits["low"]
        return self._looks.note(handle, {"used": float(used), "limit": float(limit)})

    def rollback(self, handle: Handle) -> None:
        """Set the limits that were there before; one that somebody else has set meanwhile stays."""
        fault = arming_of(handle).fault
        for process, limits in zip(processes_of(handle), handle.data["limits"], strict=True):
            if _stands(fault, process, limits):
                with suppress(ProcessLookupError):
                    _set(fault, process, limits["soft"], limits["hard"])

    def verify(self, handle: Handle) -> bool:
        """Say whether none of our limits stands; they end with their process."""
        fault = arming_of(handle).fault
        both = zip(processes_of(handle), handle.data["limits"], strict=True)
        return not any(_stands(fault, process, limits) for process, limits in both)


def _limits(arming: Arming, process: ProcessIdentity) -> dict[str, int]:
    """Return the limits of a process, and the low one that leaves it only so much more than it has."""
    more = int(magnitude_of(arming) * _UNIT[arming.fault])
    try:
        soft, hard = resource.prlimit(process.pid, _RESOURCE[arming.fault])
        low = _used(arming.fault, process) + more
    except OSError as error:
        raise refused(arming, f"process {process.pid} may not be looked at: {error.strerror}") from None
    if low >= soft != resource.RLIM_INFINITY:
        raise refused(arming, f"process {process.pid} has a limit of {soft} already: {low} would not be lower")
    return {"soft": soft, "hard": hard, "low": low}


def _used(fault: str, process: ProcessIdentity) -> int:
    """Return the bytes of address space of a process, or the number of the lowest descriptor that is free."""
    place = Path("/proc") / str(process.pid)
    if fault == _MEMORY:
        return int((place / "statm").read_text("ascii").split()[0]) * resource.getpagesize()
    taken = {int(entry.name) for entry in (place / "fd").iterdir()}
    return next(number for number in range(len(taken) + 1) if number not in taken)


def _set(fault: str, process: ProcessIdentity, soft: int, hard: int) -> None:
    if not is_running(process):
        raise ProcessLookupError(0, "it has ended")
    resource.prlimit(process.pid, _RESOURCE[fault], (soft, hard))


def _soft(fault: str, process: ProcessIdentity) -> int:
    try:
        return resource.prlimit(process.pid, _RESOURCE[fault])[0]
    except ProcessLookupError:
        return -2


def _stands(fault: str, process: ProcessIdentity, limits: dict[str, Any]) -> bool:
    return is_running(process) and _soft(fault, process) == limits["low"]


INJECTOR = PrlimitInjector()
"""The one of this process."""
