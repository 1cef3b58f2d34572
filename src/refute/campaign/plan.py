"""Ask: every experiment that the intent allows, ranked by what it teaches per unit of risk, and the refused ones with why."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from refute.campaign import kin
from refute.campaign.reasons import reasons
from refute.campaign.standing import Standing
from refute.core.arming import Arming, Handle
from refute.core.errors import Problem, RefuteError
from refute.core.intent import Belief, Intent
from refute.core.measure import measure
from refute.core.units import Money, show_share
from refute.experiment.design import Experiment, aim, new_id, together
from refute.experiment.exposure import ramp_units, treated
from refute.faults.catalogue import catalogue
from refute.injectors.registry import choose, struck_elsewhere
from refute.intent.checks.safety import refused_in
from refute.intent.magnitudes import shown_magnitude
from refute.learning import PassedOn, Prices, Resilience, cost_if_wrong, expected_spend, score, value
from refute.safety.gates import OneKindOfRollback, RollbackNeedsGuardian, refusals
from refute.safety.summon import obstacle
from refute.stats import PAIRED_WEIGHT, Answerability, answerable

_WORTHLESS_BITS = 0.02
_USUAL_RATE = 0.05  # breach rate of a control that is well, where nobody has measured it
_MOST_COUNTED = 400  # beyond so many units information hardly grows, and its sum is quadratic


@dataclass(frozen=True, slots=True)
class Proposal:
    """An experiment worth running.

    Attributes:
        beliefs: tested together.
        arming: the fault, aimed; of several the first.
        units: at most.
        seconds: of injection, at most.
        bits: expected information by belief.
        answerable: probability of each verdict by belief.
        value: expected information weighted by the cost of being wrong.
        risk: expected share of what `risk_of` names that it spoils.
        risk_of: `the error budget`, or `its own units` where no budget is stated.
        score: value per unit of risk: what the ranking goes by.
        reasons: why, in words.
        reach: predicted probability that the fault harms each journey that it can reach.
        spoiled: units that it is expected to spoil.
        propensity: probability with which it was chosen, once it was.
        random: whether it was drawn at random.
        others: expected information about other beliefs, by id, as far as it is reckoned with.
        also: further faults that strike in the same run, aimed.
    """

    beliefs: tuple[Belief, ...]
    arming: Arming
    units: int
    seconds: float
    bits: Mapping[str, float]
    answerable: Mapping[str, Answerability]
    value: float
    risk: float
    risk_of: str
    score: float
    reasons: tuple[str, ...]
    reach: Mapping[str, float]
    spoiled: float
    harm: Mapping[str, float] = field(default_factory=dict)
    propensity: float = 1.0
    random: bool = False
    others: Mapping[str, float] = field(default_factory=dict)
    also: tuple[Arming, ...] = ()

    @property
    def armings(self) -> tuple[Arming, ...]:
        """All faults, aimed."""
        return (self.arming, *self.also)

    def to_json(self) -> dict[str, Any]:
        """Return the Proposal of docs/reference/events.md."""
        return {
            "beliefs": [belief.id for belief in self.beliefs], "fault": self.arming.fault, "target": self.arming.component.name,
            "magnitude": show_magnitude(self.arming), "share": self.arming.share, "value": self.value, "bits": dict(self.bits),
            "risk": self.risk, "risk_of": self.risk_of, "score": self.score, "units": self.units, "seconds": self.seconds,
            "probability_of_answer": max(one.p_held + one.p_refuted for one in self.answerable.values()),
            "reasons": list(self.reasons), "reach": dict(self.reach), "harm": dict(self.harm),
            "spoiled": self.spoiled, "propensity": self.propensity, "random": self.random,
            "others": dict(self.others), **also_struck(self.also),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Refused:
    """An experiment that is not worth running, or must not be.

    Attributes:
        beliefs: that it would have tested.
        code: stable code.
        reason: why, in words.
    """

    beliefs: tuple[Belief, ...]
    code: str
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        when = self.beliefs[0].when
        names = [belief.id for belief in self.beliefs]
        also = {"also": [{"fault": one.fault, "target": one.target} for one in when.also]} if when.also else {}
        return {"beliefs": names, "fault": when.fault, "target": when.target, "code": self.code, "reason": self.reason, **also}


@dataclass(frozen=True, slots=True)
class Plan:
    """What could be run now.

    Attributes:
        proposals: best first.
        refused: the rest.
        spent: of the error budget so far; None where no budget is stated.
    """

    proposals: tuple[Proposal, ...]
    refused: tuple[Refused, ...]
    spent: Resilience | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the data of a `plan` event."""
        budget = {} if self.spent is None else {"error_budget": self.spent.to_json()}
        return {"proposals": [one.to_json() for one in self.proposals], "refusals": [one.to_json() for one in self.refused], **budget}


