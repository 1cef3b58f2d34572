"""Which process is which: a pid is used again, a pid with its start time within one boot is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process of one boot.

    Attributes:
        pid: process id.
        started: when it started, in the system's own words: only equality counts.
        boot: id of the boot.
    """

    pid: int
    started: str
    boot: str

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ProcessIdentity:
        """Return the identity that `to_json` wrote."""
        return cls(data["pid"], data["started"], data["boot"])


def this_process() -> ProcessIdentity:
    """Return the identity of the running process."""
    pid = os.getpid()
    return ProcessIdentity(pid, _started(pid), boot_id())


def identity_of(pid: int) -> ProcessIdentity | None:
    """Return the identity of a process, None where it does not run (a zombie runs no code)."""
    started = _started(pid)
    return ProcessIdentity(pid, started, boot_id()) if started else None


def is_running(process: ProcessIdentity) -> bool:
    """Say whether this very process still runs: same boot, same pid, same start."""
    return identity_of(process.pid) == process


def terminate(process: ProcessIdentity) -> bool:
    """Send SIGTERM to this very process, and to no other that got its pid since.

    Returns:
        Whether it was running and could be told.
    """
    try:
        return send(process, signal.SIGTERM)
    except OSError:
        return False


def send(process: ProcessIdentity, number: signal.Signals) -> bool:
    """Send a signal to this very process, and to no other that got its pid since.

    Returns:
        Whether it was running.

    Raises:
        OSError: it runs, and may not be told.
    """
    if not hasattr(os, "pidfd_open"):
        return is_running(process) and _signalled(process.pid, number)
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    try:
        if not is_running(process):
            return False
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def _signalled(pid: int, number: signal.Signals) -> bool:
    os.kill(pid, number)
    return True


@cache
def boot_id() -> str:
    """Return what names the current boot, "" where the system does not say."""
    if sys.platform == "darwin":
        return _output("sysctl", "-n", "kern.bootsessionuuid")
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def _started(pid: int) -> str:
    """Return a process's start time, "" where it does not run."""
    if sys.platform == "darwin":
        state, _, started = _output("ps", "-o", "stat=,lstart=", "-p", str(pid)).partition(" ")
        return "" if state.startswith("Z") else " ".join(started.split())
    try:
        after_name = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return ""
    return "" if after_name[0] in {b"Z", b"X"} else after_name[19].decode()


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
