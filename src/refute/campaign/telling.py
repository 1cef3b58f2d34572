"""What is told of one experiment: what is about to run, the forecast that is locked before it, and what was learned after it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from refute.campaign.ending import odds_of
from refute.campaign.plan import Proposal, also_struck, show_magnitude
from refute.campaign.record import Record
from refute.campaign.search import chances_of, found
from refute.campaign.standing import Standing, draw_of
from refute.core.errors import EXIT_INCONCLUSIVE, RefuteError
from refute.core.events import Event
from refute.core.intent import Belief, Intent
from refute.experiment.assess import Look
from refute.experiment.design import Experiment
from refute.experiment.telling import Result
from refute.intent.dependency import answered_mark
from refute.learning import Counts, Seen, depth_of, learned_bits, surprisal_bits, surprise_bits
from refute.safety.admission import Answer, Asked, admission
from refute.safety.gates import rollback_ready
from refute.safety.journal import Journal
from refute.safety.state import probe

COUNTED = {"held", "refuted", "inconclusive", "aborted"}
"""Verdicts of runs that are evidence."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A run's answer to one belief.

    Attributes:
        experiment: its id.
        seed: of the run.
        magnitude: of the fault, None where it has none.
        word: of the verdict.
        look: the evidence; None where there is none.
        answered: models that components said they answer with, by component.
    """

    experiment: str
    seed: int
    magnitude: float | None
    word: str
    look: Look | None
    answered: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Told:
    """Tells of one experiment after the other.

    Attributes:
        intent: validated.
        record: where to.
        environment: where it runs, "" where none is named.
        learned: data of `learned` events, by experiment and belief.
    """

    intent: Intent
    record: Record
    environment: str
    learned: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    _forecasts: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)

    def admitted(self, experiment: Experiment, author: str) -> list[dict[str, Any]]:
        """Return what the gates of hour, approval and error budget say.

        Args:
            experiment: about to run.
            author: who starts it.

        Raises:
            RefuteError: one of them refuses (`GATE-…`).
        """
        beliefs = [belief.id for belief in experiment.beliefs]
        answers = list(admission(Asked(self.intent, self.environment, beliefs, experiment.cost()["seconds"], author)))
        problems = [answer.problem for answer in answers if answer.problem is not None]
        if problems:
            raise RefuteError(*problems, exit_code=EXIT_INCONCLUSIVE)
        return [_gate(answer) for answer in answers]

    def experiment(self, experiment: Experiment, proposal: Proposal, gates: Sequence[Mapping[str, Any]], **about: Any) -> None:
        """Tell what is about to run.

        Args:
            experiment: it.
            proposal: that it follows.
            gates: what was made sure of.
            about: further keys of the event.
        """
        arming, fault = experiment.arming, experiment.fault
        self.record.tell(
            "experiment", experiment=experiment.id, fault=arming.fault, fault_summary=fault.summary, target=arming.component.name,
            beliefs=[{"id": one.id, "claim": one.claim, "then": one.then.text, "decides": one.decides} for one in experiment.beliefs],
            magnitude=show_magnitude(arming), share=arming.share, draw=arming.draw, cohort=arming.cohort, seed=arming.seed,
            ramp=list(experiment.shares[:-1]), cohort_by=self.intent.blast_radius.audience.by, units=experiment.units,
            alpha=self.intent.alpha, environment=self.environment, versions={}, cost=experiment.cost(),
            answerable={name: odds_of(one) | {"expected_units": one.expected_units} for name, one in proposal.answerable.items()},
            gates=list(gates), proposal=proposal.to_json(), arming=arming.to_json(), **about, **also_struck(experiment.also),
            **({"also_armed": [one.to_json() for one in experiment.also]} if experiment.also else {}),
        )  # fmt: skip

    def forecast(self, experiment: Experiment, proposal: Proposal, now: Mapping[str, Standing]) -> None:
        """Lock what is expected of each belief: nothing is applied before the ledger has it."""
        depth = depth_of(self.record.kept("experiment", "forecast", "verdict"))
        beliefs = {
            belief.id: {
                "confidence": now[belief.id].confidence, "expected_bits": proposal.bits[belief.id],
                **depth.widened(chances_of(belief, proposal.arming.magnitude, odds_of(proposal.answerable[belief.id]))),
                **({"widened": depth.widening} if depth.widening else {}),
            }
            for belief in experiment.beliefs
        }  # fmt: skip
        self.remember(experiment.id, beliefs)
        event = Event("forecast", {"experiment": experiment.id, "beliefs": beliefs}, time.time())
        digest = self.record.ledger.append(event)
        self.record.see(Event("forecast", {**event.data, "digest": digest}, event.at))

    def remember(self, experiment: str, beliefs: dict[str, dict[str, float]]) -> None:
        """Take note of a locked forecast, against which what is learned will be told."""
        self._forecasts[experiment] = beliefs

    def what_was_learned(self, result: Result, belief: Belief, before: Standing) -> None:
        """Tell what a run says of one of its beliefs; nothing where it came to no verdict."""
        verdict, arming = result.verdicts.get(belief.id), result.experiment.arming
        if verdict is not None:
            look = result.looks.get(belief.id)
            self.learn(Judged(result.experiment.id, arming.seed, arming.magnitude, verdict.word, look, result.answered), before)

    def learn(self, judged: Judged, before: Standing) -> None:
        """Tell what a verdict teaches.

        Args:
            judged: the run's answer.
            before: where the belief stood before it.
        """
        belief, look = before.belief, judged.look if judged.word in COUNTED and judged.look is not None and judged.look.n > 0 else None
        draw = draw_of(self.intent, judged.seed)
        after, seen = before.claim, Seen(before.claim.bound, Counts(), draw)
        if look is not None:
            after, seen = before.learned_from(look, draw)
        now, threshold = found(judged.magnitude, before.search, look, seen)
        confidence = after.confidence if now is None else before.sure_after(now)
        data = {
            "experiment": judged.experiment, "belief": belief.id, "environment": self.environment, "verdict": judged.word,
            "counted": look is not None, "n": seen.counts.units, "breaches": seen.counts.breaches, "bound": seen.bound, "draw": draw,
            "marks": {**before.marks, **{answered_mark(name): models for name, models in judged.answered.items()}},
            **({"answered": dict(judged.answered)} if judged.answered else {}), **({"files": before.files} if before.files else {}),
            "confidence_before": before.confidence, "confidence_after": confidence,
            "bits": learned_bits(before.confidence, confidence), "surprise_bits": surprise_bits(before.confidence, confidence),
            "outcome_bits": self._surprisal(judged, belief), **threshold,
        }  # fmt: skip
        self.learned[judged.experiment, belief.id] = data
        self.record.tell("learned", **data)

    def summed(self, result: Result, belief: Belief) -> dict[str, Any]:
        """Return what the summary says of one verdict."""
        learned = self.learned.get((result.experiment.id, belief.id), {})
        verdict, look = result.verdicts[belief.id], result.looks.get(belief.id) or Look()
        return {
            "belief": belief.id, "verdict": verdict.word, "landed": result.landed,
            "rolled_back": result.rolled_back, "recovered": result.recovered, "confidence_before": learned.get("confidence_before"),
            "confidence_after": learned.get("confidence_after"), "bits": learned.get("bits"), "n": look.n,
            "breaches": look.treatment.breaches, "injected": result.landing.injected, "experiment": result.experiment.id,
            "reasons": list(verdict.reasons),
        }  # fmt: skip

    def _surprisal(self, judged: Judged, belief: Belief) -> float | None:
        """Return -log2 of the probability that was forecast for the verdict; None where it was no forecast verdict or held impossible."""
        chance = self._forecasts.get(judged.experiment, {}).get(belief.id, {}).get(judged.word)
        return surprisal_bits(chance) if chance else None


def made_sure(system: str, proposal: Proposal, journal: Journal) -> list[dict[str, Any]]:
    """Return what was made sure of before anything is applied; what fails has raised or was refused before.

    Args:
        system: name of the one under test.
        proposal: about to run.
        journal: the rollback journal.
    """
    probe(journal.directory)
    return [
        {"name": "intent valid", "ok": True, "reason": ""},
        {"name": "no other live run", "ok": True, "reason": f"on {system}, or on what it shares with others"},
        {"name": "ledger and journal writable", "ok": True, "reason": ""},
        {"name": "rollback ready", "ok": True, "reason": "; ".join(rollback_ready(one, journal) for one in proposal.armings)},
    ]


def shown(belief: Belief, standing: Standing) -> dict[str, Any]:
    """Return what the `intent` event says of a belief."""
    return {
        "id": belief.id, "claim": belief.claim, "fault": belief.when.fault, "target": belief.when.target, "then": belief.then.text,
        "stated_confidence": belief.confidence, "confidence": standing.confidence, "decides": belief.decides,
        "if_wrong": str(belief.if_wrong), "owner": belief.owner, "state": standing.state,
        **({"also": [{"fault": one.fault, "target": one.target} for one in belief.when.also]} if belief.when.also else {}),
        **({"stale": list(standing.stale.reasons())} if standing.stale is not None else {}),
    }  # fmt: skip


def _gate(answer: Answer) -> dict[str, Any]:
    return {"name": answer.gate, "ok": answer.problem is None, "reason": answer.seen}
