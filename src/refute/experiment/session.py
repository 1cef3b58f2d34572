"""The workload's process behind its link: set up, driven phase by phase, torn down whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Self, TypeVar

from refute.core.errors import EXIT_INCONCLUSIVE, Problem, RefuteError, refuse
from refute.core.intent import Intent, off_limits, providers
from refute.core.link import Message
from refute.core.outcome import Outcome
from refute.core.process import ProcessIdentity
from refute.experiment.armament import to_the_end
from refute.experiment.cases import draw_units, read_cases
from refute.experiment.doors import invite_programs, invite_proxies, keep_inviting
from refute.experiment.link import Link
from refute.experiment.load import MEASURE_S
from refute.experiment.peer import Peer
from refute.experiment.tape import Tape

T = TypeVar("T")
_JOIN_S = 30.0
_SETUP_S = 120.0
_TEARDOWN_S = 10.0
_DRAIN_S = 5.0
_TICK_S = 0.1
_AHEAD_S = 0.5


class Session:
    """One workload process; use as an async context manager.

    Args:
        intent: what to run.
        log: file for what the process prints, anew each time; never read by us, never shared.
        heard: called with each batch of outcomes: (phase, outcomes as sent).
    """

    def __init__(self, intent: Intent, log: Path, heard: Callable[[str, list[dict[str, Any]]], None]) -> None:
        """Start nothing yet."""
        self._intent = intent
        self._log = log
        self._outcomes_heard = heard
        assert intent.workload.cases is not None
        self._cases_path = intent.workload.cases
        self._cases = read_cases(self._cases_path)
        self._journeys = {name: journey.share for name, journey in intent.system.journeys.items()}
        self._audience = intent.blast_radius.audience
        self._process: asyncio.subprocess.Process | None = None
        self._worker: Peer | None = None
        self._ready: asyncio.Future[Message] | None = None
        self._news = asyncio.Event()
        self._tape: Tape | None = None
        self._loaded = False
        self._looking: asyncio.Task[None] | None = None
        self._failure: RefuteError | None = None
        self.link = Link(self._heard, off_limits(intent), providers(intent))

    async def __aenter__(self) -> Self:
        await self.link.__aenter__()
        try:
            with self._log.open("wb") as log:
                self._log.chmod(0o600)
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "refute.experiment.worker",
                    env={**os.environ, **self.link.environment}, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                    start_new_session=True,
                )  # fmt: skip
        except BaseException:
            await self.link.__aexit__()
            raise
        return self

    async def __aexit__(self, *_exc: object) -> None:
        if self._looking is not None:
            self._looking.cancel()
        try:
            await to_the_end(self._end())
        finally:
            await to_the_end(self.link.__aexit__())

    @property
    def worker(self) -> Peer:
        """The process, once it is set up."""
        assert self._worker is not None
        return self._worker

    async def set_up(self) -> dict[str, str]:
        """Have the workload set up.

        Returns:
            Versions of what it runs on.

        Raises:
            RefuteError: it could not be (`WORKLOAD-SETUP`), or a proxy or program that its components need does not join
                (`PROXY-NONE`, `EXEC-NONE`).
        """
        self._ready = asyncio.get_running_loop().create_future()
        workload, components = self._intent.workload, self._intent.system.components.values()
        try:
            self._worker = await self._or_death(self.link.joined("worker", _JOIN_S))
            await self._worker.ask(
                "start", folder=str(self._intent.folder.resolve()), kind=workload.kind, target=workload.target, setup=workload.setup,
                cases=str(self._cases_path.resolve()), limit_s=workload.timeout_s, journeys=self._journeys,
                audience=self._audience.to_json(),
                hosts=sorted(self._intent.blast_radius.hosts),
                indicators=[asdict(indicator) for indicator in self._intent.indicators.values()],
                calls={one.name: one.calls for one in components}, functions={one.name: one.python for one in components if one.python},
            )  # fmt: skip
            async with asyncio.timeout(_SETUP_S):
                ready = await self._or_death(self._ready)
        except TimeoutError:
            raise self._failed("WORKLOAD-SETUP", "the workload could not be set up", "not ready in time") from None
        await invite_proxies(self.link, components)
        await invite_programs(self.link, components)
        self._looking = asyncio.create_task(keep_inviting(self.link, components))
        versions: dict[str, str] = ready["versions"]
        return versions

    def holders(self) -> list[ProcessIdentity]:
        """Return the processes in which a fault would live."""
        return [peer.process for peer in self.link.live() if peer.process is not None]

    def tape(self, phase: str, planned: int, seed: int, cohort: float) -> Tape:
        """Return an empty tape for the units of a phase, as the worker draws them too.

        Args:
            phase: its name.
            planned: how many units there will be at most.
            seed: of units and cohorts.
            cohort: share in treatment, in [0, 1].
        """
        tape = Tape(phase, draw_units(self._cases, self._journeys, seed, phase, self._audience), planned, seed, cohort)
        tape.paced(self._intent.workload.rate_per_s, self._intent.workload.timeout_s)
        return tape

    async def drive(self, tape: Tape, seed: int, cohort: float) -> AsyncIterator[None]:
        """Start a phase's load and yield whenever there may be news, until all its units have ended.

        Args:
            tape: filled as outcomes come in.
            seed: same seed, same units and cohorts.
            cohort: share in treatment, in [0, 1].

        Raises:
            RefuteError: the process died (`WORKLOAD-DIED`) or its units do not end (`WORKLOAD-STUCK`).
        """
        workload = self._intent.workload
        self._tape, self._loaded = tape, False
        load = {
            "units": tape.planned, "rate_per_s": workload.rate_per_s, "cohort": cohort, "seed": seed, "timeout_s": workload.timeout_s,
        }  # fmt: skip
        await self.worker.ask("load", phase=tape.phase, load=load)
        limit_s = tape.planned / workload.rate_per_s + workload.timeout_s + MEASURE_S + _DRAIN_S
        until_s = asyncio.get_running_loop().time() + limit_s
        while not self._loaded:
            await self._next_news()
            if asyncio.get_running_loop().time() > until_s:
                raise self._failed("WORKLOAD-STUCK", f"the {tape.phase} phase does not end", f"not within {limit_s:.0f} s")
            yield

    async def widen(self, tape: Tape, share: float) -> bool:
        """Put a larger share of units into treatment from a moment on that is near and certain.

        Args:
            tape: of the phase under way.
            share: of treatment, in [0, 1].

        Returns:
            False where the load was too quick: nothing has changed then.
        """
        first = tape.started + 1 + math.ceil(_AHEAD_S * self._intent.workload.rate_per_s)
        with tape.held_at(first):  # units that the worker starts meanwhile are heard of once their arms are known
            answer = await self.worker.ask("widen", first=first, share=share)
            if answer["taken"]:
                tape.widen(first, share)
        return bool(answer["taken"])

    async def halt(self) -> None:
        """Start no more units of this phase; those under way end."""
        await self.worker.ask("halt")

    async def kill(self) -> None:
        """End the workload's process and its group by force: the last resort where it does not let go of a fault."""
        process = self._process
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    async def _or_death(self, wanted: Awaitable[T]) -> T:
        """Wait for something that the process does, or for the process to die."""
        assert self._process is not None
        task, death = asyncio.ensure_future(wanted), asyncio.ensure_future(self._process.wait())
        try:
            waiting: set[asyncio.Future[Any]] = {task, death}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise self._failed("WORKLOAD-SETUP", "the workload could not be set up", "its process died")
            return await task
        finally:
            task.cancel()
            death.cancel()

    async def _next_news(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self.worker.gone.is_set():
            raise self._failed("WORKLOAD-DIED", "the workload's process died", "")
        self._news.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_TICK_S):
                await self._news.wait()

    def _heard(self, _peer: Peer, message: Message) -> None:
        op = message["op"]
        if op == "outcomes" and self._tape is not None:
            self._tape.add(message["started"], [Outcome.from_json(data) for data in message["outcomes"]])
            self._pass_on(self._tape.phase, message["outcomes"])
        elif op == "loaded":
            self._loaded = True
        elif op in {"ready", "failed"} and self._ready is not None and not self._ready.done():
            if op == "ready":
                self._ready.set_result(message)
            else:
                problem = replace(Problem(**message["problem"]), next=f"read {self._log}")
                self._ready.set_exception(RefuteError(problem, exit_code=EXIT_INCONCLUSIVE))
        self._news.set()

    def _pass_on(self, phase: str, outcomes: list[dict[str, Any]]) -> None:
        """Hand outcomes on; what goes wrong with them (a full disk) must end the phase, not the link's reader."""
        try:
            if outcomes:
                self._outcomes_heard(phase, outcomes)
        except RefuteError as error:
            self._failure = error

    async def _end(self) -> None:
        """Let the process tear down what it set up; end whatever is then left of its process group."""
        process = self._process
        if process is None:
            return
        for peer in self.link.live():
            if peer.role == "worker":
                with contextlib.suppress(RefuteError):
                    await peer.ask("end", timeout_s=2.0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_TEARDOWN_S):
                await process.wait()
        await self.kill()  # and whatever it has left behind

    def _failed(self, code: str, what: str, why: str) -> RefuteError:
        ended = self._process is not None and self._process.returncode is not None
        seen = "; ".join(filter(None, [why, f"exit code {self._process.returncode}" if ended and self._process else ""]))
        return refuse(code, what, exit_code=EXIT_INCONCLUSIVE, seen=seen, next=f"read {self._log}")
