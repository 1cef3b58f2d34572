"""What one run's data say of one belief: evidence at each look, and in the end a verdict. No prior opinion enters here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from refute.core.context import Arm
from refute.core.deviation import band_of
from refute.core.feed import Begun, Feed, Settled
from refute.core.intent import Belief
from refute.core.measure import Measure, measure
from refute.core.outcome import Outcome, Slot
from refute.core.units import show_share
from refute.experiment.design import Experiment
from refute.experiment.tape import Tape
from refute.stats import MeanTest, MeanWatch, RatioTest, RatioWatch, RelativeTest, RelativeWatch, futile, jeffreys_interval, p_meets
from refute.system.graph import journeys_through

Word = Literal["held", "refuted", "inconclusive", "void", "aborted"]
_HEALTHY = 0.95
BLIND_UNITS = 20
"""So many treatment units in a row of which the criterion could not be read end the injection: more would spoil units and teach nothing."""


@dataclass(frozen=True, slots=True)
class Count:
    """Breaches among units that have ended.

    Attributes:
        n: units.
        breaches: of the criterion; a sum of scores or deviations where the indicator is one.
        kind: of the indicator, or "".
    """

    n: int = 0
    breaches: float = 0.0
    kind: str = ""

    @property
    def band(self) -> str:
        """The band of the mean, where these are deviations of units that are known; else ""."""
        return band_of(self.breaches / self.n) if self.n and self.kind == "deviation" else ""

    def shown(self, bound: float) -> str:
        """Return what was counted against what is allowed, in words."""
        if self.kind != "deviation":
            return f"{self.breaches:g} breaches in {self.n} eligible units; at most {show_share(bound)} allowed"
        mean = f"{self.breaches / self.n:.3f} on average, {self.band}" if self.n else "none"
        return f"deviation of {self.n} eligible units: {mean}; at most {bound:.3g} allowed"

    def to_json(self) -> dict[str, Any]:
        """Return counts, rate and a 95 % Jeffreys interval."""
        low, high = jeffreys_interval(self.breaches, self.n, 0.05) if self.n else (0.0, 1.0)
        rate, band = self.breaches / self.n if self.n else None, {"band": self.band} if self.band else {}
        return {"n": self.n, "breaches": self.breaches, "rate": rate, "interval": [low, high], **band}


@dataclass(frozen=True, slots=True)
class Look:
    """The evidence at one moment.

    Attributes:
        treatment: eligible units of the treatment arm.
        control: eligible units of the control arm.
        bound: allowed breach rate, or allowed difference.
        log_hold: log E for `held`.
        log_refute: log E for `refuted`.
        threshold: log of 1/alpha: either side decides there.
        control_meets: posterior probability that control itself meets the criterion; 1 for relative ones.
        futile: no decision can be reached any more.
        blind: of the last treatment units the criterion could not be read.
        baseline_rate: breach rate in the baseline, None where nothing was eligible to judge.
        cases: distinct cases among the treatment units.
        absolute: whether treatment is held against a fixed bound rather than against control.
    """

    treatment: Count = Count()
    control: Count = Count()
    bound: float = 0.0
    log_hold: float = 0.0
    log_refute: float = 0.0
    threshold: float = math.inf
    control_meets: float = 0.0
    futile: bool = False
    blind: bool = False
    baseline_rate: float | None = None
    cases: int = 0
    absolute: bool = True

    @property
    def n(self) -> int:
        """Eligible treatment units that have ended."""
        return self.treatment.n

    @property
    def decision(self) -> Literal["held", "refuted", ""]:
        """What the data say so far; a refutation needs a healthy control."""
        if self.log_hold >= self.threshold:
            return "held"
        if self.log_refute >= self.threshold and self.control_meets >= _HEALTHY:
            return "refuted"
        return ""

    @property
    def over(self) -> bool:
        """Whether more units cannot change the answer."""
        return bool(self.decision) or self.futile or self.blind

    def evidence(self) -> dict[str, float]:
        """Return log E on both sides and their bound."""
        return {"hold": self.log_hold, "refute": self.log_refute, "bound": self.threshold if math.isfinite(self.threshold) else 0.0}

    def point(self) -> dict[str, float]:
        """Return one point of the evidence plot."""
        return {"n": self.n, "breaches": self.treatment.breaches, "log_e_hold": self.log_hold, "log_e_refute": self.log_refute}

    def to_json(self) -> dict[str, Any]:
        """Return the fields of a verdict event."""
        return {
            **self.treatment.to_json(), "bound": self.bound, "control": self.control.to_json(), "log_e": self.evidence(),
            "baseline_rate": self.baseline_rate, "cases": self.cases,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run says of a belief.

    Attributes:
        word: `held`, `refuted`, `inconclusive`, `void` or `aborted`.
        reasons: why, in words.
    """

    word: Word
    reasons: tuple[str, ...] = ()


