"""Where each belief stands: its stated confidence, moved by the fresh evidence in the ledger."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from refute.campaign.search import Search, search_of
from refute.core.intent import Belief, Intent
from refute.core.measure import measure
from refute.experiment.assess import Look
from refute.intent import fingerprint
from refute.learning import Claim, Counts, Seen, combined, relative_counts


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of one belief now.

    Attributes:
        belief: as stated.
        claim: its confidence and what all fresh runs together say of it.
        runs: what each fresh run saw.
        verdict: of the last run that counted, or "".
        experiment: that run's id, or "".
        stale: whether evidence exists that no longer counts, because something it depends on has changed.
        marks: hash of everything that the belief depends on, by name.
        search: of its threshold; None where the belief is about one magnitude.
    """

    belief: Belief
    claim: Claim
    verdict: str = ""
    experiment: str = ""
    stale: bool = False
    marks: Mapping[str, str] = field(default_factory=dict)
    runs: tuple[Seen, ...] = ()
    search: Search | None = None

    @property
    def confidence(self) -> float:
        """Probability that the belief is true, now."""
        return self.claim.confidence if self.search is None else self.search.confidence

    @property
    def state(self) -> str:
        """`untested`, `stale`, or the last verdict."""
        return self.verdict or ("stale" if self.stale else "untested")

    @property
    def answered(self) -> bool:
        """Whether fresh evidence has decided it; a threshold is also known as narrowly as is useful."""
        if self.search is not None:
            return self.search.settled
        return self.verdict in {"held", "refuted"}

    def learned_from(self, look: Look, draw: str) -> tuple[Claim, Seen]:
        """Return the claim after a run, and what that run saw.

        For `worse by` the counts are effective ones, against a bound set by the control's rate of that run.

        Args:
            look: the run's evidence; one without units changes nothing.
            draw: what it was drawn with, from `draw_of`.
        """
        treatment, bound = Counts(look.treatment.breaches, look.treatment.n), look.bound
        if self.belief.then.relative and not look.absolute:
            bound, treatment = relative_counts(treatment, Counts(look.control.breaches, look.control.n), look.bound)
        seen = Seen(bound, treatment, draw)
        return _claim(self.belief, (*self.runs, seen), bound), seen


def draw_of(intent: Intent, seed: int) -> str:
    """Return what tells apart runs that ask different questions: two of one draw start the same units and strike the same calls.

    Args:
        intent: validated.
        seed: of the run.
    """
    if intent.workload.training is not None:
        return "the seeds"  # which are the same in every run: repeats count once
    journeys = {name: journey.share for name, journey in intent.system.journeys.items()}
    cases = hashlib.sha256(intent.workload.cases.read_bytes()).hexdigest()
    return hashlib.sha256(json.dumps([seed, journeys, cases], sort_keys=True).encode()).hexdigest()[:16]


def standings(intent: Intent, events: Iterable[Mapping[str, Any]], environment: str) -> dict[str, Standing]:
    """Return where each belief stands.

    Args:
        intent: validated.
        events: `learned` events of the ledger, oldest first.
        environment: only evidence from here counts.
    """
    counted = [event for event in events if event.get("counted") and event.get("environment", "") == environment]
    by_belief = {name: [event for event in counted if event["belief"] == name] for name in intent.beliefs}
    return {belief.id: _standing(intent, belief, by_belief[belief.id]) for belief in intent.beliefs.values()}


def _standing(intent: Intent, belief: Belief, learned: list[Mapping[str, Any]]) -> Standing:
    marks = fingerprint(intent, belief)
    fresh = [event for event in learned if event.get("marks") == marks]
    last = fresh[-1] if fresh else {}
    runs = tuple(Seen(event["bound"], Counts(event["breaches"], event["n"]), event.get("draw") or event["experiment"]) for event in fresh)
    bound = measure(belief.then, intent.indicators).bound
    search = search_of(intent, belief, runs[-1].bound if runs else bound, fresh)
    claim = _claim(belief, () if search else runs, bound)
    return Standing(belief, claim, last.get("verdict", ""), last.get("experiment", ""), len(fresh) < len(learned), marks, runs, search)


def _claim(belief: Belief, runs: tuple[Seen, ...], bound: float) -> Claim:
    """Return a belief's claim with what all runs saw; at `bound` where none saw anything."""
    together = combined(runs)
    return Claim(belief.confidence, bound) if together is None else Claim(belief.confidence, *together)
