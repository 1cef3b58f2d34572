"""Why an experiment is worth running, in words."""

from __future__ import annotations

from collections.abc import Mapping

from refute.campaign import kin
from refute.campaign.standing import Standing
from refute.core.intent import Belief, Intent

_NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}


def reasons(intent: Intent, beliefs: tuple[Belief, ...], standings: Mapping[str, Standing], bits: Mapping[str, float]) -> tuple[str, ...]:
    """Return why an experiment is worth running, in words.

    Args:
        intent: validated.
        beliefs: that it tests.
        standings: where each belief stands.
        bits: expected information by belief.
    """
    best = max(beliefs, key=lambda belief: bits[belief.id])
    standing = standings[best.id]
    told = [f"{bits[best.id]:.2f} bits expected on “{best.claim}”"]
    if best.decides:
        told.append(f"decides: {best.decides}")
    if len(beliefs) > 1:
        told.append(f"{len(beliefs)} beliefs are tested in one run")
    if (hanging := _hanging(intent, best, standings)) > 1:
        told.append(f"{_NUMBERS.get(hanging, hanging)} open beliefs hang on this call")
    if standing.search is not None and standing.search.tried:
        told.append(f"{len(standing.search.tried)} runs at other magnitudes so far: it {standing.search.sentence()}")
    if standing.stale is not None:
        told += standing.stale.reasons()
    else:
        told.append("never tested" if standing.state == "untested" else f"last: {standing.state}")
    if (kindred := kin.reason(intent, best, standings)) is not None:
        told.append(kindred)
    return tuple(told)


def _hanging(intent: Intent, belief: Belief, standings: Mapping[str, Standing]) -> int:
    """Return how many beliefs that are not answered are about calls to the same component, this one included."""
    return sum(other.when.target == belief.when.target and not standings[other.id].answered for other in intent.beliefs.values())