def judge(look: Look, void: list[str], stopped_by: str, counts: str = "") -> Verdict:
    """Return the verdict. A decision that the data have reached stands, whatever ended the run.

    Args:
        look: the last evidence.
        void: what voids the run; empty where it is valid.
        stopped_by: stop condition that ended it, or "".
        counts: the evidence in words; breaches among eligible units where it is left out.
    """
    if void:
        return Verdict("void", tuple(void))
    counts = counts or look.treatment.shown(look.bound)
    if look.decision:
        return Verdict(look.decision, (counts, f"the run was ended by a stop condition: {stopped_by}") if stopped_by else (counts,))
    if look.log_refute >= look.threshold:
        return Verdict("void", (f"control itself does not provably meet the criterion (probability {look.control_meets:.2f})", counts))
    if stopped_by:
        return Verdict("aborted", (f"stop condition: {stopped_by}", counts))
    why = "a decision was out of reach" if look.futile else "the blast radius was used up"
    if look.blind:
        why = f"the criterion could not be read in {BLIND_UNITS} units in a row"
    return Verdict("inconclusive", (why, counts))


def about_threshold(verdict: Verdict, tried: float | None, at_least: float | None, shown: str) -> Verdict:
    """Return what a verdict at one magnitude says of a belief in a threshold.

    What holds at a magnitude holds at smaller ones, and what fails at one fails at larger ones; the rest is a step of the search.

    Args:
        verdict: at the magnitude that was tried.
        tried: that magnitude.
        at_least: the one that the belief speaks of, in the same unit; None where it is no belief in a threshold.
        shown: the magnitude that was tried, in words.
    """
    if at_least is None or tried is None or verdict.word not in {"held", "refuted"}:
        return verdict
    if (verdict.word == "held" and tried >= at_least) or (verdict.word == "refuted" and tried <= at_least):
        return verdict
    step = (
        f"it holds at {shown}, which is less than what is believed" if verdict.word == "held" else f"{shown} is too much; less is believed"
    )
    return Verdict("inconclusive", (step, *verdict.reasons))


