"""What an outcome would leave: the posterior after one more run, for many outcomes at once, as if nothing but its own responses changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from refute.learning.propagation.courses import RESPONSES, UPSTREAM
from refute.learning.propagation.kinds import Floats
from refute.learning.propagation.model import PropagationModel
from refute.learning.propagation.responses import SET_MEMBERS, Table, add_evidence
from refute.learning.propagation.space import Faults
from refute.learning.propagation.structure import Slot
from refute.learning.propagation.weighing import Flat, Places, Weighing

_UNLIKELY: Final = 0.01
_MESSAGE_FLOOR: Final = -6.0


@dataclass(frozen=True, slots=True)
class Courses:
    """How candidates may go.

    Attributes:
        weights: [course] probabilities.
        fatal: [course] the part of them in which the faults interact.
    """

    weights: Floats
    fatal: Floats


@dataclass(frozen=True, slots=True)
class Supposed:
    """An outcome, supposed to have been seen.

    Attributes:
        position: of the candidate in the universe.
        available: whether the entry point answers.
        probability: of the outcome.
        evidence: [kind, response] that slots would have, by position.
        fatal: probabilities that pairs of places interact.
    """

    position: int
    available: bool
    probability: float
    evidence: dict[int, Floats]
    fatal: dict[Places, float]


def suppose(model: PropagationModel, table: Table, sets: Weighing, position: int, courses: Courses) -> list[Supposed]:
    """Return every outcome of a candidate that is not unlikely, with what it would leave.

    Where the model holds an answer, or an outage, for next to impossible, one such outcome teaches it nothing.

    Args:
        model: that is asked.
        table: its posterior.
        sets: courses of all candidates.
        position: of the candidate.
        courses: their probabilities.
    """
    faults = sets.faults[position]
    start, end = sets.starts[position], np.append(sets.starts, len(sets.available))[position + 1]
    fatal = courses.fatal[start:end]
    spared = courses.weights[start:end] - fatal
    signature, fatal_signature = sets.signature[start:end], sets.fatal_signature[start:end]
    pairs = {int(number): sets.places[number] for number in set(sets.place[start:end].tolist()) if number < len(sets.places)}
    rate = dict(zip(pairs.values(), model.interactions.fatal(list(pairs.values())), strict=True))
    answers = set(signature[sets.available[start:end]].tolist())
    found = []
    for one in range(int(max(signature.max(), fatal_signature.max())) + 1):
        apart, together = spared * (signature == one), fatal * (fatal_signature == one)
        probability = float(apart.sum() + together.sum())
        if probability < _UNLIKELY:
            continue
        evidence = _evidence(model, table, faults, (apart + together) / probability)
        after = {}
        for number, places in pairs.items():
            inside = sets.place[start:end] == number
            elsewhere = float((apart + together)[~inside].sum())
            after[places] = float((together[inside].sum() + rate[places] * elsewhere) / probability)
        found.append(Supposed(position, one in answers, probability, evidence, after))
    return found + [
        Supposed(position, available, 0.0, {}, {}) for available in (True, False) if not any(one.available == available for one in found)
    ]


def _evidence(model: PropagationModel, table: Table, faults: Faults, posterior: Floats) -> dict[int, Floats]:
    """Return the evidence that slots would have if courses had a given posterior."""
    shape = model.shape
    kinds = [*(shape.kinds[fault.kind] for fault in faults), shape.upstream]
    found: dict[tuple[Slot, int], Floats] = {}
    given: dict[tuple[Slot, int], float] = {}
    for weight, course in zip(posterior, model.courses(tuple(fault.call for fault in faults)), strict=True):
        if weight < 1e-6:
            continue
        for supposed in course.supposed:
            key = supposed.slot, kinds[supposed.kind] if supposed.kind != UPSTREAM else shape.upstream
            inside = table.responses[shape.position(key[0]), key[1]] * SET_MEMBERS[supposed.response]
            found[key] = found.get(key, 0.0) + weight * inside / max(inside.sum(), 1e-12)
            given[key] = given.get(key, 0.0) + weight
    return _updated(model, table, found, given)


def _updated(
    model: PropagationModel, table: Table, found: dict[tuple[Slot, int], Floats], given: dict[tuple[Slot, int], float]
) -> dict[int, Floats]:
    evidence: dict[int, Floats] = {}
    for (slot, kind), belief in found.items():
        position = model.shape.position(slot)
        marginal = table.responses[position, kind]
        ratio = (belief + max(0.0, 1 - given[slot, kind]) * marginal) / np.maximum(marginal, 1e-12)
        message = np.zeros((len(model.kinds), RESPONSES))
        message[kind] = np.maximum(np.log(np.maximum(ratio / ratio.max(), 1e-12)), _MESSAGE_FLOOR)
        if position not in evidence:
            evidence[position] = model.responses.evidence[position].copy()
        add_evidence(evidence[position], message)
    return evidence


def tables(base: Flat, supposed: Sequence[Supposed], model: PropagationModel) -> Flat:
    """Return [outcome, ...] tables with the slots replaced that an outcome would change."""
    sets = np.repeat(base.sets[None], len(supposed), axis=0)
    same = np.repeat(base.same[None], len(supposed), axis=0)
    places = [(n, position) for n, one in enumerate(supposed) for position in one.evidence]
    if not places:
        return Flat(sets, same)
    evidence = np.stack([supposed[n].evidence[position] for n, position in places])
    rows, slots = np.array(places).T
    after = model.responses.tables_with(slots.tolist(), evidence)
    whole, alike = after.sets[0].size, after.same[0].size
    sets[rows[:, None], slots[:, None] * whole + np.arange(whole)] = after.sets.reshape(len(places), -1)
    same[rows[:, None], slots[:, None] * alike + np.arange(alike)] = after.same.reshape(len(places), -1)
    return Flat(sets, same)


def fatal_then(targets: Weighing, fatal: Floats, supposed: Sequence[Supposed]) -> Floats:
    """Return [outcome, place] probabilities of interacting, after each outcome."""
    numbers = {places: number for number, places in enumerate(targets.places)}
    then = np.repeat(fatal[None], len(supposed), axis=0)
    for row, one in enumerate(supposed):
        for places, probability in one.fatal.items():
            if places in numbers:
                then[row, numbers[places]] = probability
    return then
