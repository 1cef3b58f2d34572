"""One experiment on training runs: is training deterministic, then pair after pair until the evidence decides."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from refute.core.arming import Arming, Landing
from refute.core.context import Arm
from refute.core.draws import uniform
from refute.core.errors import EXIT_INCONCLUSIVE, Problem, RefuteError, refuse
from refute.core.intent import Belief, Indicator
from refute.core.outcome import Outcome
from refute.core.training import ABOUT_TROUBLE
from refute.experiment.assess import Count, Verdict, about_threshold, judge
from refute.experiment.cases import Unit
from refute.experiment.design import Experiment
from refute.experiment.proof import landing_faults
from refute.experiment.tape import Tape
from refute.experiment.telling import Result, Sink, Telling, defect
from refute.experiment.training.armed import ArmedTrial
from refute.experiment.training.assess import Pair, PairAssessor, PairLook
from refute.experiment.training.curves import told_of
from refute.experiment.training.reading import told, values_of
from refute.experiment.training.record import Record
from refute.experiment.training.store import Controls
from refute.experiment.training.trial import Trial
from refute.safety.journal import Journal

_UNPROVEN = "the rollback is unproven"
CONTROLS = "controls"


class TrainingRun:
    """Runs one experiment whose units are training runs.

    Args:
        experiment: what to run.
        sink: takes every event; has made it durable when it returns, and raises where it cannot.
        journal: the rollback journal.
        log: file for what a training prints; control runs are kept in a folder beside it.
        aborted: says whether an abort was asked for.
    """

    def __init__(self, experiment: Experiment, sink: Sink, journal: Journal, log: Path, aborted: Callable[[], bool]) -> None:
        """Prepare nothing yet."""
        self._experiment = experiment
        self._intent = experiment.intent
        self._aborted = aborted
        self._journal = journal
        self._log = log
        self._result = Result(experiment)
        self._telling = Telling(self._result, sink)
        self._assessors = {belief.id: PairAssessor(belief, experiment) for belief in experiment.beliefs}
        self._pairs: list[Pair] = []
        self._repeats = {belief.id: Count() for belief in experiment.beliefs}
        self._tape = _tape("inject", 0)
        self._began = time.monotonic()

    async def run(self) -> Result:
        """Run it all; whatever happens, nothing stays armed, and what is known by then is returned.

        Returns:
            The verdicts and what proves them; what went wrong with the run itself is in it.
        """
        try:
            await self._phases()
        except asyncio.CancelledError:
            self._result.interrupted = True
        except RefuteError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - a mistake of ours must not take with it what is known of the rollback
            traceback.print_exc()
            self._fail(defect(error))
        return self._result

    def _fail(self, error: RefuteError) -> None:
        self._telling.failed(error)
        with contextlib.suppress(RefuteError):
            self._void([problem.what for problem in error.problems])

    async def _phases(self) -> None:
        controls = await asyncio.to_thread(Controls, self._intent, self._log.parent / CONTROLS)
        if self._experiment.check:
            await self._check(controls)
        await self._inject(controls)
        self._decide()

    async def _check(self, controls: Controls) -> None:
        """Train one seed twice, once with the fault in place and a share of 0: is it deterministic, and is what watches it harmless?"""
        self._start("check", 2)
        control = await self._control(controls, 1)
        again, landing = await self._armed(replace(self._experiment.arming, share=0.0), 1)
        self._note(control, control, "control")
        self._note(again, control, "control")
        differ = _differences(control, again)
        for belief in self._experiment.beliefs:
            breach = self._assessors[belief.id].breach(self._tape.outcomes[0], self._tape.outcomes[1])
            self._repeats[belief.id] = Count(1, float(breach))
            if breach and belief.then.relative:
                self._telling.problems((_noisy(belief, differ),))
        hit = landing.injected + len(again.hits)
        reasons = ["the A/A check injected something with a share of 0"] if hit else []
        if again.error:
            reasons.append(f"the training fails where it is only watched: {again.error}")
        if not self._result.rolled_back:
            reasons.append(_UNPROVEN)
        self._end(reasons, same_seed=differ)
        if reasons:
            raise refuse("TRAINING-CONTROL", reasons[0], exit_code=EXIT_INCONCLUSIVE, next=f"read {self._log}")

    async def _inject(self, controls: Controls) -> None:
        """Train pair after pair until every belief is decided or out of reach, or what may be spent is spent."""
        pairs = self._experiment.units // 2
        self._start("inject", 2 * pairs)
        for seed in range(1, pairs + 1):
            await self._pair(controls, seed)
            looks = [self._look(belief) for belief in self._experiment.beliefs]
            self._telling.progress(self._tape, 2 * pairs, 0.0)
            if all(look.over for look in looks) or not self._result.rolled_back or self._spent():
                break
        self._telling.landed(drawn="training runs")
        self._end([] if self._result.rolled_back else [_UNPROVEN])

    async def _pair(self, controls: Controls, seed: int) -> None:
        control = await self._control(controls, seed)
        first = self._note(control, control, "control")
        arming = replace(self._experiment.arming, seed=int(uniform(self._experiment.arming.seed, "pair", seed) * 2**32))
        record, landing = await self._armed(arming, seed)
        struck = bool(record.hits) or landing.injected > 0
        self._account(record, landing, struck=struck)
        second = self._note(record, control, "treatment", struck=struck)
        self._pairs.append(Pair(first, second, struck))

    def _account(self, record: Record, landing: Landing, *, struck: bool) -> None:
        """Count landing by runs: what is drawn and struck is a run, however many calls or steps of it were hit."""
        effect = dict(landing.effect)
        for hit in record.hits:
            effect[hit.effect] = effect.get(hit.effect, 0.0) + 1.0
        reason = "" if struck else landing.reason or "the fault did not strike"
        self._result.landings = (self._result.landing + Landing(1, int(struck), effect=effect, reason=reason),)

    async def _control(self, controls: Controls, seed: int) -> Record:
        """Return the run of a seed without the fault, from the store where it is there.

        Raises:
            RefuteError: it fails, or does not report what the beliefs read (`TRAINING-CONTROL`).
        """
        record = await asyncio.to_thread(controls.get, seed)
        if record is None:
            record = await Trial(self._intent, seed, self._log).run({}, self._alive)
            seen = record.error or self._lacking(record) or self._alarmed(record)
            if seen:
                raise refuse(
                    "TRAINING-CONTROL", f"the training run with seed {seed} and without the fault failed", exit_code=EXIT_INCONCLUSIVE,
                    seen=seen, next=f"read {self._log}",
                )  # fmt: skip
            await asyncio.to_thread(controls.keep, record)
        return record

    def _lacking(self, record: Record) -> str:
        """Say which metrics that a belief reads a control run has not told."""
        read = [one for one in self._read() if one.source not in ABOUT_TROUBLE]
        lacking = [one.source for one in read if values_of([one], record, record)[one.name] is None]
        return f"no metric {', '.join(lacking)}" if lacking else ""

    def _alarmed(self, record: Record) -> str:
        """Say that a control run has raised an alarm, where a belief asks whether the fault does: it would prove nothing."""
        asked = any(one.source in ABOUT_TROUBLE for one in self._read())
        return "it tells of trouble where there is none" if asked and told(record) else ""

    def _read(self) -> list[Indicator]:
        return [self._intent.indicators[belief.then.indicator] for belief in self._experiment.beliefs]

    async def _armed(self, arming: Arming, seed: int) -> tuple[Record, Landing]:
        """Train once with the fault armed, and prove afterwards that nothing of it is left."""
        self._result.armed = True
        trial = ArmedTrial(Trial(self._intent, seed, self._log), arming, self._experiment.id, self._journal)
        try:
            return await trial.run(self._alive)
        finally:
            if trial.rollback is not None:
                before = self._result.landings
                self._telling.rolled_back(trial.rollback)
                self._result.landings = before  # what is drawn is a run: `_account` counts those

    async def _alive(self) -> None:
        if self._aborted():
            raise asyncio.CancelledError

    def _spent(self) -> bool:
        return time.monotonic() - self._began > self._intent.blast_radius.duration_s

    def _note(self, record: Record, control: Record, arm: Arm, *, struck: bool = False) -> Outcome:
        """Make a run's outcome, and tell of it."""
        target, index = self._experiment.arming.component.name, len(self._tape.outcomes)
        drawn = {target: 1} if arm == "treatment" else {}
        values = values_of(self._intent.indicators.values(), record, control)
        outcome = Outcome(
            f"seed {record.seed}/{arm}/{self._tape.phase}/{index}", str(record.seed), arm, "", index, time.monotonic() - self._began,
            record.seconds, values, drawn, drawn if struck else {}, record.error, {}, drawn,
        )  # fmt: skip
        self._tape.add(index + 1, [outcome])
        self._telling.heard(self._tape.phase, [outcome.to_json()])
        self._telling.emit("training", phase=self._tape.phase, **told_of(record, arm))
        return outcome

    def _look(self, belief: Belief) -> PairLook:
        look = self._assessors[belief.id].look(self._pairs, self._repeats[belief.id])
        self._telling.looked(belief.id, look)
        return look

    def _start(self, phase: str, units: int) -> None:
        self._tape, self._began = _tape(phase, units), time.monotonic()
        self._telling.started(phase, units, units * self._intent.workload.timeout_s)

    def _end(self, reasons: list[str], **told: Any) -> None:
        self._tape.elapsed_s = time.monotonic() - self._began
        self._telling.ended(self._tape, reasons, **told)

    def _void(self, reasons: list[str]) -> None:
        for belief in (one for one in self._experiment.beliefs if one.id not in self._result.verdicts):
            self._telling.verdict(belief, Verdict("void", tuple(reasons)), self._assessors[belief.id].last)

    def _decide(self) -> None:
        void = landing_faults(self._result.landings, self._experiment)
        if not self._result.rolled_back:
            void.append(_UNPROVEN)
        arming, shown = self._experiment.arming, self._experiment.shown_magnitude
        for belief in self._experiment.beliefs:
            look = self._assessors[belief.id].last
            verdict = about_threshold(judge(look, void, "", look.counts), arming.magnitude, belief.at_least, shown)
            self._telling.verdict(belief, verdict, look)


def _tape(phase: str, units: int) -> Tape:
    """Return an empty tape; the arms of training runs are not drawn but alternate."""
    return Tape(phase, (Unit(f"{phase}/{place}", place, "", "", {}) for place in range(units)), units, 0, 0.5)


def _differences(one: Record, other: Record) -> dict[str, float | None]:
    """Return by how much each metric of two runs differs; None where one of them has none."""
    names = sorted({*one.metrics, *other.metrics})
    differ = {name: abs(one.metrics.get(name, math.nan) - other.metrics.get(name, math.nan)) for name in names}
    return {name: value if math.isfinite(value) else None for name, value in differ.items()}


def _noisy(belief: Belief, differ: dict[str, float | None]) -> Problem:
    seen = ", ".join(f"{name} {value:.4g} apart" for name, value in differ.items() if value is not None)
    return Problem(
        "TRAINING-NOISE", "two training runs with the same seed and no fault ended further apart than a belief allows", where=belief.where,
        seen=seen, allowed=belief.then.text, next="refute explain TRAINING-NOISE",
    )  # fmt: skip
