"""Beliefs that nobody has stated, ranked by what they could teach: from what components there are, what relatives showed, and incidents."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from refute.campaign.kin import prediction
from refute.campaign.plan import eligible_units, planned_units
from refute.campaign.standing import Standing
from refute.core.criterion import Criterion
from refute.core.intent import Belief, Intent, Stake, When, off_limits
from refute.core.measure import measure
from refute.core.system import Component
from refute.core.units import show_share
from refute.faults.spec import Fault, seams
from refute.intent.magnitudes import shown_magnitude
from refute.learning import Claim, cost_if_wrong, value
from refute.system.graph import journeys_through

_SLOW = re.compile(r"\.(delay|slow\w*|stall|long\w*)$")
_WORD = re.compile(r"[a-z]{3,}|\d{3}")
_UNKNOWN = 0.5  # confidence where no relative has been tested
_MOST_UNITS = 400
_EMPTY_WORDS = frozenset(
    _WORD.findall(
        "after all and any are because been before but did does for from had has have into its not once one our some than that the their"
        " there they this until was were when which while with without"
    )
)
_ALIKE = 0.5
_SHARES = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A belief that could be stated.

    Attributes:
        belief: as it could stand in the intent.
        bits: expected information of one run.
        worth: cost-weighted, by the traffic that meets the component.
        reasons: why, in words.
    """

    belief: Belief
    bits: float
    worth: float
    reasons: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {"belief": self.stated(), "bits": self.bits, "worth": self.worth, "reasons": list(self.reasons)}

    def stated(self) -> dict[str, Any]:
        """Return the belief as the intent file holds it."""
        when = self.belief.when
        magnitude = {} if when.magnitude is None else {"magnitude": self.belief.where}
        aimed = {"fault": when.fault, "target": when.target, **magnitude, "share": show_share(when.share).replace(" ", "")}
        return {
            "id": self.belief.id, "claim": self.belief.claim, "when": aimed, "then": self.belief.then.text,
            "confidence": show_share(self.belief.confidence).replace(" ", ""), "if_wrong": self.belief.if_wrong,
        }  # fmt: skip


def suggest(
    intent: Intent, standings: Mapping[str, Standing], faults: Mapping[str, Fault], incidents: Sequence[str] = ()
) -> list[Suggestion]:
    """Return beliefs that could be stated, the most instructive first.

    Args:
        intent: validated.
        standings: where each stated belief stands.
        faults: the catalogue.
        incidents: what went wrong before, each in a few words.
    """
    stated = {(belief.when.fault, belief.when.target) for belief in intent.beliefs.values() if not belief.when.also}
    told = _Incidents(faults, incidents)
    found = [
        suggestion
        for component in intent.system.components.values()
        for fault in faults.values()
        if (fault.name, component.name) not in stated and _possible(intent, component, fault)
        for suggestion in _suggested(intent, standings, (component, fault), told)
    ]
    return sorted(found, key=lambda one: -one.worth)


def _possible(intent: Intent, component: Component, fault: Fault) -> bool:
    """Say whether the fault could strike there, be noticed, and be allowed somewhere."""
    reached = {seam for seam, how in (("exchange", component.endpoint), ("python", component.python)) if how}
    allowed = not intent.environments or any(fault.hazard in one.allow for one in intent.environments.values())
    noticed = not intent.system.journeys or bool(journeys_through(intent.system, component.name))
    forbidden = off_limits(intent).entered_by(component, whole=bool(fault.acts_on))
    open_to = component.kind in fault.kinds and bool(seams(fault) & reached) and not forbidden
    return open_to and allowed and noticed


