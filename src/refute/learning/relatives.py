"""What tested beliefs say of untested ones: how much better or worse than stated did their relatives turn out?

    log-odds(predicted) = log-odds(stated) + k · (log-odds(mean now) - log-odds(mean stated)),    k = w/(w + 3)

with the means over tested relatives, weighed by kinship, and w the sum of those weights. Relatives that came out just as stated change
nothing; a single close one moves a quarter of the way.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

_INERTIA: Final = 3.0
_KIND: Final = 0.5
_LIBRARY: Final = 0.4
_FAULT: Final = 1.0
_FAMILY: Final = 0.4
_EDGE: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Traits:
    """What makes beliefs relatives.

    Attributes:
        component: name of what is struck.
        kind: of the component.
        library: what it is reached with, "" where that is not known.
        fault: name in the catalogue; its family is the part before the dot.
    """

    component: str
    kind: str
    library: str
    fault: str


@dataclass(frozen=True, slots=True)
class Relative:
    """A belief that was tested.

    Attributes:
        traits: of it, one for each of its faults.
        stated: confidence before any evidence, in (0, 1).
        now: confidence after it.
    """

    traits: tuple[Traits, ...]
    stated: float
    now: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """What relatives say.

    Attributes:
        confidence: predicted probability that the belief is true.
        weight: summed kinship of the relatives that it rests on; 0 where there is none.
        relatives: how many there are.
    """

    confidence: float
    weight: float
    relatives: int


def kinship(one: Traits, other: Traits) -> float:
    """Return how much one belief's outcome says of another's, in [0, 1].

    Faults of another family say something only where they strike the same kind of component, or one reached with the same library.
    """
    alike = _FAULT if one.fault == other.fault else _FAMILY if _family(one) == _family(other) else 0.0
    place = 1.0 if one.component == other.component else _KIND if one.kind == other.kind else 0.0
    if one.library and one.library == other.library:
        place = max(place, _LIBRARY)
    return min(1.0, 0.6 * alike * (0.4 + 0.6 * place) + 0.4 * place * (0.25 + 0.75 * alike))


def kinship_of_several(one: Sequence[Traits], other: Sequence[Traits]) -> float:
    """Return how much the outcome under some faults says of that under others: the mean kinship of each fault's closest relative.

    With one fault on each side it is their `kinship`.

    Args:
        one: traits of a belief, one for each of its faults; at least one.
        other: of another belief.
    """
    closest = [max(kinship(mine, theirs) for theirs in other) for mine in one]
    closest += [max(kinship(theirs, mine) for mine in one) for theirs in other]
    return math.fsum(closest) / len(closest)


def _family(traits: Traits) -> str:
    return traits.fault.split(".", 1)[0]


def predicted(traits: Sequence[Traits], stated: float, tested: Iterable[Relative]) -> Prediction:
    """Return what tested relatives say of an untested belief.

    Args:
        traits: of the belief, one for each of its faults.
        stated: its confidence, in (0, 1).
        tested: beliefs with evidence; others than this one.
    """
    weighed = [(kinship_of_several(traits, one.traits), one) for one in tested]
    weighed = [(weight, one) for weight, one in weighed if weight > 0.0]
    weight = math.fsum(weight for weight, _ in weighed)
    if not weight:
        return Prediction(stated, 0.0, 0)
    before = math.fsum(weight * one.stated for weight, one in weighed) / weight
    after = math.fsum(weight * one.now for weight, one in weighed) / weight
    log_odds = _log_odds(stated) + weight / (weight + _INERTIA) * (_log_odds(after) - _log_odds(before))
    return Prediction(1 / (1 + math.exp(-log_odds)), weight, len(weighed))


def _log_odds(p: float) -> float:
    p = min(1 - _EDGE, max(_EDGE, p))
    return math.log(p / (1 - p))
