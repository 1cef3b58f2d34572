"""Strikes on the processes of a run: this rank, one of the workers that load data for it, or a rank that has been started again."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
from typing import Any

from refute.injectors.training.armed import Armed, is_last_rank
from refute.injectors.training.marks import claimed, note
from refute.injectors.training.numerics import STRIKES

_WAKE = "import os, signal, sys, time; time.sleep(float(sys.argv[2])); os.kill(int(sys.argv[1]), signal.SIGCONT)"


class ArmedRank(Armed):
    """The last rank is killed, frozen, slowed, or computes something else than the others."""

    def _due(self, optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        del args, kwargs
        if not is_last_rank():
            return
        if self._fault == "rank.slow":
            self._lasts("rank slowed")
            self._lease.wait_revoked(self._magnitude)
        elif self._fault == "rank.corrupts":
            if STRIKES[self._fault](optimizer, self._magnitude, self._rng):
                self._lasts("gradients corrupted from here on")
        elif self._claimed():
            self._strike(optimizer)

    def _strike(self, optimizer: Any) -> None:
        if self._fault == "rank.killed":
            kill_rank(self._steps)
        elif self._fault == "rank.frozen":
            self._landed = self._over = True
            freeze_rank(self._steps, self._magnitude)
        else:
            self._done(STRIKES[self._fault](optimizer, self._magnitude, self._rng))

    def _lasts(self, effect: str) -> None:
        """Take down, once, what strikes at each step from now on."""
        if not self._landed:
            note(self._steps, effect)
        self._landed = True


class ArmedWorker(Armed):
    """One of the processes that load data is killed or frozen."""

    def _due(self, optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        del optimizer, args, kwargs
        if workers() and self._claimed():
            self._done(strike_worker(None if self._fault == "loader.worker_killed" else self._magnitude, self._rng))


class ArmedResume(Armed):
    """The last rank is killed; where the run goes on, its sources of chance are not where they were."""

    def _before(self, optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not self._steps and claimed(self._handle) and not self._over and self._may():
            self._done(reseeded(self._rng.getrandbits(32)))
        return super()._before(optimizer, args, kwargs)

    def _due(self, optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        del optimizer, args, kwargs
        if is_last_rank() and self._claimed():
            kill_rank(self._steps)


def reseeded(seed: int) -> str:
    """Give the global sources of chance of Python, numpy and torch another state."""
    random.seed(seed)
    for name in ("torch", "numpy.random"):
        module: Any = sys.modules.get(name)
        if module is not None:
            (module.manual_seed if name == "torch" else module.seed)(seed)
    return "resumed with other random numbers"


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
