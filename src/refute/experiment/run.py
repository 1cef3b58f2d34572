"""One run, from the A/A check to the verdict. Everything that it does is an event; the sink must acknowledge each."""

from __future__ import annotations

import asyncio
import contextlib
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from refute.core.arming import Arming, Landing
from refute.core.errors import Problem, RefuteError
from refute.core.intent import Belief
from refute.core.measure import NoBaselineError, measure
from refute.experiment.armament import to_the_end
from refute.experiment.assess import Assessor, Look, Verdict, about_threshold, assessor, judge
from refute.experiment.design import Experiment
from refute.experiment.guarded import armament_of
from refute.experiment.harm import harm_of
from refute.experiment.observed import ObservedSession
from refute.experiment.peer import Proof
from refute.experiment.proof import landing_faults, sick, unmet
from refute.experiment.ramp import Ramp
from refute.experiment.session import Session
from refute.experiment.tape import Tape
from refute.experiment.telling import Result, Sink, Telling, defect
from refute.safety.journal import Journal
from refute.safety.stops import Breach, Stop, caps_of, stops_of

__all__ = ["Result", "Run", "Sink"]

_PROGRESS_S = 0.2
_UNPROVEN = "the rollback is unproven"
_ABOUT_THE_SYSTEM = {"WORKLOAD-STUCK"}

