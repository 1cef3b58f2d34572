"""One run, from the A/A check to the verdict. Everything that it does is an event; the sink must acknowledge each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from refute.core.arming import Arming, Handle, Landing
from refute.core.errors import RefuteError
from refute.core.events import Event, EventKind
from refute.core.intent import Belief
from refute.core.measure import NoBaselineError, measure
from refute.experiment.assess import Assessor, Look, Verdict, assessor, judge
from refute.experiment.design import LEASE_TTL_S, Experiment
from refute.experiment.proof import landing_faults, nothing_eligible, sick
from refute.experiment.session import Session
from refute.experiment.tape import Tape
from refute.injectors.registry import choose
from refute.safety.journal import Journal
from refute.safety.stops import Breach, Stop, caps_of, stops_of

_PROGRESS_S = 0.2
_RENEW_S = LEASE_TTL_S / 3

Sink = Callable[[Event], None]


@dataclass(slots=True)
class Result:
    """What a run came to.

    Attributes:
        experiment: what was run.
        verdicts: by belief.
        looks: the evidence behind them, by belief.
        landing: what was delivered.
        rolled_back: whether the rollback is proven; True where nothing was applied.
        interrupted: whether somebody ended it.
        cost: totals by name over all phases.
        units: that ended, over all phases.
        versions: of what the workload ran on.
    """

    experiment: Experiment
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    looks: dict[str, Look] = field(default_factory=dict)
    landing: Landing = field(default_factory=Landing)
    rolled_back: bool = True
    interrupted: bool = False
    cost: dict[str, float] = field(default_factory=dict)
    units: int = 0
    versions: dict[str, str] = field(default_factory=dict)

    def decided(self) -> list[Belief]:
        """Return the beliefs that got a verdict."""
        return [belief for belief in self.experiment.beliefs if belief.id in self.verdicts]


class Run:
    """Runs one experiment.

    Args:
        experiment: what to run.
        sink: takes every event; has made it durable when it returns, and raises where it cannot.
        journal: the rollback journal.
        log: file for what the workload prints.
        aborted: says whether an abort was asked for.
    """

    def __init__(self, experiment: Experiment, sink: Sink, journal: Journal, log: Path, aborted: Callable[[], bool]) -> None:
        """Prepare nothing yet."""
        self._experiment = experiment
        self._intent = experiment.intent
        self._sink = sink
        self._journal = journal
        self._aborted = aborted
        self._session = Session(experiment.intent, log, self._heard)
        self._handle: Handle | None = None
        self._renewed = 0.0
        self._result = Result(experiment)
        self._caps = caps_of(experiment.intent, self._result.cost)
        self._breach: Breach | None = None
        self._decided = False
        self._extent = (0, 0.0)

    async def run(self) -> Result:
        """Run it all; whatever happens, nothing stays armed.

        Returns:
            The verdicts and what proves them.

        Raises:
            RefuteError: it could not be run, or its record could not be kept; nothing is armed then.
        """
        async with self._session:
            try:
                await self._phases()
            except asyncio.CancelledError:
                self._result.interrupted = True
            finally:
                await self._roll_back("the run ended")
        return self._result

    async def _phases(self) -> None:
        self._result.versions = await self._session.set_up()
        reasons = await self._check() if self._experiment.check else []
        if reasons or self._breach:
            self._end_early(reasons)
            return
        baseline = await self._phase("baseline", self._experiment.watch_units, self._capped)
        reasons = self._phase_ended("baseline", sick(baseline, self._experiment) if self._breach is None else [])
        if reasons or self._breach:
            self._end_early(reasons)
            return
        try:
            assessors = {belief.id: assessor(belief, self._experiment, baseline) for belief in self._experiment.beliefs}
            stops = stops_of(self._intent, self._experiment.arming.cohort, baseline.outcomes)
        except NoBaselineError as error:
            self._end_early([str(error)])
            return
        lost = await self._inject(assessors, stops)
        if not lost:
            await self._recover()
        for belief in self._experiment.beliefs:
            self._decide(belief, lost)

    async def _check(self) -> list[str]:
        """Run the A/A check: armed with a share of 0, so that the instrumentation is in place and does nothing."""
        await self._arm(replace(self._experiment.arming, share=0.0))
        tape = await self._phase("check", self._experiment.check_units, self._capped)
        await self._roll_back("the A/A check ended")
        landing, self._result.landing = self._result.landing, Landing()
        reasons = sick(tape, self._experiment) if self._breach is None else []
        if not reasons and landing.injected + landing.control_injected:
            reasons = ["the A/A check injected something with a share of 0"]
        if not reasons and not landing.eligible + landing.control_eligible:
            reasons = [nothing_eligible(self._experiment, landing)]
        return self._phase_ended("check", reasons)

    async def _inject(self, assessors: Mapping[str, Assessor], stops: list[Stop]) -> list[str]:
        """Inject until every belief is decided or out of reach, a stop condition fires, or the blast radius is used up."""

        def over(tape: Tape) -> bool:
            self._look(assessors, tape)
            self._breach = _first([*stops, *self._caps], tape)
            return self._breach is not None or all(look.over for look in self._result.looks.values())

        lost: list[str] = []
        try:
            await self._arm(self._experiment.arming)
            tape = await self._phase("inject", self._experiment.units, over)
            if not self._decided:
                self._look(assessors, tape)
        except RefuteError as error:
            lost = [problem.what for problem in error.problems]
            for problem in error.problems:
                self._emit("problem", **problem.to_json())
        await self._roll_back("the injection ended")
        self._landed()
        self._phase_ended("inject", lost)
        return lost

    def _look(self, assessors: Mapping[str, Assessor], tape: Tape) -> None:
        for belief, one in assessors.items():
            before, look = self._result.looks.get(belief), one.look(tape)
            self._result.looks[belief] = look
            if before is None or look.n != before.n:
                self._emit("evidence_point", belief=belief, **look.point())

    async def _recover(self) -> None:
        """Watch the system without the fault: the proof that it is gone."""
        tape = await self._phase("recover", self._experiment.recover_units, self._capped)
        still_hit = sum(1 for outcome in tape.outcomes if outcome.hits)
        self._result.rolled_back = self._result.rolled_back and not still_hit
        self._phase_ended("recover", [f"{still_hit} units were still hit"] if still_hit else [])

    async def _phase(self, phase: str, units: int, over: Callable[[Tape], bool]) -> Tape:
        """Drive one phase until its units have ended; `over` ends it early, and the fault goes first."""
        arming = self._experiment.arming
        seconds = min(units / self._intent.workload.rate_per_s, self._intent.blast_radius.duration_s)
        tape = Tape(phase, self._session.units(phase, arming.seed), units, arming.seed, arming.cohort)
        self._emit("phase", phase=phase, state="started", units=units, seconds=seconds)
        start = shown = time.monotonic()
        halted = False
        async for _ in self._session.drive(tape, arming.seed, arming.cohort):
            now = time.monotonic()
            await self._keep_lease(now)
            if not halted and over(tape):
                halted = self._decided = True
                await self._stop_injecting(tape)
            elif not halted and now - start > self._intent.blast_radius.duration_s:
                halted = True
                await self._session.halt()
            if now - shown >= _PROGRESS_S:
                shown = now
                self._progress(tape, now - start)
            if self._aborted():
                raise asyncio.CancelledError
        self._extent = (len(tape.outcomes), time.monotonic() - start)
        self._progress(tape, time.monotonic() - start)
        return tape

    def _capped(self, tape: Tape) -> bool:
        """Whether the run has spent more than it may, in whatever phase."""
        if self._breach is not None:
            return False  # the recovery after it is needed all the same
        self._breach = _first(self._caps, tape)
        return self._breach is not None

    async def _stop_injecting(self, tape: Tape) -> None:
        fired_s = time.perf_counter()
        await self._roll_back(f"stop condition: {self._breach.condition}" if self._breach else "the question is answered")
        if self._breach is not None:
            self._emit("stop", **asdict(self._breach), seconds_to_rollback=time.perf_counter() - fired_s, started=tape.started)
        await self._session.halt()

    async def _keep_lease(self, now: float) -> None:
        if self._handle is not None and now - self._renewed >= _RENEW_S:
            self._renewed = now
            await self._session.link.renew(LEASE_TTL_S)

    async def _arm(self, arming: Arming) -> None:
        injector = choose(arming)
        handle = injector.prepare(arming)
        self._journal.advance(handle, "intended", experiment=self._experiment.id, holders=self._session.holders())
        self._handle, self._renewed = handle, time.monotonic()
        self._result.rolled_back = False
        await self._session.link.arm([handle], LEASE_TTL_S)
        self._journal.advance(handle, "applied")

    async def _roll_back(self, why: str) -> None:
        """Remove what is armed, prove it, and say so; does nothing where nothing is armed."""
        handle, self._handle = self._handle, None
        if handle is None:
            return
        start = time.perf_counter()
        proven = await self._session.link.disarm()
        self._result.landing = self._session.link.landed(handle)
        self._result.rolled_back = proven
        self._journal.advance(handle, "rolled_back")
        if proven:
            self._journal.advance(handle, "verified")
        by_hand = "" if proven else "refute recover"
        self._emit("rollback", ok=proven, seconds=time.perf_counter() - start, how=why, remove_by_hand=by_hand)

    def _heard(self, phase: str, outcomes: list[dict[str, Any]]) -> None:
        self._result.units += len(outcomes)
        for outcome in outcomes:
            for name, amount in outcome["cost"].items():
                self._result.cost[name] = self._result.cost.get(name, 0.0) + amount
        self._emit("outcomes", phase=phase, outcomes=outcomes)

    def _end_early(self, reasons: list[str]) -> None:
        """Say of each belief why nothing was injected: the system was sick, or a stop condition had fired."""
        stopped = Verdict("aborted", (f"stop condition: {self._breach.condition}, before anything was injected",)) if self._breach else None
        for belief in self._experiment.beliefs:
            bound = measure(belief.then, self._intent.indicators).bound
            self._tell(belief, stopped or Verdict("void", tuple(reasons)), Look(bound=bound))

    def _landed(self) -> None:
        landing = self._result.landing
        faults = landing_faults(landing, self._experiment)
        data = landing.to_json() | {"reason": "; ".join(faults)}
        self._emit("landing", ok=not faults, expected_share=self._experiment.arming.share, **data)

    def _decide(self, belief: Belief, lost: list[str]) -> None:
        look = self._result.looks.get(belief.id, Look())
        faults = landing_faults(self._result.landing, self._experiment)
        if not self._result.rolled_back:
            faults.append("the rollback is unproven")
        self._tell(belief, judge(look, [*lost, *faults], self._breach.condition if self._breach else ""), look)

    def _tell(self, belief: Belief, verdict: Verdict, look: Look) -> None:
        self._result.verdicts[belief.id] = verdict
        landing = self._result.landing
        landed = not landing_faults(landing, self._experiment)
        self._emit(
            "verdict", belief=belief.id, claim=belief.claim, then=belief.then.text, verdict=verdict.word, reasons=list(verdict.reasons),
            **look.to_json(), injected=landing.injected, unit=self._intent.workload.unit, environment=self._experiment.environment,
            versions=self._result.versions, landed=landed, rolled_back=self._result.rolled_back,
        )  # fmt: skip

    def _phase_ended(self, phase: str, reasons: list[str]) -> list[str]:
        units, seconds = self._extent
        self._emit("phase", phase=phase, state="ended", units=units, seconds=seconds, ok=not reasons, reason="; ".join(reasons))
        return reasons

    def _progress(self, tape: Tape, elapsed_s: float) -> None:
        lease_s = LEASE_TTL_S - (time.monotonic() - self._renewed) if self._handle else 0.0
        self._emit(
            "progress", phase=tape.phase, elapsed_s=elapsed_s, units=len(tape.outcomes), planned=tape.planned,
            arms=tape.arms(self._experiment.arming.component.name), lease_s=max(0.0, lease_s),
            log_e={belief: look.evidence() for belief, look in self._result.looks.items()} if tape.phase == "inject" else {},
        )  # fmt: skip

    def _emit(self, kind: EventKind, **data: Any) -> None:
        self._sink(Event(kind, {"experiment": self._experiment.id, **data}, time.time()))


def _first(stops: list[Stop], tape: Tape) -> Breach | None:
    return next((breach for stop in stops if (breach := stop.see(tape.slots())) is not None), None)
