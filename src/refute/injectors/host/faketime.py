"""Faults by libfaketime: the clock of a process that was started with it is shifted by what stands in a file."""

from __future__ import annotations

import http.client
import os
import ssl
import stat
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

from refute.core.arming import Arming, Handle, Landing, RollbackKind
from refute.core.lease import Lease
from refute.core.process import ProcessIdentity, is_running
from refute.injectors.host._libfaketime import INSTALL, MISSING, TRUE, file_of, library, readers
from refute.injectors.host._opened import Openings
from refute.injectors.host._target import family_of, processes_of, unnamed
from refute.injectors.host._watch import Watch
from refute.injectors.host._whole import Lack, arming_of, magnitude_of, misfit, permitted, refused

_AHEAD, _BACK = "process.clock_skew", "process.clock_back"
_TOLERANCE_S = 2.5
"""A `Date` has whole seconds, and servers keep it for one."""
_LIMIT_S = 1.0


class FaketimeInjector:
    """Writes the shift into the file that the process reads its clock by."""

    name = "faketime"
    rollback_kind: RollbackKind = "journalled"
    faults = (_AHEAD, _BACK)

    def __init__(self) -> None:
        """Watch nothing yet."""
        self._watch = Watch()
        self._openings: dict[str, Openings] = {}

    def refuses(self, arming: Arming) -> str:
        """Say why this injector cannot do it, or return ""; the process need not run yet."""
        return misfit(arming, self.faults) or unnamed(arming.component) or self.lacks(arming.fault).what

    def lacks(self, _fault: str) -> Lack:
        """Say whether there is a library that works."""
        return Lack() if library() else Lack(MISSING, INSTALL)

    def means(self, _fault: str) -> str:
        """Say by which library."""
        return library()

    def prepare(self, arming: Arming) -> Handle:
        """Find the processes and the file that they read; write nothing.

        Raises:
            RefuteError: they were not started so, or not they alone, or the file is not as it should be (`HOST-REFUSED`).
        """
        if reason := self.refuses(arming):
            raise refused(arming, reason)
        processes = family_of(arming)
        file = file_of(processes[0])
        if reason := _unfit(file, processes):
            raise refused(arming, reason)
        sign = "+" if arming.fault == _AHEAD else "-"
        data = {"arming": arming.to_json(), "processes": [one.to_json() for one in processes]}
        return Handle(self.name, "journalled", data | {"file": file, "shift": f"{sign}{magnitude_of(arming):g}"})

    def apply(self, handle: Handle, lease: Lease) -> None:
        """Write the shift.

        Raises:
            RefuteError: it cannot be written (`HOST-REFUSED`); the rollback is then due.
        """
        arming = arming_of(handle)
        permitted(arming, lease)
        try:
            _say(handle.data["file"], handle.data["shift"])
            openings = self._openings[handle.id] = Openings(Path(handle.data["file"]))
        except OSError as error:
            raise refused(arming, f"{handle.data['file']}: {error.strerror}") from None
        self._watch.begin(handle, lease, _look(handle, openings))

    def landed(self, handle: Handle) -> Landing:
        """Return what looking at answers, or at who reads the file, has shown."""
        seen = self._watch.landed(handle)
        return Landing(eligible=1, injected=1, effect=seen.effect) if "clock_reads" in seen.effect else seen

    def rollback(self, handle: Handle) -> None:
        """Write that the clock is true; a shift that somebody else has written meanwhile stays."""
        if openings := self._openings.pop(handle.id, None):
            openings.close()
        said, read = _said(handle.data["file"]), any(map(is_running, processes_of(handle)))
        if said == handle.data["shift"] or (not said and read):
            _say(handle.data["file"], TRUE)

    def verify(self, handle: Handle) -> bool:
        """Say whether the file no longer shifts the clock; one that is gone leaves the clock as it was, while there is a process."""
        said = _said(handle.data["file"])
        return said not in {handle.data["shift"], ""} or not any(map(is_running, processes_of(handle)))


def _unfit(file: str, processes: list[ProcessIdentity]) -> str:
    """Say why the clock of these processes cannot be shifted, or not theirs alone; "" where it can."""
    if not file:
        return f"process {processes[0].pid} was not started with libfaketime: see `python -m refute.integrations.clock --help`"
    if others := sorted(one.pid for one in processes if file_of(one) != file):
        return f"process {others[0]}, of its family, does not read its clock by {file}"
    if strangers := sorted(readers(file) - {one.pid for one in processes}):
        return f"process {strangers[0]}, which is not of its family, reads its clock by {file}, too"
    try:
        plain = stat.S_ISREG(Path(file).stat(follow_symlinks=False).st_mode)
    except OSError as error:
        return f"{file}: {error.strerror}"
    return "" if plain and _said(file) == TRUE else f"{file} does not say {TRUE}: its clock is shifted already"


def _said(file: str) -> str:
    """Return what stands in the file, "" where there is none."""
    try:
        return Path(file).read_text("ascii", "replace").strip()
    except FileNotFoundError:
        return ""


def _say(file: str, shift: str) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    try:
        os.pwrite(descriptor, f"{shift}\n".encode(), 0)
        os.ftruncate(descriptor, len(shift) + 1)
    finally:
        os.close(descriptor)


def _look(handle: Handle, openings: Openings) -> Callable[[], tuple[dict[str, float], str]]:
    """Watch what a component says the time is; where it does not say, whether it reads the file."""
    endpoint, wanted_s = arming_of(handle).component.endpoint, float(handle.data["shift"])
    reads = 0

    def look() -> tuple[dict[str, float], str]:
        nonlocal reads
        reads += openings.since()
        moved_s = _moved_s(endpoint)
        if moved_s is None:
            return ({"clock_reads": float(reads)}, "") if reads else ({}, "it has not read its clock")
        if abs(moved_s - wanted_s) > _TOLERANCE_S:
            return {}, f"its clock was off by {moved_s:g} s"
        return {"clock_ahead_s" if wanted_s > 0 else "clock_behind_s": abs(moved_s)}, ""

    return look


def _moved_s(endpoint: str) -> float | None:
    """Return by how much the `Date` of an answer is off, seconds; None where there is none."""
    parts = urlsplit(endpoint)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return None
    if parts.scheme == "https":
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=_LIMIT_S, context=context)
    else:
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=_LIMIT_S)
    try:
        connection.request("HEAD", parts.path or "/")
        told = connection.getresponse().headers["Date"]
        return parsedate_to_datetime(told).timestamp() - time.time() if told else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


INJECTOR = FaketimeInjector()
"""The one of this process."""
