"""Somebody's own program, armed from its first line and run to its end: `refute try`, without any file."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from refute.core.arming import Arming, Handle, Landing
from refute.core.errors import refuse
from refute.core.link import Message
from refute.experiment.design import LEASE_TTL_S
from refute.experiment.link import Link, Peer
from refute.injectors.boot import python_path
from refute.injectors.boot.join import ALONE_VARIABLE
from refute.injectors.registry import choose
from refute.safety.journal import Journal

_RENEW_S = LEASE_TTL_S / 3
_LAST_S = 2.0


@dataclass(frozen=True, slots=True)
class Trial:
    """What a program did while a fault was armed in it.

    Attributes:
        exit_code: of the program; negative for the signal that ended it.
        landing: what was delivered.
        exceptions: the client library's exceptions by name, caught or not.
        processes: Python processes that were armed.
        rolled_back: whether the rollback is proven.
        seconds: how long it ran.
        interrupted: whether somebody ended it.
    """

    exit_code: int
    landing: Landing
    exceptions: dict[str, int] = field(default_factory=dict)
    processes: int = 0
    rolled_back: bool = True
    seconds: float = 0.0
    interrupted: bool = False


class Program:
    """Runs one command with one fault armed in every Python process that it starts.

    Args:
        command: the program and its arguments.
        arming: the fault, aimed.
        journal: the rollback journal.
        own_stdout: whether the program writes to our standard output; else to standard error.
    """

    def __init__(self, command: Sequence[str], arming: Arming, journal: Journal, *, own_stdout: bool = True) -> None:
        """Start nothing yet."""
        self._stdout = None if own_stdout else sys.stderr
        self._command = list(command)
        self._arming = arming
        self._journal = journal
        self._link = Link(self._heard)
        self._exceptions: Counter[str] = Counter()

    async def run(self) -> Trial:
        """Run the program to its end.

        Raises:
            RefuteError: it could not be started (`PROGRAM-START`), or the journal could not be written.
        """
        injector = choose(self._arming)
        handle = injector.prepare(self._arming)
        start, interrupted = time.monotonic(), False
        async with self._link:
            self._journal.advance(handle, "intended", experiment="try")
            self._link.arm_joining([handle], LEASE_TTL_S)
            process = await self._start()
            self._journal.advance(handle, "applied")
            try:
                await self._accompany(process)
            except asyncio.CancelledError:
                interrupted = True
                await _end(process)
            finally:
                proven = await self._roll_back(handle)
        return Trial(
            process.returncode or 0, self._link.landed(handle), dict(self._exceptions), len(self._link.peers),
            proven, time.monotonic() - start, interrupted,
        )  # fmt: skip

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

    async def _accompany(self, process: asyncio.subprocess.Process) -> None:
        """Renew the lease until the program ends."""
        while process.returncode is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_RENEW_S):
                    await process.wait()
            await self._link.renew_live(LEASE_TTL_S)

    async def _roll_back(self, handle: Handle) -> bool:
        proven = await self._link.disarm()
        self._journal.advance(handle, "rolled_back")
        if proven:
            self._journal.advance(handle, "verified")
        return proven

    def _heard(self, _peer: Peer, message: Message) -> None:
        if message["op"] == "leaving":
            self._exceptions.update(message["exceptions"])


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the program and what it started: by request, then by force."""
    for number, wait_s in ((signal.SIGTERM, _LAST_S), (signal.SIGKILL, _LAST_S)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await process.wait()
            return
