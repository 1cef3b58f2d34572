"""What an experiment is expected to teach: by how many bits it lowers the uncertainty of the forecasts over the whole space.

For each candidate the outcomes that can be told apart are weighed (whether the entry point answers, and which calls are made); for each
the forecasts that it would leave are computed, for single faults and pairs of faults on all known calls. Forecasts for what can hardly
happen (the second call is never made once the first has failed) count by how likely it is to happen.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Final

import numpy as np

from refute.learning.propagation.courses import RESPONSES, UPSTREAM
from refute.learning.propagation.kinds import UPSTREAM_KIND, Floats
from refute.learning.propagation.learner import Learner
from refute.learning.propagation.model import PropagationModel
from refute.learning.propagation.responses import SET_MEMBERS, Table, add_evidence
from refute.learning.propagation.space import Fault, Faults, faults_of
from refute.learning.propagation.structure import Slot
from refute.learning.propagation.weighing import Flat, Places, Weighing, flat

_SHORTLIST: Final = 24
_PER_CALLS: Final = 1
_MOST_TARGETS: Final = 240
_COMBINATIONS: Final = 5
_UNLIKELY: Final = 0.01
_SLIP: Final = 0.01
_MESSAGE_FLOOR: Final = -6.0


@dataclass(frozen=True, slots=True)
class Targets:
    """Forecasts that an experiment may sharpen.

    Attributes:
        sets: of faults.
        weights: [set] how many sets of the whole space each stands for.
    """

    sets: tuple[Faults, ...]
    weights: Floats


def targets_of(calls: Sequence[str], kinds: Sequence[str], rng: random.Random) -> Targets:
    """Return single faults and pairs of faults on known calls; of many, a sample.

    Args:
        calls: ids.
        kinds: of faults.
        rng: draws the sample.
    """
    sets: list[Faults] = [(Fault(call, kind),) for call in calls for kind in kinds]
    pairs = list(combinations(sorted(calls), 2))
    shown = min(len(kinds), _COMBINATIONS)
    room = max(10, (_MOST_TARGETS - len(sets)) // shown)
    drawn = rng.sample(pairs, room) if len(pairs) > room else pairs
    weights = [1.0] * len(sets)
    for first, second in drawn:
        shift = rng.randrange(len(kinds))
        for position in rng.sample(range(len(kinds)), shown):
            sets.append(faults_of([(first, kinds[position]), (second, kinds[(position + shift) % len(kinds)])]))
            weights.append(len(kinds) ** 2 / shown * len(pairs) / len(drawn))
    return Targets(tuple(sets), np.array(weights))


@dataclass(frozen=True, slots=True)
class Prospect:
    """What a candidate is expected to bring.

    Attributes:
        faults: the candidate.
        bits: expected fall of the summed uncertainty.
        surprise: entropy of its outcome in bits.
        risk: probability that the entry point does not answer.
    """

    faults: Faults
    bits: float
    surprise: float
    risk: float


@dataclass(slots=True)
class Information:
    """Prospects of candidates under one learner.

    Attributes:
        rng: draws the sample of targets.
    """

    rng: random.Random
    _targets: Targets | None = None
    _version: tuple[int, int] = (-1, -1)
    _universe: tuple[Faults, ...] = ()
    _position: dict[Faults, int] = field(default_factory=dict)

    def prospects(self, learner: Learner, pool: Sequence[Faults]) -> list[Prospect]:
        """Return what each candidate is expected to bring, in the order of the pool.

        Bits are worked out for the most uncertain ones, one a set of calls; the others get 0.

        Args:
            learner: whose forecasts count.
            pool: candidates on known calls.
        """
        model = learner.model
        self._follow(model, pool)
        sets = model.weighing(self._universe)
        table = model.responses.table()
        outcomes = _outcomes(sets, flat(table), model, self._universe)
        risk = 1 - outcomes.available
        at = [self._position[faults] for faults in pool]
        short = _shortlist(pool, [outcomes.surprise[position] for position in at])
        bits = dict(zip(short, self._bits(learner, table, [self._position[pool[one]] for one in short], sets, outcomes), strict=True))
        return [
            Prospect(faults, bits.get(n, 0.0), float(outcomes.surprise[position]), float(risk[position]))
            for n, (faults, position) in enumerate(zip(pool, at, strict=True))
        ]

    def outcomes(self, learner: Learner, pool: Sequence[Faults]) -> tuple[Floats, Floats]:
        """Return [candidate] probabilities that the entry point does not answer, and entropies of the outcome in bits."""
        self._follow(learner.model, pool)
        found = _outcomes(learner.model.weighing(self._universe), learner.model.table, learner.model, self._universe)
        at = [self._position[faults] for faults in pool]
        return 1 - found.available[at], found.surprise[at]

    def _follow(self, model: PropagationModel, pool: Sequence[Faults]) -> None:
        """Keep up with candidates and with what is known."""
        missing = [faults for faults in pool if faults not in self._position]
        if missing:
            self._universe = (*self._universe, *missing)
            self._position = {faults: position for position, faults in enumerate(self._universe)}
        version = (model.structure.version, len(self._universe))
        if version != self._version:
            kinds = [kind for kind in model.kinds if kind != UPSTREAM_KIND]
            self._targets, self._version = targets_of(list(model.structure.calls), kinds, self.rng), version

    def _bits(self, learner: Learner, table: Table, short: list[int], sets: Weighing, outcomes: _Outcomes) -> list[float]:
        """Return expected falls of uncertainty for shortlisted positions of the universe."""
        assert self._targets is not None
        model = learner.model
        after = [_suppose(model, table, sets, position, outcomes) for position in short]
        supposed = [one for group in after for one in group]
        if not supposed:
            return [0.0] * len(short)
        targets = model.supposing(self._targets.sets)
        fatal = model.interactions.fatal(targets.places)
        landed, now = targets.forecast(flat(table), fatal)
        fresh = np.array([faults not in learner.tried for faults in self._targets.sets])
        weights = self._targets.weights * landed * fresh
        _, then = targets.forecast(_stacked(flat(table), supposed, model), _fatal_then(targets, fatal, supposed))
        before, left = weights @ _entropy(now), _entropy(then) @ weights
        found, start = [], 0
        for group in after:
            rows = slice(start, start + len(group))
            start += len(group)
            chance = np.array([one.probability for one in group])
            found.append(max(0.0, float(chance.sum() * before - chance @ left[rows])))
        return found


@dataclass(frozen=True, slots=True)
class _Outcomes:
    """What candidates may lead to.

    Attributes:
        weights: [course] probabilities.
        fatal: [course] the part of them in which the faults interact.
        available: [set] probability that the entry point answers, whatever strikes.
        surprise: [set] entropy of the outcome in bits.
    """

    weights: Floats
    fatal: Floats
    available: Floats
    surprise: Floats


def _outcomes(sets: Weighing, table: Flat, model: PropagationModel, universe: tuple[Faults, ...]) -> _Outcomes:
    weights = sets.courses(table)
    owner = np.repeat(np.arange(len(universe)), np.diff(np.append(sets.starts, len(weights))))
    fatal = weights * sets.available * sets.fatal(model.interactions.fatal(sets.places))
    available = np.clip(sets.sums(weights * sets.available - fatal), 0.0, 1.0)
    width = int(max(sets.signature.max(), sets.fatal_signature.max())) + 1
    size = len(universe) * width
    by_outcome = np.bincount(owner * width + sets.signature, weights - fatal, size)
    by_outcome += np.bincount(owner * width + sets.fatal_signature, fatal, size)
    by_outcome = by_outcome.reshape(-1, width)
    return _Outcomes(weights, fatal, available, -(by_outcome * np.log2(np.maximum(by_outcome, 1e-12))).sum(1))


def _entropy(probability: Floats, slip: float = _SLIP) -> Floats:
    """Binary entropy in bits, of probabilities pulled a little towards even odds."""
    p = np.clip((1 - slip) * probability + slip / 2, 1e-9, 1 - 1e-9)
    return -(p * np.log2(p) + (1 - p) * np.log2(1 - p))


def _shortlist(pool: Sequence[Faults], surprise: Sequence[float]) -> list[int]:
    taken: dict[tuple[str, ...], int] = {}
    short = []
    for position in sorted(range(len(pool)), key=lambda one: -surprise[one]):
        calls = tuple(fault.call for fault in pool[position])
        if taken.get(calls, 0) < _PER_CALLS:
            taken[calls] = taken.get(calls, 0) + 1
            short.append(position)
        if len(short) == _SHORTLIST:
            break
    return short


@dataclass(frozen=True, slots=True)
class _Supposed:
    """An outcome, supposed to have been seen.

    Attributes:
        position: of the candidate in the universe.
        probability: of the outcome.
        evidence: [kind, response] that slots would have, by position.
        fatal: probabilities that pairs of places interact.
    """

    position: int
    probability: float
    evidence: dict[int, Floats]
    fatal: dict[Places, float]


def _suppose(model: PropagationModel, table: Table, sets: Weighing, position: int, outcomes: _Outcomes) -> list[_Supposed]:
    """Return every outcome of a candidate that is not unlikely, with what it would leave."""
    faults = sets.faults[position]
    start, end = sets.starts[position], np.append(sets.starts, len(sets.available))[position + 1]
    fatal = outcomes.fatal[start:end]
    spared = outcomes.weights[start:end] - fatal
    signature, fatal_signature = sets.signature[start:end], sets.fatal_signature[start:end]
    pairs = {int(number): sets.places[number] for number in set(sets.place[start:end].tolist()) if number < len(sets.places)}
    rate = dict(zip(pairs.values(), model.interactions.fatal(list(pairs.values())), strict=True))
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
        found.append(_Supposed(position, probability, evidence, after))
    return found


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


def _stacked(base: Flat, supposed: Sequence[_Supposed], model: PropagationModel) -> Flat:
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


def _fatal_then(targets: Weighing, fatal: Floats, supposed: Sequence[_Supposed]) -> Floats:
    """Return [outcome, place] probabilities of interacting, after each outcome."""
    numbers = {places: number for number, places in enumerate(targets.places)}
    then = np.repeat(fatal[None], len(supposed), axis=0)
    for row, one in enumerate(supposed):
        for places, probability in one.fatal.items():
            if places in numbers:
                then[row, numbers[places]] = probability
    return then
