"""Strikes on the processes of a run: this rank, or one of the workers that load data for it."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
from typing import Any

from refute.injectors.training.marks import note

_WAKE = "import os, signal, sys, time; time.sleep(float(sys.argv[2])); os.kill(int(sys.argv[1]), signal.SIGCONT)"


def kill_rank(step: int) -> None:
    """End this process at once; what it did is on disk before."""
    note(step, "rank killed")
    os.kill(os.getpid(), signal.SIGKILL)


def freeze_rank(step: int, seconds: float) -> None:
    """Stop this process, and have it go on later."""
    _wake_later(os.getpid(), seconds)
    note(step, "rank frozen")
    os.kill(os.getpid(), signal.SIGSTOP)


def workers() -> list[int]:
    """Return the processes that load data for this one."""
    return sorted(child.pid for child in multiprocessing.active_children() if child.pid is not None and _loads(child))


def strike_worker(seconds: float | None, rng: random.Random) -> str:
    """Kill one of the workers that load data, or stop it for some seconds.

    Args:
        seconds: None to kill.
        rng: draws which.
    """
    found = workers()
    if not found:
        return ""
    pid = rng.choice(found)
    if seconds is not None:
        _wake_later(pid, seconds)
    os.kill(pid, signal.SIGKILL if seconds is None else signal.SIGSTOP)
    return f"loader worker {'killed' if seconds is None else 'frozen'}"


def _loads(child: Any) -> bool:
    """Say whether a child process is a worker of a torch loader; a started process has forgotten its target, and then any daemon counts."""
    target = getattr(child, "_target", None)
    return getattr(target, "__module__", "").startswith("torch.utils.data") if target is not None else bool(child.daemon)


def _wake_later(pid: int, seconds: float) -> None:
    """Start a process that wakes another one; it belongs to the run, and ends with it."""
    subprocess.Popen([sys.executable, "-I", "-S", "-c", _WAKE, str(pid), str(seconds)], start_new_session=True, stdin=subprocess.DEVNULL)
