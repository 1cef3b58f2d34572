"""What tested beliefs say of the others, and of how far a fault reaches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from refute.campaign.standing import Standing
from refute.core.intent import Belief, Intent, When
from refute.core.units import show_share
from refute.learning import PassedOn, Prediction, Relative, Traits, learn_from, predicted, predicted_harm, predicted_journeys

_WORTH_SAYING = 0.05


def informed(intent: Intent, belief: Belief, standings: Mapping[str, Standing]) -> Standing:
    """Return where a belief stands; one without evidence starts from what its tested relatives say.

    The plan weighs information and risk with it. Whether a belief is worth testing at all, and the forecast that is locked, rest on what
    people stated: relatives never take the place of a test.

    Args:
        intent: validated.
        belief: one of its beliefs.
        standings: where each belief stands.
    """
    standing = standings[belief.id]
    if standing.claim.seen.units or standing.search is not None:
        return standing
    # what is left of stale evidence stands in its confidence already
    return replace(standing, claim=replace(standing.claim, stated=prediction(intent, belief, standings).confidence))


def prediction(intent: Intent, belief: Belief, standings: Mapping[str, Standing]) -> Prediction:
    """Return what the tested relatives of a belief say of it; one that nobody has stated yet starts from its own confidence.

    Args:
        intent: validated.
        belief: one of its beliefs, or one that could be stated.
        standings: where each stated belief stands.
    """
    stated = standings[belief.id].confidence if belief.id in standings else belief.confidence
    others = [other for other in intent.beliefs.values() if other.id != belief.id and standings[other.id].tested]
    tested = [Relative(traits(intent, other), other.confidence, standings[other.id].confidence) for other in others]
    least = max((standings[other.id].confidence for other in others if _within(belief, other)), default=0.0)
    most = min((standings[other.id].confidence for other in others if _within(other, belief)), default=1.0)
    said = predicted(traits(intent, belief), stated, tested)
    return replace(said, confidence=min(most, max(least, said.confidence)))


def _within(one: Belief, other: Belief) -> bool:
    """Say whether a belief asks the same under some of another's faults: it cannot be the less likely of the two.

    More faults at once do no less harm, so that a combination is no surer than any of its parts, and a part no less sure than a
    combination that has it.
    """
    same = one.then == other.then and one.among == other.among and one.at_least is None and other.at_least is None
    return same and set(one.when.parts) < set(other.when.parts)


def reason(intent: Intent, belief: Belief, standings: Mapping[str, Standing]) -> str | None:
    """Return in words what relatives say, None where that is nothing new."""
    if standings[belief.id].claim.seen.units or standings[belief.id].search is not None:
        return None
    said, stated = prediction(intent, belief, standings), standings[belief.id].confidence
    if abs(said.confidence - stated) < _WORTH_SAYING:
        return None
    better = "better" if said.confidence > stated else "worse"
    relatives = "a tested relative" if said.relatives == 1 else f"{said.relatives} tested relatives"
    return f"{relatives} did {better} than stated: {show_share(said.confidence)} expected here, {show_share(stated)} stated"


def passed_on(intent: Intent, standings: Mapping[str, Standing], blasts: Iterable[Mapping[str, Any]] = ()) -> PassedOn:
    """Return what is known of how often a component's failure is passed on.

    What earlier runs harmed says it best. Where nothing ran, or nothing was clear, a tested belief about the component stands in.

    Args:
        intent: validated.
        standings: where each belief stands.
        blasts: `blast` events of earlier runs, oldest first.
    """
    learned, watched = PassedOn(), set[str]()
    for seen in blasts:
        struck = set(seen.get("targets", [seen["target"]])) & intent.system.components.keys()
        became = {name: one.get("became", "unclear") for name, one in seen["actual"]["journeys"].items()}
        known = {name: one == "harmed" for name, one in became.items() if one != "unclear"}
        if struck and known:
            learn_from(intent.system, struck, known, learned)
            watched |= struck
    for other in intent.beliefs.values():
        if standings[other.id].tested and len(other.when.targets) == 1:  # of several, nobody can say which was passed on
            for target in set(other.when.targets) - watched:
                learned.see(target, 1 - standings[other.id].confidence)
    return learned


def harm(intent: Intent, belief: Belief, learned: PassedOn) -> dict[str, float]:
    """Return the probability that the fault of a belief harms each component; those that it cannot reach are left out.

    Args:
        intent: validated.
        belief: one of its beliefs.
        learned: from `passed_on`.
    """
    return predicted_harm(intent.system, belief.when.targets, learned)


def reach(intent: Intent, components: Mapping[str, float]) -> dict[str, float]:
    """Return the probability that each journey is harmed, from that of the components."""
    return predicted_journeys(intent.system, components)


def traits(intent: Intent, belief: Belief) -> tuple[Traits, ...]:
    """Return what makes a belief a relative of others, for each of its faults."""
    return tuple(_traits_of(intent, part) for part in belief.when.parts)


def _traits_of(intent: Intent, when: When) -> Traits:
    component = intent.system.components[when.target]
    library = component.python.split(":", 1)[0] or component.endpoint.split("://", 1)[-1].split("/", 1)[0]
    return Traits(component.name, component.kind, library, when.fault)