class Assessor:
    """Reads one belief off a tape; once decided it stays decided.

    Args:
        belief: what is tested.
        one: how its criterion reads an outcome.
        experiment: with cohort, alpha and size.
        baseline: breaches in the baseline; it stands for control where every unit of the injection sees the fault.
    """

    def __init__(self, belief: Belief, one: Measure, experiment: Experiment, baseline: Count) -> None:
        """Start with no evidence."""
        alpha = experiment.intent.alpha
        self._control = baseline if experiment.uncontrolled else None
        self._targets = experiment.targets
        self._through = {"", *(name for target in self._targets for name in journeys_through(experiment.intent.system, target))}
        self._among_faulted = belief.among == "faulted"
        self._measure = one
        self._test = test_of(one, alpha)
        self._step = experiment.evidence_step
        self._feed = Feed(one, control=one.relative, eligible=self._counts, step=self._step)
        self._watch: RatioWatch | MeanWatch | RelativeWatch = self._test.watch()
        rate = baseline.breaches / baseline.n if baseline.n else None
        self._last = Look(bound=one.bound, threshold=self._test.threshold, baseline_rate=rate, absolute=not one.relative)

    def look(self, tape: Tape) -> Look:
        """Return the evidence so far."""
        if self._last.over:
            return self._last
        for step in self._feed.read(tape.slots()):
            self._read(step)
        ended = self._known(tape, "treatment")
        treatment = self._count(ended)
        evidence = self._watch.evidence
        self._last = replace(
            self._with_control(tape), treatment=treatment, log_hold=evidence.log_hold, log_refute=evidence.log_refute,
            futile=isinstance(self._test, RatioTest) and self._out_of_reach(tape, treatment),
            cases=len({outcome.cluster for outcome in ended}), blind=self._blind(ended),
        )  # fmt: skip
        return self._last

    def settle(self, tape: Tape) -> Look:
        """Return the evidence at the end of the injection: control is read once more, with units that were under way at the decision.

        To judge control by those alone that had ended by then would overlook one that hangs.
        """
        self._last = self._with_control(tape) if self._last.over else self.look(tape)
        return self._last

    def _with_control(self, tape: Tape) -> Look:
        """Return the last look with what is known of control; a unit of it that is past its deadline has failed."""
        if self._control is not None:
            meets = p_meets(self._control.breaches, self._control.n, self._measure.bound)
            return replace(self._last, control=self._control, control_meets=meets)
        control = self._count(self._known(tape, "control"))
        overdue = [one for one in tape.overdue() if one.arm == "control" and self._measure.covers(one.journey)]
        late = sum(not one.cluster for one in overdue) + len({one.cluster for one in overdue if one.cluster})
        meets = 1.0 if self._measure.relative else p_meets(control.breaches + late, control.n + late, self._measure.bound)
        return replace(self._last, control=control, control_meets=meets)

    def _read(self, step: Begun | Settled) -> None:
        watch = self._watch
        if isinstance(step, Begun):
            if isinstance(watch, RelativeWatch):
                watch.begin(treatment=step.treatment, share=step.share)
            else:
                watch.see(step.place, None)
        elif step.breach is None:
            watch.skip(step.place)
        else:
            watch.see(step.place, step.breach)

    def _out_of_reach(self, tape: Tape, treatment: Count) -> bool:
        """Whether even the best or the worst of what is left could not decide."""
        if self._step is not None and tape.step < self._step:
            return False
        left = tape.treated_left(self._may_count)
        return futile(treatment.breaches, treatment.n, treatment.n + left, self._test.bound, self._test.alpha)

    def _blind(self, ended: Sequence[Outcome]) -> bool:
        """Whether the last units that count say nothing of the criterion: what evaluates it does not work under this fault."""
        last = ended[-BLIND_UNITS:]
        return len(last) == BLIND_UNITS and all(self._measure.breach(outcome) is None for outcome in last)

    def _counts(self, outcome: Outcome) -> bool:
        """Whether a unit counts, by what is alike in both arms up to the first fault: that it met a call, or that a draw came up.

        Of several faults any one will do: the first of them may keep a unit from ever meeting the others.
        """
        if self._control is not None:
            return outcome.journey in self._through
        met = outcome.drawn if self._among_faulted else outcome.eligible
        return any(met.get(target) for target in self._targets)

    def _may_count(self, slot: Slot) -> bool:
        """Whether a unit counts as far as can be told before it ends."""
        return self._measure.covers(slot.journey) and self._step in {None, slot.step}

    def _known(self, tape: Tape, arm: Arm) -> list[Outcome]:
        return [outcome for outcome in tape.known(arm, self._may_count) if self._counts(outcome)]

    def _count(self, outcomes: Sequence[Outcome]) -> Count:
        known = self._measure.breaches(outcomes)
        return Count(len(known), sum(known), self._measure.kind)


def test_of(one: Measure, alpha: float) -> RatioTest | MeanTest | RelativeTest:
    """Return the test for a criterion; a score's is on its badness, which is at most the bound where the criterion holds."""
    if one.relative:
        return RelativeTest(one.bound, alpha)
    return MeanTest(one.bound, at_least=False, alpha=alpha) if one.kind in {"score", "deviation"} else RatioTest(one.bound, alpha)


def assessor(belief: Belief, experiment: Experiment, baseline: Tape) -> Assessor:
    """Return what reads a belief's evidence, with relative limits fixed at the baseline.

    Args:
        belief: one of the experiment's.
        experiment: the run.
        baseline: its phase without the fault, ended.

    Raises:
        NoBaselineError: the belief's limit is relative, and the baseline gives none.
    """
    one = measure(belief.then, experiment.intent.indicators).with_baseline(baseline.outcomes)
    known = one.breaches(baseline.outcomes)
    return Assessor(belief, one, experiment, Count(len(known), sum(known)))
