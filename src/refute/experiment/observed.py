"""Live traffic: services join at their doors, choose cohorts and tell outcomes, while the run generates nothing."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from typing import Any, Self

from refute.core.clock import lease_now_s
from refute.core.cohort import MAX_REPORT_BYTES, Seal, report_address
from refute.core.errors import EXIT_INCONCLUSIVE, Problem, RefuteError, refuse
from refute.core.intent import Intent, off_limits, providers
from refute.core.link import ADDRESS_VARIABLE, TOKEN_VARIABLE, Message
from refute.core.process import ProcessIdentity
from refute.experiment.armament import to_the_end
from refute.experiment.doors import invite_named, invite_programs, invite_proxies, programs
from refute.experiment.link import Link
from refute.experiment.peer import Peer
from refute.experiment.sightings import Allotment, Sightings
from refute.experiment.tape import ObservedTape, Tape
from refute.injectors.door import clear
from refute.safety.state import doors_directory

_TICK_S = 0.05
_LOOK_S = 0.5
_SLOW = 4
_LEAST_S = 5.0
_LAST_S = 0.5
_ABSENT_S = 3.0


class ObservedSession:
    """The services of one run; use as an async context manager. It ends none of them, whatever happens.

    Args:
        intent: what to run.
        heard: called with each batch of outcomes: (phase, outcomes as JSON).
    """

    def __init__(self, intent: Intent, heard: Callable[[str, list[dict[str, Any]]], None]) -> None:
        """Reach nobody yet."""
        self._intent = intent
        self._outcomes_heard = heard
        self._ears = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._phase: _Phase | None = None
        self._looking: asyncio.Task[None] | None = None
        self._asked: set[Peer] = set()
        self._ready: dict[Peer, dict[str, str]] = {}
        self._seen_s = 0.0
        self.link = Link(self._heard, off_limits(intent), providers(intent))

    async def __aenter__(self) -> Self:
        await self.link.__aenter__()
        self._ears.bind(report_address(self.link.environment[ADDRESS_VARIABLE]))
        self._ears.setblocking(False)
        asyncio.get_running_loop().add_reader(self._ears, self._listen)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        if self._looking is not None:
            self._looking.cancel()
        asyncio.get_running_loop().remove_reader(self._ears)
        self._ears.close()
        await to_the_end(self.link.__aexit__())

    async def set_up(self) -> dict[str, str]:
        """Have every process of the services join.

        Returns:
            Versions of what they run on.

        Raises:
            RefuteError: nobody of a service is there (`OBSERVE-NONE`), one cannot evaluate an indicator (`OBSERVE-INDICATOR`), or a
                proxy or program that is needed does not join (`PROXY-NONE`, `EXEC-NONE`).
        """
        clear(doors_directory())
        refusals = await self._look()
        for service in self._intent.workload.services:
            if not any(service in peer.serves for peer in self._ready):
                if refusals and isinstance(refusals[0], RefuteError):
                    raise refusals[0]
                raise refuse(
                    "OBSERVE-NONE", f"no process of the service {service} could be asked to join", exit_code=EXIT_INCONCLUSIVE,
                    seen="; ".join(map(str, refusals)) or "none was found", next="send it a request, then: refute doctor",
                )  # fmt: skip
        components = self._intent.system.components.values()
        await invite_proxies(self.link, components)
        await invite_programs(self.link, components)
        self._looking = asyncio.create_task(self._keep_looking())  # by itself: a process that is slow to join must not hold up the lease
        return {name: version for versions in self._ready.values() for name, version in versions.items()}

    def holders(self) -> list[ProcessIdentity]:
        """Return the processes in which a fault would live."""
        return [peer.process for peer in self.link.live() if peer.process is not None]

    def tape(self, phase: str, planned: int, _seed: int, _cohort: float) -> ObservedTape:
        """Return an empty tape for the units of a phase; see `Session.tape`."""
        return ObservedTape(phase, planned, self._intent.workload.timeout_s)

    async def drive(self, tape: Tape, seed: int, cohort: float) -> AsyncIterator[None]:
        """Have the services count their requests as units, and yield whenever there may be news, until all have ended.

        Traffic that is slower than was expected is given more time, but not without end.

        Args:
            tape: filled as units start and end.
            seed: of the cohorts.
            cohort: share in treatment, in [0, 1].

        Raises:
            RefuteError: no process of the services is left (`LINK-LOST`).
        """
        assert isinstance(tape, ObservedTape)
        workload, began_s = self._intent.workload, lease_now_s()
        sightings = Sightings(tape, began_s, workload.timeout_s, Seal(self.link.environment[TOKEN_VARIABLE]))
        watch = {
            "phase": tape.phase, "seed": seed, "share": cohort, "step": 0, "timeout_s": workload.timeout_s,
            "audience": self._intent.blast_radius.audience.to_json(),
        }  # fmt: skip
        self._phase = phase = _Phase(sightings, Allotment(tape.planned), watch)
        most_s = max(_LEAST_S, _SLOW * tape.planned / workload.rate_per_s)
        try:
            await self._watch_new(phase)
            while not (phase.closed_s and sightings.settled and lease_now_s() - phase.closed_s > _LAST_S):
                await asyncio.sleep(_TICK_S)
                self._check_present(phase)
                self._advance(tape.phase, sightings)
                if not phase.closed_s and (phase.allotment.full or lease_now_s() - began_s > most_s):
                    tape.halted = True
                    await self.halt()
                yield
        finally:
            self._phase = None

    async def widen(self, tape: Tape, share: float) -> bool:
        """Put a larger share of the units that begin from now on into treatment; each of them tells by which share it was drawn.

        Args:
            tape: of the phase under way.
            share: of treatment, in [0, 1].

        Returns:
            False where the phase is over.
        """
        phase = self._phase
        if phase is None or phase.closed_s:
            return False
        tape.widen(tape.started, share)
        phase.watch |= {"share": share, "step": tape.step}
        asked = (peer.ask("widen", timeout_s=1.0, share=share, step=tape.step) for peer in phase.watching)
        await asyncio.gather(*asked, return_exceptions=True)  # one that does not answer goes on with the smaller share
        return True

    async def halt(self) -> None:
        """Have no more requests counted as units in this phase; those under way end."""
        if self._phase is not None and not self._phase.closed_s:
            self._phase.closed_s = lease_now_s()
            await asyncio.gather(*(peer.ask("unwatch", timeout_s=1.0) for peer in self._services()), return_exceptions=True)

    async def kill(self) -> None:
        """Do nothing: a live service is never ended. What cannot be proven to be gone stays unproven, and its lease ends."""

    async def _keep_looking(self) -> None:
        """Have processes that have started meanwhile join, and count their units."""
        while True:
            await asyncio.sleep(_LOOK_S)
            await self._look()
            await invite_named(self.link, "exec", programs(self._intent.system.components.values()))
            if self._phase is not None and not self._phase.closed_s:
                await self._watch_new(self._phase)

    async def _watch_new(self, phase: _Phase) -> None:
        """Have every process that has joined count its units."""
        new = [peer for peer in self._services() if peer not in phase.watching]
        await asyncio.gather(*(self._watch(phase, peer) for peer in new), return_exceptions=True)

    def _check_present(self, phase: _Phase) -> None:
        """Take note of processes that are gone.

        Raises:
            RefuteError: no process of the services is left (`LINK-LOST`).
        """
        now_s, services = lease_now_s(), self._services()
        for peer in phase.watching - set(services):
            phase.watching.discard(peer)
            phase.allotment.drop(peer)
        if services:
            self._seen_s = now_s
        elif now_s - self._seen_s > _ABSENT_S:
            raise RefuteError(Problem("LINK-LOST", "no process of the observed services is left"), exit_code=EXIT_INCONCLUSIVE)

    async def _watch(self, phase: _Phase, peer: Peer) -> None:
        phase.watching.add(peer)
        await peer.ask("watch", timeout_s=1.0, watch={**phase.watch, "units": phase.allotment.first(peer)})

    async def _look(self) -> list[Exception]:
        """Knock at every door of the services; return what keeps those away that do not join."""
        refusals: list[Exception] = list(await invite_named(self.link, "service", self._intent.workload.services))
        indicators = [asdict(indicator) for indicator in self._intent.indicators.values()]
        for peer in [peer for peer in self.link.live() if peer.role == "service" and peer not in self._asked]:
            self._asked.add(peer)
            try:
                self._ready[peer] = (await peer.ask("ready", indicators=indicators))["versions"]
            except RefuteError as error:
                refusals.insert(0, error)
        return refusals

    def _services(self) -> list[Peer]:
        return [peer for peer in self.link.live() if peer in self._ready]

    def _listen(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                datagram = self._ears.recv(MAX_REPORT_BYTES)
                if self._phase is not None:
                    self._phase.sightings.hear(datagram)

    def _heard(self, peer: Peer, message: Message) -> None:
        phase = self._phase
        if message["op"] != "units" or phase is None or message["phase"] != phase.watch["phase"]:
            return
        phase.sightings.take(message)
        more = None if phase.closed_s else phase.allotment.more(peer, message["begun"])
        if more is not None:
            peer.tell("grant", units=more)

    def _advance(self, name: str, sightings: Sightings) -> None:
        outcomes = sightings.advance(lease_now_s())
        if outcomes:
            self._outcomes_heard(name, [outcome.to_json() for outcome in outcomes])


class _Phase:
    """What is under way.

    Args:
        sightings: what is seen.
        allotment: what may still be begun.
        watch: what services are asked to do.
    """

    __slots__ = ("allotment", "closed_s", "sightings", "watch", "watching")

    def __init__(self, sightings: Sightings, allotment: Allotment, watch: Message) -> None:
        self.sightings, self.allotment, self.watch = sightings, allotment, watch
        self.watching: set[Peer] = set()
        self.closed_s = 0.0
