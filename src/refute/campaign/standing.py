"""Where each belief stands: its stated confidence, moved by the fresh evidence in the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from refute.core.intent import Belief, Intent
from refute.core.measure import measure
from refute.experiment.assess import Look
from refute.intent import fingerprint
from refute.learning import Claim, Counts, relative_counts


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of one belief now.

    Attributes:
        belief: as stated.
        claim: its confidence and what was seen of it so far.
        verdict: of the last run that counted, or "".
        experiment: that run's id, or "".
        stale: whether evidence exists that no longer counts, because something it depends on has changed.
        marks: hash of everything that the belief depends on, by name.
    """

    belief: Belief
    claim: Claim
    verdict: str = ""
    experiment: str = ""
    stale: bool = False
    marks: Mapping[str, str] = field(default_factory=dict)

    @property
    def confidence(self) -> float:
        """Probability that the belief is true, now."""
        return self.claim.confidence

    @property
    def state(self) -> str:
        """`untested`, `stale`, or the last verdict."""
        return self.verdict or ("stale" if self.stale else "untested")

    @property
    def answered(self) -> bool:
        """Whether fresh evidence has decided it."""
        return self.verdict in {"held", "refuted"}

    def learned_from(self, look: Look) -> tuple[Claim, Counts]:
        """Return the claim after a run, and the counts that moved it.

        For `worse by` the counts are effective ones, against a bound set by the control's rate.

        Args:
            look: the run's evidence; one without units changes nothing.
        """
        treatment = Counts(look.treatment.breaches, look.treatment.n)
        if self.belief.then.relative and not look.absolute:
            bound, counts = relative_counts(treatment, Counts(look.control.breaches, look.control.n), look.bound)
            return Claim(self.claim.stated, bound, self.claim.seen).after(counts.breaches, counts.units), counts
        return self.claim.after(treatment.breaches, treatment.units), treatment


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
    bound = last.get("bound") or measure(belief.then, intent.indicators).bound
    seen = sum((Counts(event["breaches"], event["n"]) for event in fresh), Counts())
    claim = Claim(belief.confidence, bound, seen)
    return Standing(belief, claim, last.get("verdict", ""), last.get("experiment", ""), len(fresh) < len(learned), marks)