def _suggested(
    intent: Intent, standings: Mapping[str, Standing], struck: tuple[Component, Fault], told: _Incidents
) -> Iterator[Suggestion]:
    component, fault = struck
    then = _criterion(intent, fault)
    if then is None:
        return
    touched = _traffic(intent, component)
    name = f"{component.name}-{fault.name.partition('.')[2].replace('_', '-')}"
    stake: Stake = "high" if touched > 0.5 else "medium"
    when = When(fault.name, component.name, share=_share(fault))
    belief = Belief(name, fault.belief, when, then, _UNKNOWN, if_wrong=stake)
    kin = prediction(intent, belief, standings)
    belief = replace(belief, confidence=min(0.95, max(0.05, round(kin.confidence, 2))))
    if fault.magnitude is not None:
        typical = fault.magnitude.typical
        belief = replace(belief, when=replace(when, magnitude=typical), where=shown_magnitude(typical, fault.magnitude.unit))
    bits = _bits(intent, belief)
    seen = told.likeness(component, fault)
    worth = value([(cost_if_wrong("high") * max(touched, 0.05) * (1.0 + 2.0 * seen), bits)])
    yield Suggestion(belief, bits, worth, tuple(_reasons(intent, component, (kin.relatives, touched, seen))))


def _criterion(intent: Intent, fault: Fault) -> Criterion | None:
    """Return what people ask of such faults here: of beliefs about the same hazard, else of the steady state."""
    slow = bool(_SLOW.search(fault.name))
    stated = Counter(
        belief.then for belief in intent.beliefs.values() if bool(_SLOW.search(belief.when.fault)) == slow and not belief.then.journey
    )
    if stated:
        return stated.most_common(1)[0][0]
    steady = [one for one in intent.steady_holds if (intent.indicators[one.indicator].kind == "latency") == slow]
    return steady[0] if steady else next(iter(intent.steady_holds), None)


def _traffic(intent: Intent, component: Component) -> float:
    """Return the share of traffic that meets a component; without traces what may meet it, and 1 where no journey is stated."""
    if component.name in intent.system.reach:
        return intent.system.reach[component.name]
    journeys = intent.system.journeys
    total = sum(journey.share for journey in journeys.values())
    return sum(journeys[name].share for name in journeys_through(intent.system, component.name)) / total if total else 1.0


def _bits(intent: Intent, belief: Belief) -> float:
    bound = measure(belief.then, intent.indicators).bound
    claim = Claim(belief.confidence, min(0.99, max(0.001, bound)) if math.isfinite(bound) else 0.05)
    return claim.information(min(_MOST_UNITS, eligible_units(intent, belief, planned_units(intent))))


def _share(fault: Fault) -> float:
    return next((share for share in _SHARES if share >= fault.typical_share), 1.0)


def _reasons(intent: Intent, component: Component, why: tuple[int, float, float]) -> Iterator[str]:
    kin, touched, seen = why
    if not any(component.name in belief.when.targets for belief in intent.beliefs.values()):
        yield f"no belief is about {component.name} yet"
    yield f"{show_share(touched)} of the traffic can meet it"
    if kin:
        yield f"{kin} of its relatives {'was' if kin == 1 else 'were'} tested, and {'lends' if kin == 1 else 'lend'} the confidence"
    if seen > _ALIKE:
        yield "it is like an incident that you have had"


class _Incidents:
    """How much a fault is like what went wrong before, by the rare words that they share."""

    def __init__(self, faults: Mapping[str, Fault], incidents: Sequence[str]) -> None:
        self._told = [_words(text) for text in incidents]
        self._of = {name: _words(f"{name.replace('.', ' ').replace('_', ' ')} {one.summary} {one.effect}") for name, one in faults.items()}
        held = Counter(word for words in self._of.values() for word in words)
        self._weight = {word: math.log(1 + len(faults) / count) for word, count in held.items()}

    def likeness(self, component: Component, fault: Fault) -> float:
        """Return a number in [0, 1]: the share of an incident's weight that the fault and its target explain."""
        mine = self._of[fault.name] | _words(component.name.replace("-", " "))
        return max((self._share(words, mine) for words in self._told), default=0.0)

    def _share(self, told: frozenset[str], mine: frozenset[str]) -> float:
        whole = sum(self._weight.get(word, 0.0) for word in told)
        return sum(self._weight.get(word, 0.0) for word in told & mine) / whole if whole else 0.0


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.lower())) - _EMPTY_WORDS