@dataclass(frozen=True, slots=True)
class _Planned:
    """What the gates look at."""

    handles: tuple[Handle, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the planner.

    Attributes:
        environment: where it would run, "" where none is named.
        seed: of the run; None for the campaign's next one.
        again: propose what is already answered, too.
        risk_price: λ of the score V / (c₀ + λR).
        magnitude: to try where a threshold is sought, instead of the one that teaches most.
        batch: so many experiments that differ, instead of all; None for all.
        degraded: targets that were not well with no fault applied, each with why.
        spent: of the error budget so far; None where nobody has counted.
        blasts: what earlier runs here harmed, as events.
    """

    environment: str = ""
    seed: int | None = None
    again: bool = False
    magnitude: float | None = None
    risk_price: float = Prices().risk
    batch: int | None = None
    degraded: Mapping[str, str] = field(default_factory=dict)
    spent: Resilience | None = None
    blasts: Sequence[Mapping[str, Any]] = ()


def ask(intent: Intent, standings: Mapping[str, Standing], question: Question) -> Plan:
    """Rank what could be run now.

    Args:
        intent: validated.
        standings: where each belief stands.
        question: for where, and on which terms.
    """
    proposals: list[Proposal] = []
    refused: list[Refused] = []
    learned = kin.passed_on(intent, standings, question.blasts)
    for beliefs in together(list(intent.beliefs.values())):
        mine = [standings[belief.id] for belief in beliefs]
        barred = _gated(beliefs, standings) or _degraded(beliefs[0].when.target, question) or _barred(intent, beliefs, mine, question)
        if barred is not None:
            refused.append(Refused(beliefs, barred.code, barred.what))
            continue
        one = _propose(intent, beliefs, standings, question, learned)
        (proposals if isinstance(one, Proposal) else refused).append(one)  # type: ignore[arg-type]
    return Plan(tuple(sorted(proposals, key=lambda proposal: -proposal.score)), tuple(refused), question.spent)


def _gated(beliefs: tuple[Belief, ...], standings: Mapping[str, Standing]) -> Problem | None:
    """Return why an experiment has to wait: a belief that comes before it does not hold by fresh evidence."""
    for name in dict.fromkeys(name for belief in beliefs for name in belief.after):
        if standings[name].verdict != "held" or not standings[name].answered:
            return Problem("PLAN-GATED", f"it waits until `{name}` holds, which is {standings[name].state} so far")
    return None


def _degraded(target: str, question: Question) -> Problem | None:
    """Return why nothing is to be learned from a target: it was sick with no fault applied."""
    why = question.degraded.get(target)
    return None if why is None else Problem("PLAN-DEGRADED", f"{target} was not well before the fault: {why}")


def _barred(intent: Intent, beliefs: tuple[Belief, ...], standings: list[Standing], question: Question) -> Problem | None:
    """Return why an experiment must not or need not run, before its worth is asked."""
    try:
        armings = aim(intent, beliefs[0], question.seed or 0)
        hands = [choose(arming) for arming in armings if not struck_elsewhere(arming)]
    except RefuteError as error:
        return error.problems[0]
    handles = tuple(Handle(hand.name, hand.rollback_kind, {}) for hand in hands)  # another host's guardian is asked before the run
    if refused := refusals([RollbackNeedsGuardian(obstacle), OneKindOfRollback()], _Planned(handles)):
        return refused[0][1]
    if question.environment or intent.workload.observed:
        hazards = refused_in(intent, question.environment, catalogue())
        if barred := [hazards[belief.id] for belief in beliefs if belief.id in hazards]:
            return barred[0]
    if not question.again and all(standing.answered for standing in standings):
        last = standings[0]
        if last.search is not None:
            return Problem("PLAN-ANSWERED", f"its threshold is known: it {last.search.sentence()}, and nothing it depends on has changed")
        return Problem("PLAN-ANSWERED", f"already {last.verdict} in {last.experiment}, and nothing it depends on has changed")
    return None


def _propose(
    intent: Intent, beliefs: tuple[Belief, ...], standings: Mapping[str, Standing], question: Question, learned: PassedOn
) -> Proposal | Refused:
    units = planned_units(intent)
    treated = {belief.id: eligible_units(intent, belief, units) for belief in beliefs}
    asked = {belief.id: _asked(standings[belief.id], treated[belief.id], question) for belief in beliefs}
    chances = {belief.id: _chances(intent, belief, asked[belief.id], treated[belief.id]) for belief in beliefs}
    if not any(one.answerable for one in chances.values()):
        return Refused(beliefs, "PLAN-UNANSWERABLE", _too_small(intent, beliefs, chances))
    bits = {belief.id: asked[belief.id].bits(treated[belief.id]) for belief in beliefs}
    if max(bits.values()) < _WORTHLESS_BITS and not question.again:
        return Refused(beliefs, "PLAN-WORTHLESS", f"it would teach {max(bits.values()):.3f} bits: the answer is as good as known")
    reckoned = {belief.id: replace(asked[belief.id], standing=kin.informed(intent, belief, standings)) for belief in beliefs}
    bits = {belief.id: reckoned[belief.id].bits(treated[belief.id]) for belief in beliefs}
    worth = value((cost_of(belief), bits[belief.id]) for belief in beliefs)
    spoiled = max(reckoned[belief.id].p_breach() * chances[belief.id].expected_units for belief in beliefs)
    risk = expected_spend(1.0, spoiled, _allowed_units(intent))
    prices, harm = Prices(risk=question.risk_price), kin.harm(intent, beliefs[0], learned)
    budget, spent = intent.blast_radius.error_budget, question.spent
    if budget is not None and risk > (budget.spend if spent is None else spent.left):
        of = f"; {show_share(spent.spent)} are spent" if spent is not None and spent.spent else ""
        seen = f"it is expected to spend {show_share(risk)} of the error budget; {show_share(budget.spend)} may be spent{of}"
        return Refused(beliefs, "PLAN-BUDGET", seen)
    arming, *also = aim(intent, beliefs[0], question.seed or 0, asked[beliefs[0].id].magnitude)
    return Proposal(
        beliefs, arming, units, units / intent.workload.rate_per_s,
        bits, chances,
        worth, risk, "its own units" if budget is None else "the error budget", score(worth, risk, prices),
        reasons(intent, beliefs, standings, bits), kin.reach(intent, harm), spoiled, harm, also=tuple(also),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a run would ask of one belief: does it hold, or does it hold at this magnitude?

    Attributes:
        standing: of the belief.
        magnitude: to try where a threshold is sought; None otherwise.
    """

    standing: Standing
    magnitude: float | None = None

    @property
    def confidence(self) -> float:
        """Probability that the answer is yes."""
        search = self.standing.search
        return self.standing.confidence if search is None or self.magnitude is None else search.holds(self.magnitude)

    def bits(self, units: int) -> float:
        """Expected information of so many treatment units."""
        search = self.standing.search
        if search is None or self.magnitude is None:
            return self.standing.claim.information(min(units, _MOST_COUNTED))
        return search.bits(self.magnitude, units)

    def p_breach(self) -> float:
        """Predictive probability that a unit breaches."""
        search = self.standing.search
        return self.standing.claim.p_breach() if search is None or self.magnitude is None else search.p_breach(self.magnitude)


def _asked(standing: Standing, units: int, question: Question) -> _Asked:
    if standing.search is None:
        return _Asked(standing)
    return _Asked(standing, question.magnitude or standing.search.ask(units, question.risk_price))


def planned_units(intent: Intent) -> int:
    """Return how many units an injection has at most, in both arms: what units and duration of the blast radius allow."""
    radius, training = intent.blast_radius, intent.workload.training
    if training is not None:
        return min(radius.units, 2 * training.seeds)
    return min(radius.units, int(radius.duration_s * intent.workload.rate_per_s))


def eligible_units(intent: Intent, belief: Belief, units: int) -> int:
    """Return how many treatment units a criterion can be expected to read.

    Args:
        intent: validated.
        belief: one of its beliefs.
        units: of the injection, both arms.
    """
    share = _any(intent.system.reach.get(target) or 1.0 for target in belief.when.targets)
    if belief.then.journey:
        journeys = intent.system.journeys
        share = journeys[belief.then.journey].share / sum(journey.share for journey in journeys.values())
    if belief.among == "faulted":
        share *= _any(part.share for part in belief.when.parts)
    return round(units * share if belief.when.uncontrolled else treated(intent, units, share))


def _any(chances: Iterable[float]) -> float:
    """Return the probability that at least one of several independent things happens."""
    return 1.0 - math.prod(1.0 - chance for chance in chances)


def _chances(intent: Intent, belief: Belief, asked: _Asked, treated: int) -> Answerability:
    """Forecast the verdict; for `worse by` roughly, with control's own uncertainty taken off the units."""
    one = measure(belief.then, intent.indicators)
    if one.relative:
        treated, bound = round(treated * (1 - intent.blast_radius.cohort)), min(0.99, one.bound + _USUAL_RATE)
        return answerable(bound, intent.alpha, treated, confidence=asked.confidence)
    if one.kind == "metric":
        return answerable(one.bound, intent.alpha, treated, confidence=asked.confidence, weight=PAIRED_WEIGHT)
    return answerable(one.bound, intent.alpha, treated, confidence=asked.confidence)


def cost_of(belief: Belief) -> float:
    """Return the weight of being wrong about a belief."""
    return cost_if_wrong(belief.if_wrong.amount if isinstance(belief.if_wrong, Money) else belief.if_wrong)


def _allowed_units(intent: Intent) -> float:
    """Return how many units the error budget lets go wrong; those of the blast radius where no budget is stated."""
    budget, radius = intent.blast_radius.error_budget, intent.blast_radius
    return radius.units if budget is None else (1 - budget.objective) * intent.workload.rate_per_s * budget.window_s


def _too_small(intent: Intent, beliefs: tuple[Belief, ...], chances: Mapping[str, Answerability]) -> str:
    needed = [
        intent.blast_radius.units * smallest / max(1, eligible_units(intent, belief, intent.blast_radius.units))
        for belief in beliefs
        if (smallest := chances[belief.id].smallest_n) is not None
    ]
    if not needed:
        return "no number of units within reach would answer it"
    if by := intent.blast_radius.audience.by:
        users = min(one.smallest_n for one in chances.values() if one.smallest_n is not None)
        return f"too small to answer with {planned_units(intent)} units, of which one of each `{by}` counts; it needs {users} in treatment"
    return (
        f"too small to answer with {planned_units(intent)} units{_on_the_way(intent)}; the smallest that would do is about "
        f"{round(min(needed))} (blast_radius)"
    )


def _on_the_way(intent: Intent) -> str:
    """Say how many units a ramp takes before its last step; "" where there is none."""
    taken = round(ramp_units(intent, 1.0))
    return f" (of which the ramp takes about {taken})" if taken else ""


def show_magnitude(arming: Arming) -> str:
    """Return an arming's magnitude as people write it, "" where it has none."""
    fault = catalogue()[arming.fault]
    return "" if arming.magnitude is None or fault.magnitude is None else shown_magnitude(arming.magnitude, fault.magnitude.unit)


def also_struck(also: Iterable[Arming]) -> dict[str, Any]:
    """Return what events say of the faults after the first; nothing where there is but one."""
    told = [
        {"fault": one.fault, "target": one.component.name, "magnitude": show_magnitude(one), "share": one.share, "draw": one.draw}
        for one in also
    ]
    return {"also": told} if told else {}


def design(intent: Intent, proposal: Proposal, environment: str, *, check: bool, tokens_per_unit: float | None) -> Experiment:
    """Return the experiment that a proposal describes."""
    check = check and not proposal.beliefs[0].when.uncontrolled  # there are no two arms to compare
    return Experiment(
        new_id(), intent, proposal.beliefs, proposal.arming, proposal.units, environment, check, "", tokens_per_unit, proposal.also
    )
