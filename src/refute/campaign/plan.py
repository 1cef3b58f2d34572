"""Ask: every experiment that the intent allows, ranked by what it teaches per unit of risk, and the refused ones with why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from refute.campaign import kin
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
from refute.learning import Prices, cost_if_wrong, expected_spend, score, value
from refute.safety.gates import RollbackNeedsGuardian, refusals
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
        arming: the fault, aimed.
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
    propensity: float = 1.0
    random: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the Proposal of docs/reference/events.md."""
        return {
            "beliefs": [belief.id for belief in self.beliefs], "fault": self.arming.fault, "target": self.arming.component.name,
            "magnitude": show_magnitude(self.arming), "share": self.arming.share, "value": self.value, "bits": dict(self.bits),
            "risk": self.risk, "risk_of": self.risk_of, "score": self.score, "units": self.units, "seconds": self.seconds,
            "probability_of_answer": max(one.p_held + one.p_refuted for one in self.answerable.values()),
            "reasons": list(self.reasons), "reach": dict(self.reach),
            "spoiled": self.spoiled, "propensity": self.propensity, "random": self.random,
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
        return {"beliefs": names, "fault": when.fault, "target": when.target, "code": self.code, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Plan:
    """What could be run now.

    Attributes:
        proposals: best first.
        refused: the rest.
    """

    proposals: tuple[Proposal, ...]
    refused: tuple[Refused, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the data of a `plan` event."""
        return {"proposals": [one.to_json() for one in self.proposals], "refusals": [one.to_json() for one in self.refused]}


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
    """

    environment: str = ""
    seed: int | None = None
    again: bool = False
    magnitude: float | None = None
    risk_price: float = Prices().risk
    batch: int | None = None


def ask(intent: Intent, standings: Mapping[str, Standing], question: Question) -> Plan:
    """Rank what could be run now.

    Args:
        intent: validated.
        standings: where each belief stands.
        question: for where, and on which terms.
    """
    proposals: list[Proposal] = []
    refused: list[Refused] = []
    for beliefs in together(list(intent.beliefs.values())):
        barred = _barred(intent, beliefs, [standings[belief.id] for belief in beliefs], question)
        if barred is not None:
            refused.append(Refused(beliefs, barred.code, barred.what))
            continue
        one = _propose(intent, beliefs, standings, question)
        (proposals if isinstance(one, Proposal) else refused).append(one)  # type: ignore[arg-type]
    return Plan(tuple(sorted(proposals, key=lambda proposal: -proposal.score)), tuple(refused))


def _barred(intent: Intent, beliefs: tuple[Belief, ...], standings: list[Standing], question: Question) -> Problem | None:
    """Return why an experiment must not or need not run, before its worth is asked."""
    try:
        arming = aim(intent, beliefs[0], question.seed or 0)
        hand = None if struck_elsewhere(arming) else choose(arming)
    except RefuteError as error:
        return error.problems[0]
    handles = () if hand is None else (Handle(hand.name, hand.rollback_kind, {}),)  # another host's guardian is asked before the run
    if refused := refusals([RollbackNeedsGuardian(obstacle)], _Planned(handles)):
        return refused[0][1]
    if question.environment:
        hazards = refused_in(intent, question.environment, catalogue())
        if barred := [hazards[belief.id] for belief in beliefs if belief.id in hazards]:
            return barred[0]
    if not question.again and all(standing.answered for standing in standings):
        last = standings[0]
        if last.search is not None:
            return Problem("PLAN-ANSWERED", f"its threshold is known: it {last.search.sentence()}, and nothing it depends on has changed")
        return Problem("PLAN-ANSWERED", f"already {last.verdict} in {last.experiment}, and nothing it depends on has changed")
    return None


def _propose(intent: Intent, beliefs: tuple[Belief, ...], standings: Mapping[str, Standing], question: Question) -> Proposal | Refused:
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
    worth = value((_cost(belief), bits[belief.id]) for belief in beliefs)
    spoiled = max(reckoned[belief.id].p_breach() * chances[belief.id].expected_units for belief in beliefs)
    risk = expected_spend(1.0, spoiled, _allowed_units(intent))
    prices = Prices(risk=question.risk_price)
    budget = intent.blast_radius.error_budget
    if budget is not None and risk > budget.spend:
        seen = f"it is expected to spend {show_share(risk)} of the error budget; {show_share(budget.spend)} may be spent"
        return Refused(beliefs, "PLAN-BUDGET", seen)
    return Proposal(
        beliefs, aim(intent, beliefs[0], question.seed or 0, asked[beliefs[0].id].magnitude), units, units / intent.workload.rate_per_s,
        bits, chances,
        worth, risk, "its own units" if budget is None else "the error budget", score(worth, risk, prices),
        _reasons(intent, beliefs, standings, bits), kin.reach(intent, beliefs[0], standings), spoiled,
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
    share = intent.system.reach.get(belief.when.target) or 1.0
    if belief.then.journey:
        journeys = intent.system.journeys
        share = journeys[belief.then.journey].share / sum(journey.share for journey in journeys.values())
    if belief.among == "faulted":
        share *= belief.when.share
    return round(units * share if belief.when.uncontrolled else treated(intent, units, share))


def _chances(intent: Intent, belief: Belief, asked: _Asked, treated: int) -> Answerability:
    """Forecast the verdict; for `worse by` roughly, with control's own uncertainty taken off the units."""
    one = measure(belief.then, intent.indicators)
    if one.relative:
        treated, bound = round(treated * (1 - intent.blast_radius.cohort)), min(0.99, one.bound + _USUAL_RATE)
        return answerable(bound, intent.alpha, treated, confidence=asked.confidence)
    if one.kind == "metric":
        return answerable(one.bound, intent.alpha, treated, confidence=asked.confidence, weight=PAIRED_WEIGHT)
    return answerable(one.bound, intent.alpha, treated, confidence=asked.confidence)


def _cost(belief: Belief) -> float:
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
    return (
        f"too small to answer with {planned_units(intent)} units{_on_the_way(intent)}; the smallest that would do is about "
        f"{round(min(needed))} (blast_radius)"
    )


def _on_the_way(intent: Intent) -> str:
    """Say how many units a ramp takes before its last step, and that users count once; "" where neither is so."""
    taken, by = round(ramp_units(intent, 1.0)), intent.blast_radius.audience.by
    said = [f"of which the ramp takes about {taken}"] if taken else []
    said += [f"of which one of each `{by}` counts"] if by else []
    return f" ({', '.join(said)})" if said else ""


def _reasons(intent: Intent, beliefs: tuple[Belief, ...], standings: Mapping[str, Standing], bits: Mapping[str, float]) -> tuple[str, ...]:
    best = max(beliefs, key=lambda belief: bits[belief.id])
    standing = standings[best.id]
    reasons = [f"{bits[best.id]:.2f} bits expected on “{best.claim}”"]
    if best.decides:
        reasons.append(f"decides: {best.decides}")
    if len(beliefs) > 1:
        reasons.append(f"{len(beliefs)} beliefs are tested in one run")
    if standing.search is not None and standing.search.tried:
        reasons.append(f"{len(standing.search.tried)} runs at other magnitudes so far: it {standing.search.sentence()}")
    if standing.stale is not None:
        reasons += standing.stale.reasons()
    else:
        reasons.append("never tested" if standing.state == "untested" else f"last: {standing.state}")
    if (kindred := kin.reason(intent, best, standings)) is not None:
        reasons.append(kindred)
    return tuple(reasons)


def show_magnitude(arming: Arming) -> str:
    """Return an arming's magnitude as people write it, "" where it has none."""
    fault = catalogue()[arming.fault]
    return "" if arming.magnitude is None or fault.magnitude is None else shown_magnitude(arming.magnitude, fault.magnitude.unit)


def design(intent: Intent, proposal: Proposal, environment: str, *, check: bool, tokens_per_unit: float | None) -> Experiment:
    """Return the experiment that a proposal describes."""
    check = check and not proposal.beliefs[0].when.uncontrolled  # there are no two arms to compare
    return Experiment(new_id(), intent, proposal.beliefs, proposal.arming, proposal.units, environment, check, "", tokens_per_unit)
