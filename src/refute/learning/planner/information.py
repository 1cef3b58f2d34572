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

from refute.learning.planner.supposed import Courses, Supposed, fatal_then, suppose, tables
from refute.learning.propagation.kinds import UPSTREAM_KIND, Floats
from refute.learning.propagation.learner import Learner
from refute.learning.propagation.model import PropagationModel
from refute.learning.propagation.responses import Table
from refute.learning.propagation.space import Fault, Faults, faults_of
from refute.learning.propagation.trust import mixed_with
from refute.learning.propagation.weighing import Weighing, flat

_SHORTLIST: Final = 24
_PER_CALLS: Final = 1
_MOST_TARGETS: Final = 240
_COMBINATIONS: Final = 5


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
        outcomes = self.outcomes(learner, pool)
        short = _shortlist(pool, outcomes.surprise.tolist())
        bits = dict(zip(short, self._bits(learner, [pool[one] for one in short], outcomes), strict=True))
        return [
            Prospect(faults, bits.get(n, 0.0), float(surprise), float(1 - available))
            for n, (faults, surprise, available) in enumerate(zip(pool, outcomes.surprise, outcomes.available, strict=True))
        ]

    def outcomes(self, learner: Learner, pool: Sequence[Faults]) -> Outcomes:
        """Return what candidates may lead to, in the order of the pool."""
        self._follow(learner.model, pool)
        sets, table = learner.model.weighing(self._universe), learner.model.responses.table()
        weights = sets.courses(flat(table))
        fatal = weights * sets.available * sets.fatal(learner.model.interactions.fatal(sets.places))
        at = [self._position[faults] for faults in pool]
        answers = np.clip(sets.sums(weights * sets.available - fatal), 0.0, 1.0)[at]
        apart = np.stack([answers, learner.plain.forecast(pool)])
        available = learner.trust.mix(apart)
        told = _told_apart(sets, weights, fatal)[:, at]
        share = np.stack([1 - answers, answers])
        inner = _spread(told).sum(-1) - _spread(share)
        inner = (np.stack([1 - available, available]) * inner / np.maximum(share, 1e-12)).sum(0)
        surprise = _entropy(available) + learner.trust.weights[0].sum() * np.maximum(inner, 0.0)
        return Outcomes(sets, table, Courses(weights, fatal), apart, available, surprise)

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

    def _bits(self, learner: Learner, short: Sequence[Faults], outcomes: Outcomes) -> list[float]:
        """Return expected falls of uncertainty for shortlisted candidates."""
        assert self._targets is not None
        model, table = learner.model, outcomes.table
        groups = [suppose(model, table, outcomes.sets, self._position[faults], outcomes.courses) for faults in short]
        supposed = [one for group in groups for one in group]
        if not supposed:
            return []
        targets = model.supposing(self._targets.sets)
        fatal = model.interactions.fatal(targets.places)
        landed, now = targets.forecast(flat(table), fatal)
        _, then = targets.forecast(tables(flat(table), supposed, model), fatal_then(targets, fatal, supposed))
        seen = [(outcomes.sets.faults[one.position], one.available) for one in supposed]
        plain, after = learner.plain.forecast(self._targets.sets), learner.plain.supposing(self._targets.sets, seen)
        forecasts = np.stack([model.forecast([faults for faults, _ in seen])[1], learner.plain.forecast([faults for faults, _ in seen])])
        weights = learner.trust.supposing(forecasts, [one.available for one in supposed])
        fresh = np.array([faults not in learner.tried for faults in self._targets.sets])
        weighed = self._targets.weights * landed * fresh
        before = weighed @ _entropy(learner.trust.mix(np.stack([now, plain])))
        left = _entropy(mixed_with(weights, np.stack([then, after]))) @ weighed
        odds = learner.trust.mix(forecasts)
        found, start = [], 0
        for group in groups:
            rows = slice(start, start + len(group))
            start += len(group)
            chance = _chances(group, float(odds[rows.start]))
            found.append(max(0.0, float(chance.sum() * before - chance @ left[rows])))
        return found


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What candidates may lead to.

    Attributes:
        sets: courses of all candidates that were ever asked about.
        table: posterior of the model.
        courses: their probabilities by the model.
        apart: [learner, candidate] probabilities that the entry point answers.
        available: [candidate] the same of all learners together.
        surprise: [candidate] entropy of the outcome in bits; of the calls made as far as the model is trusted.
    """

    sets: Weighing
    table: Table
    courses: Courses
    apart: Floats
    available: Floats
    surprise: Floats


def _told_apart(sets: Weighing, weights: Floats, fatal: Floats) -> Floats:
    """Return [available, set, outcome] probabilities of what can be told apart."""
    count = len(sets.starts)
    owner = np.repeat(np.arange(count), np.diff(np.append(sets.starts, len(weights))))
    width = int(max(sets.signature.max(), sets.fatal_signature.max())) + 1
    answered = np.bincount(owner * width + sets.signature, (weights - fatal) * sets.available, count * width)
    failed = np.bincount(owner * width + sets.signature, (weights - fatal) * ~sets.available, count * width)
    failed += np.bincount(owner * width + sets.fatal_signature, fatal, count * width)
    return np.stack([failed, answered]).astype(float).reshape(2, count, width)


def _chances(group: Sequence[Supposed], available: float) -> Floats:
    """Return [outcome] probabilities by all learners: the model says how an answer or an outage comes about."""
    answers = np.array([one.available for one in group])
    own = np.maximum([one.probability for one in group], 1e-9)
    found: Floats = own * np.where(answers, available / max(own @ answers, 1e-12), (1 - available) / max(own @ ~answers, 1e-12))
    return found


def _spread(probability: Floats) -> Floats:
    return -probability * np.log2(np.maximum(probability, 1e-12))


def _entropy(probability: Floats) -> Floats:
    """Binary entropy in bits."""
    p = np.clip(probability, 1e-9, 1 - 1e-9)
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
