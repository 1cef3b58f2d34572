"""Faults by signal: a process and all its descendants are stopped and continued, or killed."""

from __future__ import annotations

import contextlib
import signal
import time

from refute.core.arming import Arming, Handle, Landing, RollbackKind
from refute.core.lease import Lease
from refute.core.process import ProcessIdentity, is_running, send
from refute.injectors.host._processes import UnfoundError, find, is_stopped
from refute.injectors.host._target import family_of, grown, processes_of, unnamed
from refute.injectors.host._whole import Lack, Looks, arming_of, misfit, permitted, refused

_PAUSE, _KILL = "process.pause", "process.kill"
_SETTLE_S = 1.0
_TICK_S = 0.005


class SignalsInjector:
    """Stops the process that serves a component with SIGSTOP, or kills it with SIGKILL."""

    name = "signals"
    rollback_kind: RollbackKind = "journalled"
    faults = (_PAUSE, _KILL)

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
        return "SIGSTOP, SIGCONT and SIGKILL, to processes of the same user, or as root"

    def prepare(self, arming: Arming) -> Handle:
        """Find the processes; touch none.

        Raises:
            RefuteError: they cannot be told for certain, or one is stopped already (`HOST-REFUSED`).
        """
        if reason := self.refuses(arming):
            raise refused(arming, reason)
        processes = [process.to_json() for process in family_of(arming)]
        return Handle(self.name, "journalled", {"arming": arming.to_json(), "processes": processes})

    def apply(self, handle: Handle, lease: Lease) -> None:
        """Stop or kill them all.

        Raises:
            RefuteError: they are not the same any more, or may not be told (`HOST-REFUSED`); the rollback is then due.
        """
        arming, processes = arming_of(handle), processes_of(handle)
        number = signal.SIGKILL if arming.fault == _KILL else signal.SIGSTOP
        for process in processes:
            permitted(arming, lease)
            _told(arming, process, number)
        done = _gone if arming.fault == _KILL else is_stopped
        until_s = time.monotonic() + _SETTLE_S
        while not all(map(done, processes)) and time.monotonic() < until_s:
            time.sleep(_TICK_S)
        if arming.fault == _PAUSE and (reason := grown(processes)):
            raise refused(arming, reason)

    def landed(self, handle: Handle) -> Landing:
        """Look whether all are stopped, or gone."""
        processes, killed = processes_of(handle), arming_of(handle).fault == _KILL
        struck = sum(map(_gone if killed else is_stopped, processes))
        if struck == len(processes):
            return self._looks.note(handle, {"killed_processes" if killed else "stopped_processes": float(struck)})
        return self._looks.note(handle, {}, _why(processes, killed=killed))

    def rollback(self, handle: Handle) -> None:
        """Continue them all; what is killed is started again by whatever supervises it."""
        if arming_of(handle).fault == _KILL:
            return
        for process in reversed(processes_of(handle)):
            with contextlib.suppress(ProcessLookupError):
                send(process, signal.SIGCONT)

    def verify(self, handle: Handle) -> bool:
        """Say whether none of them is stopped; of a kill, whether another process serves the component."""
        arming = arming_of(handle)
        if arming.fault == _PAUSE:
            return not any(map(is_stopped, processes_of(handle)))
        try:
            find(arming.component)
        except UnfoundError:
            return False
        return True


def _gone(process: ProcessIdentity) -> bool:
    return not is_running(process)


def _why(processes: list[ProcessIdentity], *, killed: bool) -> str:
    if killed:
        return "a process was seen to live on"
    ended = [process.pid for process in processes if _gone(process)]
    return f"process {ended[0]} ended while it was stopped" if ended else "a process was seen running: somebody continues it"


def _told(arming: Arming, process: ProcessIdentity, number: signal.Signals) -> None:
    try:
        running = send(process, number)
    except OSError as error:
        raise refused(arming, f"process {process.pid} may not be told: {error.strerror}") from None
    if not running and number == signal.SIGSTOP:
        raise refused(arming, f"process {process.pid} has ended meanwhile")


INJECTOR = SignalsInjector()
"""The one of this process."""
