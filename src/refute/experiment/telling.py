"""What a run tells while it goes on, and the result that it adds up to."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from refute.core.arming import Landing
from refute.core.errors import (
    EXIT_ABORTED,
    EXIT_HELD,
    EXIT_INCONCLUSIVE,
    EXIT_INTERRUPTED,
    EXIT_REFUTED,
    EXIT_UNPROVEN_ROLLBACK,
    EXIT_USAGE,
    Problem,
    RefuteError,
    refuse,
    worst_exit,
)
from refute.core.events import Event, EventKind
from refute.core.intent import Belief
from refute.experiment.armament import Rollback
from refute.experiment.assess import Look, Verdict
from refute.experiment.design import Experiment
from refute.experiment.harm import Harm
from refute.experiment.proof import faults_of, landing_faults
from refute.experiment.tape import Tape
from refute.safety.stops import Breach

Sink = Callable[[Event], None]
TOLD_ANYWAY: frozenset[EventKind] = frozenset({"phase", "stop", "landing", "rollback", "problem", "next", "summary"})
"""Events that must be seen even where they cannot be kept."""
_EXIT = {"held": EXIT_HELD, "refuted": EXIT_REFUTED, "inconclusive": EXIT_INCONCLUSIVE, "void": EXIT_INCONCLUSIVE, "aborted": EXIT_ABORTED}


@dataclass(slots=True)
class Result:
    """What a run came to.

    Attributes:
        experiment: what was run.
        verdicts: by belief; each is on record.
        looks: the evidence behind them, by belief.
        landings: what was delivered, one a fault; empty where nothing was armed.
        rolled_back: whether every rollback is proven; True where nothing was applied.
        recovered: whether the system was well again after the fault was gone; None where nobody looked.
        breach: the stop condition that ended the injection.
        interrupted: whether somebody ended it.
        failure: what went wrong with the run itself.
        armed: whether anything was ever armed, be it with a share of 0.
        cost: totals by name over all phases.
        units: that ended, over all phases.
        versions: of what the workload ran on.
        harm: by journey; empty where nothing was injected.
        sick: why the system was not well with no fault applied, "" where it was.
    """

    experiment: Experiment
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    looks: dict[str, Look] = field(default_factory=dict)
    landings: tuple[Landing, ...] = ()
    rolled_back: bool = True
    recovered: bool | None = None
    breach: Breach | None = None
    interrupted: bool = False
    failure: RefuteError | None = None
    armed: bool = False
    cost: dict[str, float] = field(default_factory=dict)
    units: int = 0
    versions: dict[str, str] = field(default_factory=dict)
    harm: dict[str, Harm] = field(default_factory=dict)
    sick: str = ""

    @property
    def landing(self) -> Landing:
        """What was delivered of all faults together."""
        return sum(self.landings, Landing())

    @property
    def landed(self) -> bool:
        """Whether every fault hit something in treatment, and none anything in control."""
        return bool(self.landings) and all(one.injected and not one.control_injected for one in self.landings)

    @property
    def answered(self) -> dict[str, str]:
        """Models that components said they answer with, by component."""
        pairs = zip(self.experiment.armings, self.landings, strict=False)
        return {arming.component.name: ", ".join(landing.models) for arming, landing in pairs if landing.models}

    def decided(self) -> list[Belief]:
        """Return the beliefs that got a verdict."""
        return [belief for belief in self.experiment.beliefs if belief.id in self.verdicts]

    @property
    def exit_code(self) -> int:
        """The worst of all that happened. `2` promises that nothing was injected, so a failure after that is at least `3`."""
        codes = [_EXIT[verdict.word] for verdict in self.verdicts.values()]
        if not self.rolled_back:
            codes.append(EXIT_UNPROVEN_ROLLBACK)
        if self.interrupted:
            codes.append(EXIT_INTERRUPTED)
        if self.breach is not None:
            codes.append(EXIT_ABORTED)
        if self.recovered is False:
            codes.append(EXIT_INCONCLUSIVE)
        if self.failure is not None:
            code = self.failure.exit_code
            codes.append(EXIT_INCONCLUSIVE if code == EXIT_USAGE and self.armed else code)
        return worst_exit(codes)

    @property
    def over(self) -> bool:
        """Whether no other experiment should follow this one before somebody has looked."""
        return self.interrupted or not self.rolled_back or self.recovered is False or self.failure is not None


class Telling:
    """Turns what happens in one run into events, and keeps account of it.

    Args:
        result: filled as the run goes on.
        sink: takes every event; raises where it cannot be kept and must be.
    """

    def __init__(self, result: Result, sink: Sink) -> None:
        """Tell nothing yet."""
        self.result = result
        self._experiment = result.experiment
        self._sink = sink
        self._told: set[Problem] = set()

    def emit(self, kind: EventKind, **data: Any) -> None:
        """Pass on one event of this run.

        What tells of the state of things is never held up by a record that cannot be kept: the run fails for that, and goes on to its end.

        Raises:
            RefuteError: it must be kept, and cannot be.
        """
        try:
            self._sink(Event(kind, {"experiment": self._experiment.id, **data}, time.time()))
        except RefuteError as error:
            if kind not in TOLD_ANYWAY:
                raise
            self.failed(error)

    def problems(self, problems: tuple[Problem, ...]) -> None:
        """Tell of what is wrong, once of each."""
        for problem in problems:
            if problem in self._told:
                continue
            self._told.add(problem)
            self.emit("problem", **problem.to_json())

    def failed(self, error: RefuteError) -> None:
        """Take down that the run itself failed; the first reason stands. What came of it so far stays known."""
        if self.result.failure is None:
            self.result.failure = error
            self.problems(error.problems)

    def started(self, phase: str, units: int, seconds: float) -> None:
        """Tell of a phase's beginning."""
        self.emit("phase", phase=phase, state="started", units=units, seconds=seconds)

    def ended(self, tape: Tape, reasons: list[str], **told: Any) -> list[str]:
        """Tell of a phase's end, and what else was measured in it; return the reasons why it was not well, empty where it was."""
        extent = {"units": len(tape.outcomes), "seconds": tape.elapsed_s}
        self.emit("phase", phase=tape.phase, state="ended", **extent, ok=not reasons, reason="; ".join(reasons), **told)
        return reasons

    def heard(self, phase: str, outcomes: list[dict[str, Any]]) -> None:
        """Pass on units that have ended, and add up what they cost."""
        self.result.units += len(outcomes)
        for outcome in outcomes:
            for name, amount in outcome["cost"].items():
                self.result.cost[name] = self.result.cost.get(name, 0.0) + amount
        self.emit("outcomes", phase=phase, outcomes=outcomes)

    def looked(self, belief: str, look: Look) -> None:
        """Take down a look at the evidence, and tell of it where it is new."""
        before = self.result.looks.get(belief)
        self.result.looks[belief] = look
        if before is None or look.n != before.n:
            self.emit("evidence_point", belief=belief, **look.point())

    def rolled_back(self, rollback: Rollback) -> None:
        """Take down and tell what became of a fault; one that is not gone outweighs all others."""
        self.result.rolled_back = self.result.rolled_back and rollback.proof.proven
        self.result.landings = rollback.landings
        self.emit("rollback", **rollback.to_json())
        if rollback.unnoted:
            self.failed(RefuteError(*rollback.unnoted))

    def stopped(self, breach: Breach, seconds_to_rollback: float, started: int) -> None:
        """Take down and tell that a stop condition has ended the injection."""
        self.result.breach = breach
        self.emit("stop", **asdict(breach), seconds_to_rollback=seconds_to_rollback, started=started)

    def climbed(self, tape: Tape, share: float) -> None:
        """Tell that a ramp has gone up."""
        self.emit("ramp", ok=True, step=tape.step + 1, steps=len(self._experiment.shares), share=share, first=tape.wider_from, reason="")

    def stayed(self, tape: Tape, reason: str) -> None:
        """Tell that a ramp has not gone all the way up, and why."""
        shares = self._experiment.shares
        why = reason or "the run ended"
        self.emit("ramp", ok=False, step=tape.step + 1, steps=len(shares), share=shares[tape.step], first=tape.wider_from, reason=why)

    def landed(self, **told: Any) -> None:
        """Tell what was delivered, and what else is to be said of it."""
        faults = landing_faults(self.result.landings, self._experiment)
        data = self.result.landing.to_json() | {"reason": "; ".join(faults)}
        whole = {"whole": True} if self._experiment.uncontrolled else {}
        parts = {"parts": self._parts()} if self._experiment.also else {}
        self.emit("landing", ok=not faults, expected_share=self._experiment.arming.share, **whole, **data, **parts, **told)

    def _parts(self) -> list[dict[str, Any]]:
        """Return what was delivered of each of several faults."""
        parts = []
        for arming, landing in zip(self._experiment.armings, self.result.landings, strict=False):
            faults = faults_of(landing, arming, self._experiment)
            about = {"fault": arming.fault, "target": arming.component.name, "expected_share": arming.share, "ok": not faults}
            parts.append(landing.to_json() | about | {"reason": "; ".join(faults)})
        return parts

    def verdict(self, belief: Belief, verdict: Verdict, look: Look) -> None:
        """Tell a verdict; it counts once it is on record.

        Raises:
            RefuteError: it cannot be kept.
        """
        result = self.result
        landed = not landing_faults(result.landings, self._experiment)
        self.emit(
            "verdict", belief=belief.id, claim=belief.claim, then=belief.then.text, verdict=verdict.word, reasons=list(verdict.reasons),
            **look.to_json(), injected=result.landing.injected, unit=self._experiment.intent.workload.unit,
            environment=self._experiment.environment, versions=result.versions | result.answered, landed=landed,
            rolled_back=result.rolled_back, recovered=result.recovered,
        )  # fmt: skip
        result.verdicts[belief.id] = verdict

    def progress(self, tape: Tape, planned: int, lease_s: float) -> None:
        """Tell how far a phase is."""
        self.emit(
            "progress", phase=tape.phase, elapsed_s=tape.elapsed_s, units=len(tape.outcomes),
            planned=planned if len(tape.outcomes) <= planned else tape.planned,
            arms=tape.arms(self._experiment.targets), lease_s=lease_s,
            log_e={belief: look.evidence() for belief, look in self.result.looks.items()} if tape.phase == "inject" else {},
        )  # fmt: skip


def defect(error: Exception) -> RefuteError:
    """Return what to say where the run failed by a mistake of ours."""
    return refuse(
        "REFUTE-DEFECT", "this is a defect in Refute; the run was ended and everything rolled back",
        exit_code=EXIT_INCONCLUSIVE, seen=f"{type(error).__name__}: {error}", next="refute doctor",
    )  # fmt: skip
