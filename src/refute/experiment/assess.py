"""What one run's data say of one belief: evidence at each look, and in the end a verdict. No prior opinion enters here."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from refute.core.context import Arm
from refute.core.intent import Belief
from refute.core.measure import Measure, measure
from refute.core.outcome import Outcome, Slot
from refute.experiment.design import Experiment
from refute.experiment.tape import Tape
from refute.stats import RatioTest, RelativeTest, control_meets, futile, jeffreys_interval

Word = Literal["held", "refuted", "inconclusive", "void", "aborted"]
_HEALTHY = 0.95


@dataclass(frozen=True, slots=True)
class Count:
    """Breaches among units that have ended.

    Attributes:
        n: units.
        breaches: of the criterion; a sum of scores where the indicator is one.
    """

    n: int = 0
    breaches: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return counts, rate and a 95 % Jeffreys interval."""
        low, high = jeffreys_interval(self.breaches, self.n, 0.05) if self.n else (0.0, 1.0)
        return {"n": self.n, "breaches": self.breaches, "rate": self.breaches / self.n if self.n else None, "interval": [low, high]}


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
        baseline_rate: breach rate in the baseline, None where nothing was eligible to judge.
        cases: distinct cases among the treatment units.
    """

    treatment: Count = Count()
    control: Count = Count()
    bound: float = 0.0
    log_hold: float = 0.0
    log_refute: float = 0.0
    threshold: float = math.inf
    control_meets: float = 0.0
    futile: bool = False
    baseline_rate: float | None = None
    cases: int = 0

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
        return bool(self.decision) or self.futile

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


def judge(look: Look, void: list[str], stopped_by: str) -> Verdict:
    """Return the verdict.

    Args:
        look: the last evidence.
        void: what voids the run; empty where it is valid.
        stopped_by: stop condition that ended it, or "".
    """
    if void:
        return Verdict("void", tuple(void))
    counts = f"{look.treatment.breaches:g} breaches in {look.n} eligible units; at most {look.bound:.3g} allowed"
    if look.decision:
        return Verdict(look.decision, (counts,))
    if look.log_refute >= look.threshold:
        return Verdict("void", (f"control itself does not provably meet the criterion (probability {look.control_meets:.2f})", counts))
    if stopped_by:
        return Verdict("aborted", (f"stop condition: {stopped_by}", counts))
    why = "a decision was out of reach" if look.futile else "the blast radius was used up"
    return Verdict("inconclusive", (why, counts))


class Assessor:
    """Reads one belief off a tape; once decided it stays decided.

    Args:
        belief: what is tested.
        one: how its criterion reads an outcome.
        experiment: with cohort, alpha and size.
        baseline_rate: breach rate in the baseline.
    """

    def __init__(self, belief: Belief, one: Measure, experiment: Experiment, baseline_rate: float | None) -> None:
        """Start with no evidence."""
        self._belief = belief
        self._measure = one
        self._target = experiment.arming.component.name
        self._cohort = experiment.arming.cohort
        self._planned = experiment.units
        self._alpha = experiment.intent.alpha
        self._baseline_rate = baseline_rate
        self._last = Look(threshold=-math.log(self._alpha))

    def look(self, tape: Tape) -> Look:
        """Return the evidence so far."""
        if not self._last.over:
            self._last = self._relative(tape) if self._measure.relative else self._absolute(tape)
        return self._last

    def _absolute(self, tape: Tape) -> Look:
        slots = self._counted(tape, "treatment")
        log_hold, log_refute = RatioTest(self._measure.bound, self._alpha).look([self._breach(slot) for slot in slots])
        treatment, control = self._count(slots), self._count(self._counted(tape, "control"))
        left = round(self._cohort * (tape.planned - tape.started))
        return self._look(
            slots, treatment, control, log_hold, log_refute,
            meets=control_meets(control.breaches, control.n, self._measure.bound),
            out_of_reach=futile(treatment.breaches, treatment.n, treatment.n + left + self._open(slots), self._measure.bound, self._alpha),
        )  # fmt: skip

    def _relative(self, tape: Tape) -> Look:
        slots = self._counted(tape, None)
        series = [(slot.arm == "treatment", self._breach(slot)) for slot in slots]
        log_hold, log_refute = RelativeTest(self._measure.bound, self._cohort, self._alpha).look(series)
        treatment = self._count([slot for slot in slots if slot.arm == "treatment"])
        control = self._count([slot for slot in slots if slot.arm == "control"])
        return self._look(slots, treatment, control, log_hold, log_refute, meets=1.0, out_of_reach=False)

    def _look(
        self, slots: list[Slot], treatment: Count, control: Count, log_hold: float, log_refute: float, *, meets: float, out_of_reach: bool
    ) -> Look:
        cases = {slot.outcome.cluster for slot in slots if slot.outcome is not None and slot.arm == "treatment"}
        return Look(
            treatment, control, self._measure.bound, log_hold, log_refute, -math.log(self._alpha), meets, out_of_reach,
            self._baseline_rate, len(cases),
        )  # fmt: skip

    def _counted(self, tape: Tape, arm: Arm | None) -> list[Slot]:
        """Return units that count, or may yet: still under way, or eligible (or hit, where only those are asked about)."""
        faulted = self._belief.among == "faulted"
        seen: Callable[[Outcome], dict[str, int]] = (lambda outcome: outcome.hits) if faulted else (lambda outcome: outcome.eligible)
        return [
            slot
            for slot in tape.slots(arm, self._belief.then.journey)
            if slot.outcome is None or (seen(slot.outcome) if slot.arm == "treatment" else slot.outcome.eligible).get(self._target)
        ]

    def _breach(self, slot: Slot) -> float | None:
        return None if slot.outcome is None else self._measure.breach(slot.outcome)

    def _open(self, slots: list[Slot]) -> int:
        return sum(1 for slot in slots if self._breach(slot) is None)

    def _count(self, slots: list[Slot]) -> Count:
        known = [breach for slot in slots if (breach := self._breach(slot)) is not None]
        return Count(len(known), sum(known))


def assessor(belief: Belief, experiment: Experiment, baseline: Tape) -> Assessor:
    """Return what reads a belief's evidence, with relative latency bounds fixed at the baseline.

    Args:
        belief: one of the experiment's.
        experiment: the run.
        baseline: its phase without the fault, ended.
    """
    one = measure(belief.then, experiment.intent.indicators).with_baseline(baseline.outcomes)
    journey = belief.then.journey
    known = [
        breach
        for outcome in baseline.outcomes
        if (not journey or outcome.journey == journey) and (breach := one.breach(outcome)) is not None
    ]
    return Assessor(belief, one, experiment, sum(known) / len(known) if known else None)
