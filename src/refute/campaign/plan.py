"""Ask: every experiment that the intent allows, ranked by what it teaches per unit of risk, and the refused ones with why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from refute.campaign.standing import Standing
from refute.core.arming import Arming
from refute.core.errors import RefuteError
from refute.core.intent import Belief, Intent
from refute.core.measure import measure
from refute.core.units import show_seconds
from refute.experiment.design import Experiment, aim, new_id, together
from refute.faults.catalogue import catalogue
from refute.injectors.registry import choose
from refute.learning import cost_weight, score
from refute.safety.gates import refusal
from refute.stats import Answerability, answerable

_WORTHLESS_BITS = 0.02


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
        risk: expected share of the error budget that it spends, or of its own units that it spoils where no budget is stated.
        score: value per unit of risk: what the ranking goes by.
        reasons: why, in words.
    """

    beliefs: tuple[Belief, ...]
    arming: Arming
    units: int
    seconds: float
    bits: Mapping[str, float]
    answerable: Mapping[str, Answerability]
    value: float
    risk: float
    score: float
    reasons: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the Proposal of docs/reference/events.md."""
        return {
            "beliefs": [belief.id for belief in self.beliefs], "fault": self.arming.fault, "target": self.arming.component.name,
            "magnitude": show_magnitude(self.arming), "share": self.arming.share, "value": self.value, "bits": dict(self.bits),
            "risk": self.risk, "score": self.score, "units": self.units, "seconds": self.seconds,
            "probability_of_answer": max(one.p_held + one.p_refuted for one in self.answerable.values()),
            "reasons": list(self.reasons), "propensity": 1.0,
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


def ask(
    intent: Intent, standings: Mapping[str, Standing], environment: str, *, seed: int, again: bool = False, risk_weight: float = 1.0
) -> Plan:
    """Rank what could be run now.

    Args:
        intent: validated.
        standings: where each belief stands.
        environment: where it would run, "" where none is named.
        seed: of the runs.
        again: propose what is already answered, too.
        risk_weight: λ of the score V / (c₀ + λR).
    """
    proposals: list[Proposal] = []
    refused: list[Refused] = []
    for beliefs in together(list(intent.beliefs.values())):
        one = _consider(intent, beliefs, standings, environment, seed=seed, again=again, risk_weight=risk_weight)
        (proposals if isinstance(one, Proposal) else refused).append(one)  # type: ignore[arg-type]
    return Plan(tuple(sorted(proposals, key=lambda proposal: -proposal.score)), tuple(refused))


def _consider(
    intent: Intent,
    beliefs: tuple[Belief, ...],
    standings: Mapping[str, Standing],
    environment: str,
    *,
    seed: int,
    again: bool,
    risk_weight: float,
) -> Proposal | Refused:
    try:
        arming = aim(intent, beliefs[0], seed)
        handle = choose(arming).prepare(arming)
    except RefuteError as error:
        return Refused(beliefs, error.problems[0].code, error.problems[0].what)
    barred = refusal(arming, handle, intent, environment)
    if barred is not None:
        return Refused(beliefs, barred.code, barred.what)
    open_ones = [belief for belief in beliefs if again or not standings[belief.id].verdict]
    if not open_ones:
        last = standings[beliefs[0].id]
        return Refused(
            beliefs, "PLAN-ANSWERED", f"already answered: {last.verdict} in {last.experiment}, and nothing it depends on has changed"
        )
    units = intent.blast_radius.units
    treated = round(units * intent.blast_radius.cohort)
    chances = {belief.id: _answerable(intent, belief, standings[belief.id], treated) for belief in beliefs}
    if not any(one.both_reachable and one.p_held + one.p_refuted >= 0.5 for one in chances.values()):
        return Refused(beliefs, "PLAN-UNANSWERABLE", _too_small(intent, chances))
    bits = {
        belief.id: standings[belief.id].claim.expected_bits(treated, standings[belief.id].breaches, standings[belief.id].n)
        for belief in beliefs
    }
    if max(bits.values()) < _WORTHLESS_BITS:
        return Refused(beliefs, "PLAN-WORTHLESS", f"it would teach {max(bits.values()):.3f} bits: the answer is as good as known")
    value = sum(cost_weight(belief.if_wrong) * bits[belief.id] for belief in beliefs)
    risk = _risk(intent, [standings[belief.id] for belief in beliefs], treated)
    return Proposal(
        beliefs, arming, units, min(units / intent.workload.rate_per_s, intent.blast_radius.duration_s), bits, chances,
        value, risk, score(value, risk, risk_weight), _reasons(beliefs, standings, bits),
    )  # fmt: skip


def _answerable(intent: Intent, belief: Belief, standing: Standing, treated: int) -> Answerability:
    one = measure(belief.then, intent.indicators)
    return answerable(one.bound, intent.alpha, treated, confidence=standing.confidence)


def _too_small(intent: Intent, chances: Mapping[str, Answerability]) -> str:
    smallest = min((one.smallest_n for one in chances.values() if one.smallest_n), default=None)
    if smallest is None:
        return "no number of units up to 2,000 in treatment would answer it"
    needed = round(smallest / intent.blast_radius.cohort)
    return f"too small to answer: {intent.blast_radius.units} units; the smallest that would do is {needed} (blast_radius.units)"


def _risk(intent: Intent, standings: list[Standing], treated: int) -> float:
    """Expected bad units in treatment, as a share of the error budget, or of the blast radius where no budget is stated."""
    rate = max(standing.claim.expected_rate(standing.breaches, standing.n) for standing in standings)
    bad = rate * treated
    budget = intent.blast_radius.error_budget
    if budget is None:
        return bad / intent.blast_radius.units
    return bad / ((1 - budget.objective) * intent.workload.rate_per_s * budget.window_s)


def _reasons(beliefs: tuple[Belief, ...], standings: Mapping[str, Standing], bits: Mapping[str, float]) -> tuple[str, ...]:
    best = max(beliefs, key=lambda belief: bits[belief.id])
    standing = standings[best.id]
    reasons = [f"{bits[best.id]:.2f} bits expected on “{best.claim}”"]
    if best.decides:
        reasons.append(f"decides: {best.decides}")
    if len(beliefs) > 1:
        reasons.append(f"{len(beliefs)} beliefs are tested in one run")
    reasons.append({"untested": "never tested", "stale": "its evidence is stale"}.get(standing.state, f"last: {standing.state}"))
    return tuple(reasons)


def show_magnitude(arming: Arming) -> str:
    """Return an arming's magnitude as people read it, "" where it has none."""
    fault = catalogue().get(arming.fault)
    if arming.magnitude is None or fault is None or fault.magnitude is None:
        return ""
    unit = fault.magnitude.unit
    return show_seconds(arming.magnitude) if unit == "s" else f"{arming.magnitude:g}{'' if unit == '1' else f' {unit}'}"


def design(intent: Intent, proposal: Proposal, environment: str, *, check: bool, tokens_per_unit: float | None) -> Experiment:
    """Return the experiment that a proposal describes."""
    return Experiment(new_id(), intent, proposal.beliefs, proposal.arming, proposal.units, environment, check, "", tokens_per_unit)
