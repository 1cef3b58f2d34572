"""Somebody's own program, armed from its first line and run to its end: `refute try`, without any file."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from refute.core.arming import Arming, Landing
from refute.core.errors import refuse
from refute.core.link import Message
from refute.experiment.armament import Armament, Rollback, to_the_end
from refute.experiment.doors import invite_proxies
from refute.experiment.link import Link
from refute.experiment.peer import Peer
from refute.injectors.boot import python_path
from refute.injectors.boot.join import ALONE_VARIABLE
from refute.safety.journal import Journal

_LOOK_S = 0.2
_LAST_S = 2.0


@dataclass(frozen=True, slots=True)
class Trial:
    """What a program did while a fault was armed in it.

    Attributes:
        exit_code: of the program; negative for the signal that ended it; None where it was not started.
        landing: what was delivered.
        exceptions: the client library's exceptions by name, caught or not.
        processes: Python processes that were armed.
        rollback: what became of the fault; None where it was never armed.
        seconds: how long it ran.
        interrupted: whether somebody ended it.
    """

    exit_code: int | None
    landing: Landing
    exceptions: dict[str, int] = field(default_factory=dict)
    processes: int = 0
    rollback: Rollback | None = None
    seconds: float = 0.0
    interrupted: bool = False

    @property
    def rolled_back(self) -> bool:
        """Whether nothing was armed, or the rollback is proven."""
        return self.rollback is None or self.rollback.proof.proven


class Program:
    """Runs one command with one fault armed in every Python process that it starts.

    Args:
        command: the program and its arguments.
        arming: the fault, aimed.
        journal: the rollback journal.
        aborted: says whether an abort was asked for.
        own_stdout: whether the program writes to our standard output; else to standard error.
    """

    def __init__(
        self, command: Sequence[str], arming: Arming, journal: Journal, aborted: Callable[[], bool], *, own_stdout: bool = True
    ) -> None:
        """Start nothing yet."""
        self._stdout = None if own_stdout else sys.stderr
        self._command = list(command)
        self._arming = arming
        self._aborted = aborted
        self._link = Link(self._heard)
        self._armament = Armament(journal, self._link)
        self._process: asyncio.subprocess.Process | None = None
        self._exceptions: Counter[str] = Counter()
        self._rollback: Rollback | None = None

    async def run(self) -> Trial:
        """Run the program to its end, or until this is cancelled; nothing stays armed either way.

        Raises:
            RefuteError: it could not be started (`PROGRAM-START`), or the journal could not be written; nothing was armed then.
        """
        start, interrupted = time.monotonic(), False
        try:
            async with self._link:
                try:
                    await self._armed()
                finally:
                    await to_the_end(self._close())
        except asyncio.CancelledError:
            interrupted = True
        rollback = self._rollback
        return Trial(
            self._process.returncode if self._process else None, rollback.landings[0] if rollback else Landing(), dict(self._exceptions),
            sum(peer.role == "exec" for peer in self._link.peers), rollback, time.monotonic() - start, interrupted,
        )  # fmt: skip

    async def _armed(self) -> None:
        await invite_proxies(self._link, [self._arming.component])
        holders = [peer.process for peer in self._link.live() if peer.process is not None]
        await self._armament.arm_joining(self._arming, "try", holders)
        self._process = process = await self._start()
        self._armament.applied()
        while process.returncode is None:
            if self._aborted():
                raise asyncio.CancelledError
            await self._armament.keep()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await process.wait()

    async def _start(self) -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(
                *self._command, env=self._environment(), stdout=self._stdout, start_new_session=True
            )
        except OSError as error:
            raise refuse("PROGRAM-START", "the command could not be started", seen=f"{self._command[0]}: {error.strerror}") from None

    def _environment(self) -> dict[str, str]:
        """Return the environment that has every Python process join the link before its first line."""
        return {**os.environ, **self._link.environment, ALONE_VARIABLE: "1", "PYTHONPATH": python_path()}

    async def _close(self) -> None:
        """End the program where it still runs, then remove the fault and prove it."""
        if self._process is not None and self._process.returncode is None:
            await _end(self._process)
        self._rollback = await self._armament.roll_back("the program ended")

    def _heard(self, _peer: Peer, message: Message) -> None:
        if message["op"] == "leaving":
            self._exceptions.update(message["exceptions"])


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the program and what it started, except what has left its process group: by request, then by force."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        until_s = time.monotonic() + _LAST_S
        left = _signalled(process.pid, number)
        while left and time.monotonic() < until_s:
            await asyncio.sleep(_LOOK_S / 4)
            left = _signalled(process.pid, 0)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LAST_S):
            await process.wait()


def _signalled(group: int, number: int) -> bool:
    """Send a signal to a process group, and say whether anybody was there."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True
