"""Where each belief stands: its stated confidence, moved by the fresh evidence in the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from refute.core.intent import Belief, Intent
from refute.core.measure import measure
from refute.intent.fingerprint import fingerprint
from refute.learning import Claim


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of one belief now.

    Attributes:
        belief: as stated.
        claim: its confidence and bound, for the arithmetic.
        n: eligible treatment units of all fresh evidence.
        breaches: among them.
        verdict: of the last run that counted, or "".
        experiment: that run's id, or "".
        stale: whether evidence exists that no longer counts, because something it depends on has changed.
        marks: hash of everything that the belief depends on, by name.
    """

    belief: Belief
    claim: Claim
    n: int = 0
    breaches: float = 0.0
    verdict: str = ""
    experiment: str = ""
    stale: bool = False
    marks: Mapping[str, str] = field(default_factory=dict)

    @property
    def confidence(self) -> float:
        """Probability that the belief is true, now."""
        return self.claim.after(self.breaches, self.n)

    @property
    def state(self) -> str:
        """`untested`, `stale`, or the last verdict."""
        return self.verdict or ("stale" if self.stale else "untested")


def standings(intent: Intent, events: Iterable[Mapping[str, Any]], environment: str) -> dict[str, Standing]:
    """Return where each belief stands.

    Args:
        intent: validated.
        events: `learned` events of the ledger, oldest first.
        environment: only evidence from here counts.
    """
    learned = [event for event in events if event.get("counted") and event.get("environment", "") == environment]
    return {
        belief.id: _standing(intent, belief, [event for event in learned if event["belief"] == belief.id])
        for belief in intent.beliefs.values()
    }


def _standing(intent: Intent, belief: Belief, learned: list[Mapping[str, Any]]) -> Standing:
    marks = fingerprint(intent, belief)
    fresh = [event for event in learned if event.get("marks") == marks]
    claim = Claim(belief.confidence, measure(belief.then, intent.indicators).bound)
    last = fresh[-1] if fresh else {}
    return Standing(
        belief, claim, sum(event["n"] for event in fresh), sum(event["breaches"] for event in fresh),
        last.get("verdict", ""), last.get("experiment", ""), stale=len(fresh) < len(learned), marks=marks,
    )  # fmt: skip
