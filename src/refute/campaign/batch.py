"""Several experiments at once that teach different things: the best, then the best of what is least like those already taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from refute.campaign.kin import traits
from refute.campaign.plan import Proposal
from refute.core.intent import Intent
from refute.learning import kinship_of_several

_SHARED = 0.5
"""Share of its worth that an experiment loses where one already taken is about the very same thing."""


def batch(intent: Intent, proposals: Sequence[Proposal], count: int) -> tuple[Proposal, ...]:
    """Return the proposals that are worth most together, best first.

    Each next one is the highest score times (1 - s/2), with s the kinship to the closest one already taken.

    Args:
        intent: validated.
        proposals: best first.
        count: how many, at most.
    """
    left, taken = list(proposals), list[Proposal]()
    while left and len(taken) < count:
        best = max(left, key=lambda one: one.score * (1.0 - _SHARED * _alike(intent, one, taken)))
        left.remove(best)
        taken.append(_with_reason(intent, best, taken))
    return tuple(taken)


def _alike(intent: Intent, one: Proposal, taken: Sequence[Proposal]) -> float:
    own = traits(intent, one.beliefs[0])
    return max((kinship_of_several(own, traits(intent, other.beliefs[0])) for other in taken), default=0.0)


def _with_reason(intent: Intent, one: Proposal, taken: Sequence[Proposal]) -> Proposal:
    if not taken or _alike(intent, one, taken) >= _SHARED:
        return one
    return replace(one, reasons=(*one.reasons, "unlike those before it, so that it teaches something else"))