Over = Callable[[Tape], bool]
Each = Callable[[Tape], Awaitable[None]]


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
        self._aborted = aborted
        self._result = Result(experiment)
        self._telling = Telling(self._result, sink)
        self._session = self._session_of(log)
        self._armament = armament_of(experiment, journal, self._session.link)
        self._caps = caps_of(experiment.intent, self._result.cost)
        self._breach: Breach | None = None
        self._tape: Tape | None = None

    def _session_of(self, log: Path) -> Session | ObservedSession:
        """Return what the units come from: a process that makes them, or services whose traffic is observed."""
        if self._intent.workload.observed:
            return ObservedSession(self._intent, self._telling.heard)
        return Session(self._intent, log, self._telling.heard)

    async def run(self) -> Result:
        """Run it all; whatever happens, nothing stays armed, and what is known by then is returned.

        Returns:
            The verdicts and what proves them; what went wrong with the run itself is in it.
        """
        try:
            async with self._armament, self._session:
                try:
                    await self._phases()
                finally:
                    await self._roll_back("the run ended")
        except asyncio.CancelledError:
            self._result.interrupted = True
        except RefuteError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - a mistake of ours must not take with it what is known of the rollback
            traceback.print_exc()
            self._fail(defect(error))
        return self._result

    def _fail(self, error: RefuteError) -> None:
        """Take down that the run failed: what has no verdict by then is void, as far as that can be put on record."""
        self._telling.failed(error)
        with contextlib.suppress(RefuteError):
            self._void([problem.what for problem in error.problems])

    async def _phases(self) -> None:
        self._result.versions = await self._session.set_up()
        reasons = await self._check() if self._experiment.check else []
        if reasons or self._breach:
            self._end_early(reasons)
            return
        baseline, reasons = await self._baseline()
        if reasons or self._breach:
            self._end_early(reasons)
            return
        try:
            assessors = {belief.id: assessor(belief, self._experiment, baseline) for belief in self._experiment.beliefs}
            stops = stops_of(self._intent, baseline.outcomes, len(self._experiment.shares))
        except NoBaselineError as error:
            self._end_early([str(error)])
            return
        lost = await self._inject(assessors, stops)
        self._count_harm(baseline)
        if not lost and self._result.rolled_back:
            await self._recover()
        self._decide(lost)

    async def _check(self) -> list[str]:
        """Run the A/A check: armed with a share of 0, so that the instrumentation is in place and does nothing."""
        await self._arm([replace(arming, share=0.0) for arming in self._experiment.armings])
        tape, reasons = await self._driven("check", self._experiment.check_units, self._capped)
        await self._roll_back("the A/A check ended")
        landings, self._result.landings = self._result.landings, ()
        landing = sum(landings, Landing())
        reasons = self._sick(tape) or reasons
        if not self._result.rolled_back:
            reasons = [_UNPROVEN]
        if not reasons and landing.injected + landing.control_injected:
            reasons = ["the A/A check injected something with a share of 0"]
        if not reasons and self._breach is None:
            reasons = unmet(landings, self._experiment)
        return self._telling.ended(tape, reasons)

    async def _baseline(self) -> tuple[Tape, list[str]]:
        """Watch the system before the fault, and say why it is not well; empty where it is."""
        tape, reasons = await self._driven("baseline", self._experiment.watch_units, self._capped)
        return tape, self._telling.ended(tape, self._sick(tape) or reasons)

    def _sick(self, tape: Tape) -> list[str]:
        """Say why the system was not well in a phase without a fault; a cap that cut the phase short is another matter."""
        return sick(tape.judged(), self._experiment) if self._breach is None else []

    async def _driven(self, phase: str, units: int, over: Over, *, most: int = 0) -> tuple[Tape, list[str]]:
        """Drive a phase without a fault; where its units do not end, that is a finding about the system, not an error."""
        try:
            return await self._phase(phase, units, over, most=most), []
        except RefuteError as error:
            about_the_system = _ABOUT_THE_SYSTEM | ({"WORKLOAD-DIED", "LINK-LOST"} if phase == "recover" else set())
            if self._tape is None or error.problems[0].code not in about_the_system:
                raise
            return self._tape, [problem.what for problem in error.problems]

    async def _inject(self, assessors: Mapping[str, Assessor], stops: Sequence[Stop]) -> list[str]:
        """Inject until every belief is decided or out of reach, a stop condition fires, or the blast radius is used up."""

        def over(tape: Tape) -> bool:
            self._look(assessors, tape)
            self._breach = _first([*stops, *self._caps], tape)
            return self._breach is not None or all(look.over for look in self._result.looks.values())

        lost: list[str] = []
        ramp = Ramp(self._experiment, stops)
        try:
            await self._arm(self._experiment.armings)
            tape = await self._phase("inject", self._experiment.units, over, each=lambda tape: self._climb(ramp, tape))
            if ramp.next_share(tape) is not None:
                self._telling.stayed(tape, ramp.held_back(tape))
            self._settle(assessors, tape)
        except RefuteError as error:
            self._telling.problems(error.problems)
            lost = self._lost(assessors, error)
        await self._roll_back("the injection ended")
        self._telling.landed()
        if self._tape is not None and self._tape.phase == "inject":
            self._telling.ended(self._tape, lost)
        return lost

    def _count_harm(self, baseline: Tape) -> None:
        """Take down what became of each journey, where the fault was there at all."""
        tape, ratios = self._tape, {name for name, one in self._intent.indicators.items() if one.kind == "ratio"}
        if tape is not None and tape.phase == "inject" and self._result.landing.injected:
            self._result.harm = harm_of(tape.slots(), baseline.outcomes, ratios, self._intent.alpha)

    async def _climb(self, ramp: Ramp, tape: Tape) -> None:
        """Begin the next step of the ramp where this one has shown that it may."""
        share = ramp.next_share(tape)
        if share is not None and not tape.halted and not ramp.held_back(tape) and await self._session.widen(tape, share):
            self._telling.climbed(tape, share)

    def _lost(self, assessors: Mapping[str, Assessor], error: RefuteError) -> list[str]:
        """Return what voids an injection that did not end as planned; nothing where all was decided, and only the last units hang."""
        looks = self._result.looks.values()
        if self._tape is not None and error.problems[0].code in _ABOUT_THE_SYSTEM and looks and all(look.over for look in looks):
            self._settle(assessors, self._tape)
            return []
        return [problem.what for problem in error.problems]

    def _look(self, assessors: Mapping[str, Assessor], tape: Tape) -> None:
        for belief, one in assessors.items():
            self._telling.looked(belief, one.look(tape))

    def _settle(self, assessors: Mapping[str, Assessor], tape: Tape) -> None:
        for belief, one in assessors.items():
            self._telling.looked(belief, one.settle(tape))

    async def _recover(self) -> None:
        """Watch the system without the fault until it is as well as before, or the time for that is over."""
        window, most = self._experiment.recover_units, self._experiment.recover_most

        def well(tape: Tape) -> bool:
            settled = tape.settled()[-window:]
            return len(settled) == window and not sick(settled, self._experiment)

        tape, reasons = await self._driven("recover", window, lambda tape: self._capped(tape) or well(tape), most=most)
        seen = well(tape)
        if not seen:
            reasons = sick(tape.judged()[-window:], self._experiment) or reasons
        still_hit = sum(1 for outcome in tape.outcomes if outcome.hits)
        if still_hit:
            reasons = [f"{still_hit} units were still hit"]
            await self._disprove(reasons[0])
        self._telling.ended(tape, reasons)
        self._result.recovered = False if reasons else True if seen else None
        if reasons and not still_hit:
            self._telling.problems((self._not_recovered(tape, reasons),))

    async def _disprove(self, seen: str) -> None:
        """Take back that the fault is gone: what the system does outweighs what its processes say."""
        await to_the_end(self._session.kill())
        proof = Proof(False, f"{seen} after it was said to be gone")
        self._result.rolled_back = False
        self._telling.emit(
            "rollback", ok=False, seconds=0.0, how="the system was watched", proof=proof.how,
            remove_by_hand="end whatever of the workload still runs",
        )  # fmt: skip

    def _not_recovered(self, tape: Tape, reasons: list[str]) -> Problem:
        return Problem(
            "RUN-NOT-RECOVERED",
            f"the fault is gone, and {self._intent.system.name} is still not well {tape.elapsed_s:.0f} s later",
            seen="; ".join(reasons),
            allowed="what held in the baseline",
            next="see to the system before anything else is run on it",
        )

    async def _phase(self, phase: str, units: int, over: Over, *, most: int = 0, each: Each | None = None) -> Tape:
        """Drive one phase until its units have ended; `over` ends it early, and the fault goes first.

        Args:
            phase: its name.
            units: to expect.
            over: asked at each piece of news, until it says so once; also while late outcomes come in after the time is up.
            most: units at most, where that is more.
            each: done at each piece of news, for as long as it is not over.
        """
        duration_s = self._intent.blast_radius.duration_s
        seed, cohort = self._experiment.arming.seed, self._experiment.cohort_in(phase)
        self._tape = tape = self._session.tape(phase, most or units, seed, cohort)
        if phase == "inject":
            tape.leads_to(self._experiment.shares[-1])
        self._telling.started(phase, tape.planned, min(tape.planned / self._intent.workload.rate_per_s, duration_s))
        start = shown = time.monotonic()
        done = False
        async for _ in self._session.drive(tape, seed, cohort):
            now = time.monotonic()
            tape.elapsed_s = now - start
            await self._armament.keep()
            if not done and over(tape):
                done = True
                await self._stop(tape)
                await self._halt(tape)
            elif tape.elapsed_s > duration_s:
                await self._halt(tape)
            elif not done and each is not None:
                await each(tape)
            if now - shown >= _PROGRESS_S:
                shown = now
                self._telling.progress(tape, units, self._armament.lease_s)
            if self._aborted():
                raise asyncio.CancelledError
        tape.elapsed_s = time.monotonic() - start
        if not done and over(tape):
            await self._stop(tape)
        self._telling.progress(tape, units, self._armament.lease_s)
        return tape

    def _capped(self, tape: Tape) -> bool:
        """Whether the run has spent more than it may, in whatever phase."""
        if self._breach is not None:
            return False  # the recovery after it is needed all the same
        self._breach = _first(self._caps, tape)
        return self._breach is not None

    async def _stop(self, tape: Tape) -> None:
        """Remove what is armed, and say which stop condition asked for it, if one did."""
        breach, fired_s = self._breach, time.perf_counter()
        await self._roll_back(f"stop condition: {breach.condition}" if breach else "the question is answered")
        if breach is not None and self._result.breach is None:
            self._telling.stopped(breach, time.perf_counter() - fired_s, tape.started)

    async def _halt(self, tape: Tape) -> None:
        """Start no more units; those under way are still looked at."""
        if not tape.halted:
            tape.halted = True
            await self._session.halt()

    async def _arm(self, armings: Sequence[Arming]) -> None:
        self._result.armed = True
        await self._armament.arm(armings, self._experiment.id, self._session.holders())

    async def _roll_back(self, why: str) -> None:
        """Remove what is armed, prove it, and say so; does nothing where nothing is armed, and nothing interrupts it."""
        await to_the_end(self._removed(why))

    async def _removed(self, why: str) -> None:
        rollback = await self._armament.roll_back(why)
        if rollback is not None and rollback.proof.left:
            await self._session.kill()  # a process of ours that does not let go is ended, and that is proof
            again = await self._armament.roll_back(why)
            rollback = again and replace(again, seconds=rollback.seconds + again.seconds, unnoted=rollback.unnoted + again.unnoted)
        if rollback is not None:
            self._telling.rolled_back(rollback)

    def _end_early(self, reasons: list[str]) -> None:
        """Say of each belief why nothing was injected: the system was sick, or a stop condition had fired."""
        if self._breach is None:
            self._result.sick = "; ".join(reasons)
            self._void(reasons)
            return
        for belief in self._experiment.beliefs:
            self._unread(belief, Verdict("aborted", (f"stop condition: {self._breach.condition}, before anything was injected",)))

    def _void(self, reasons: list[str]) -> None:
        for belief in (one for one in self._experiment.beliefs if one.id not in self._result.verdicts):
            self._unread(belief, Verdict("void", tuple(reasons)))

    def _unread(self, belief: Belief, verdict: Verdict) -> None:
        self._telling.verdict(belief, verdict, Look(bound=measure(belief.then, self._intent.indicators).bound))

    def _decide(self, lost: list[str]) -> None:
        faults = [*lost, *landing_faults(self._result.landings, self._experiment)]
        if not self._result.rolled_back:
            faults.append(_UNPROVEN)
        stopped_by = self._result.breach.condition if self._result.breach else ""
        arming, shown = self._experiment.arming, self._experiment.shown_magnitude
        for belief in self._experiment.beliefs:
            look = self._result.looks.get(belief.id, Look())
            verdict = about_threshold(judge(look, faults, stopped_by), arming.magnitude, belief.at_least, shown)
            self._telling.verdict(belief, verdict, look)


def _first(stops: list[Stop], tape: Tape) -> Breach | None:
    return next((breach for stop in stops if (breach := stop.see(tape.slots())) is not None), None)
