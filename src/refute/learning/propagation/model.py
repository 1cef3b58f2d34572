"""What breaks what: a posterior over how an application responds to failing calls, updated run by run.

Inference is exact but for two things: evidence of one run enters as a product over the responses that it touches (expectation propagation,
with runs revisited while they are ambiguous), and two kinds at one slot are tied by the probability that one draw answers both.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

import numpy as np

from refute.learning.propagation.courses import RESPONSES, UPSTREAM, Course, courses
from refute.learning.propagation.effects import Degradation, Interactions
from refute.learning.propagation.hypothesis import retrying, supposing
from refute.learning.propagation.kinds import UPSTREAM_KIND, Floats, partitions
from refute.learning.propagation.responses import SET_MEMBERS, Responses, Table, add_evidence, responses_of
from refute.learning.propagation.space import Call, Faults, Run, Site
from refute.learning.propagation.structure import Handler, Slot, Structure, structure_of
from refute.learning.propagation.weighing import Block, Flat, Places, Shape, Weighing, block_of, flat, weighing

_UNKNOWN: Final = Handler(Site("", "", ""), -1)
UNKNOWN_FIRST: Final = Slot(_UNKNOWN, 0)
UNKNOWN_LATER: Final = Slot(_UNKNOWN, 0, 2)

_CALL_SLIP: Final = 0.2
_SLIP: Final = 0.004
_CALLS_FLOOR: Final = 0.02
_MESSAGE_FLOOR: Final = -6.0
_AMBIGUOUS: Final = 0.97
_REVISITED: Final = 4
_MOST_LISTED: Final = 20_000
_MOST_WEIGHED: Final = 500_000
"""Courses that are kept as objects and as rows of arrays; large applications have more, which are made anew when asked for."""

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V", bound=Sized)


@dataclass(slots=True)
class Assimilated:
    """A run and what it says.

    Attributes:
        run: what was seen.
        courses: that it may have taken.
        messages: by slot: [kind, response] log-likelihood that it contributed.
        pairs: by pair of places: [2] likelihood that it contributed to their not interacting, and interacting.
        clarity: probability of its likeliest explanation.
    """

    run: Run
    courses: list[Course]
    messages: dict[Slot, Floats] = field(default_factory=dict)
    pairs: dict[Places, Floats] = field(default_factory=dict)
    clarity: float = 0.0


@dataclass(slots=True)
class PropagationModel:
    """The posterior of one application.

    Attributes:
        structure: what calls what.
        kinds: of faults, and how callers see that a callee gave up.
        responses: how handlers respond.
        interactions: of pairs.
        degradation: of answers.
        history: every run, oldest first.
    """

    structure: Structure
    kinds: dict[str, int]
    responses: Responses
    interactions: Interactions = field(default_factory=Interactions)
    degradation: Degradation = field(default_factory=Degradation)
    history: list[Assimilated] = field(default_factory=list)
    _table: Flat | None = None
    _courses: dict[tuple[str, ...], list[Course]] = field(default_factory=dict)
    _blocks: dict[tuple[str, ...], Block] = field(default_factory=dict)
    _supposed_blocks: dict[tuple[str, ...], Block] = field(default_factory=dict)
    _weighings: dict[tuple[Faults, ...], Weighing] = field(default_factory=dict)
    _supposing: dict[tuple[Faults, ...], Weighing] = field(default_factory=dict)

    # What it knows

    @property
    def shape(self) -> Shape:
        """How positions in its tables are counted."""
        slots = self.responses.slots
        return Shape(slots, slots[UNKNOWN_FIRST], slots[UNKNOWN_LATER], self.kinds, self.kinds[UPSTREAM_KIND])

    @property
    def table(self) -> Flat:
        """The posterior, laid out for weighing."""
        if self._table is None:
            self._table = flat(self.responses.table())
        return self._table

    def courses(self, struck: tuple[str, ...]) -> list[Course]:
        """Return what may happen when known calls are struck; those asked for last are kept."""
        return _kept(self._courses, struck, lambda: courses(self.structure, struck), _MOST_LISTED)

    def weighing(self, sets: tuple[Faults, ...]) -> Weighing:
        """Return the courses of sets of faults on known calls; those asked for last are kept until the structure changes."""
        return _kept(self._weighings, sets, lambda: weighing(sets, self._block, self.shape), _MOST_WEIGHED)

    def supposing(self, sets: tuple[Faults, ...], calls: Mapping[str, Call] | None = None) -> Weighing:
        """Return the courses of sets of faults, supposing what it takes for all of a set to strike; kept as those of `weighing` are."""
        return _kept(self._supposing, sets, lambda: weighing(sets, partial(self._supposed, calls or {}), self.shape), _MOST_WEIGHED)

    def forecast(self, sets: Sequence[Faults], calls: Mapping[str, Call] | None = None) -> tuple[Floats, Floats]:
        """Return what faults would do.

        Args:
            sets: of faults; kinds must be known.
            calls: by id, for those that were never seen.

        Returns:
            [set] probability that all faults of it strike, and probability that the entry point answers if they do.
        """
        if not sets:
            return np.zeros(0), np.zeros(0)
        laid = self.supposing(tuple(sets), calls)
        landed, answers = laid.forecast(self.table, self.interactions.fatal(laid.places))
        lost = np.flatnonzero(landed < 1e-9).tolist()
        if len(lost):
            answers[lost] = self._each([sets[position] for position in lost])
        return landed, answers

    def degraded(self, faults: Faults) -> float:
        """Return the probability that the entry point answers with less, given that it answers."""
        return self.degradation.rate(tuple(fault.call for fault in faults))

    def _block(self, struck: tuple[str, ...]) -> Block:
        """Return the courses for known calls, laid out."""
        if struck not in self._blocks:
            self._blocks[struck] = block_of(self.courses(struck), len(struck), self.shape)
        return self._blocks[struck]

    def _supposed(self, calls: Mapping[str, Call], struck: tuple[str, ...]) -> Block:
        """Return courses for struck calls, in which they do strike if there is any way to suppose so."""
        if all(name in self.structure.calls for name in struck) and bool((found := self._block(struck)).landed.any()):
            return found
        if struck not in self._supposed_blocks:
            self._supposed_blocks[struck] = block_of(self._imagined(struck, calls), len(struck), self.shape)
        return self._supposed_blocks[struck]

    def _imagined(self, struck: tuple[str, ...], calls: Mapping[str, Call]) -> list[Course]:
        if not all(name in self.structure.calls for name in struck):
            known = [self.structure.calls.get(name) or calls[name] for name in struck]
            return courses(supposing(self.structure, known), struck)
        found = self.courses(struck)
        if any(course.landed == len(struck) for course in found):
            return found
        for name in struck:
            other = retrying(self.structure, self.structure.calls[name])
            retried = [] if other is None else courses(other, struck)
            if any(course.landed == len(struck) for course in retried):
                return retried
        return found

    def _each(self, sets: Sequence[Faults]) -> Floats:
        """Forecast faults that no course makes strike together: each for itself, those on unknown calls as callers respond on average."""
        average = self.responses.table().responses[self.shape.unknown_first, :, 2:].sum(-1)
        singles = {fault: float(average[self.kinds[fault.kind]]) for faults in sets for fault in faults}
        known = [fault for fault in singles if fault.call in self.structure.calls]
        if known:
            strikes, answers = self.weighing(tuple((fault,) for fault in known)).forecast(self.table, np.zeros(0))
            singles |= {fault: float(p) for fault, landed, p in zip(known, strikes, answers, strict=True) if landed > 1e-9}
        return np.array([float(np.prod([singles[fault] for fault in faults])) for faults in sets])

    # What it learns

    def observe(self, run: Run, calls: Mapping[str, Call]) -> None:
        """Learn from a run.

        Args:
            run: with the faults that landed.
            calls: at least those that it made, by id.
        """
        self.structure.know(calls[name] for name in run.calls)
        self.history.append(Assimilated(run, []))
        self.degradation.see(run)
        if self.structure.learn(run):
            self._start_again()
        else:
            self._assimilate(self.history[-1])
            for one in [one for one in self.history if one.clarity < _AMBIGUOUS][-_REVISITED:]:
                self._assimilate(one)

    def _start_again(self) -> None:
        """Weigh all runs anew under a new structure."""
        slots = [*self.structure.slots(), UNKNOWN_FIRST, UNKNOWN_LATER]
        self.responses = responses_of(self.structure, slots, self.responses.partitions)
        self.interactions = Interactions()
        self._courses.clear()
        self._blocks.clear()
        self._supposed_blocks.clear()
        self._weighings.clear()
        self._supposing.clear()
        self._table = None
        for one in self.history:
            one.courses, one.messages, one.pairs = [], {}, {}
            self._assimilate(one)
        for one in [one for one in self.history if one.clarity < _AMBIGUOUS]:
            self._assimilate(one)

    def _assimilate(self, one: Assimilated) -> None:
        """Replace what a run contributes by what it says beside all others."""
        struck = tuple(fault.call for fault in one.run.faults)
        if not struck:
            return
        one.courses = one.courses or self.courses(struck)
        for slot, message in one.messages.items():
            self.responses.evidence[self.responses.slots[slot]] -= message
        for places, said in one.pairs.items():
            self.interactions.replace(places, said, np.ones(2))
        table = self.responses.table()
        sets = self.weighing((one.run.faults,))
        prior = sets.courses(flat(table)) * self._same_calls(one)
        fatal = sets.fatal(self.interactions.fatal(sets.places))
        posterior = prior * _agreement(sets.available * (1 - fatal), one.run.available)
        total = float(posterior.sum())
        self._table = None
        if total <= 0:
            return
        self._send(one, posterior / total, table)
        one.pairs = _said_of_pairs(sets, prior, posterior, available=one.run.available)
        for places, said in one.pairs.items():
            self.interactions.replace(places, np.ones(2), said)

    def _same_calls(self, one: Assimilated) -> Floats:
        """Return [course] likelihoods of the calls that a run made."""
        made, faults = frozenset(one.run.calls), len(one.run.faults)
        differing = [len(course.calls ^ made) + (faults - course.landed) + course.unseen for course in one.courses]
        return np.maximum(_CALLS_FLOOR, _CALL_SLIP ** np.array(differing))

    def _send(self, one: Assimilated, posterior: Floats, table: Table) -> None:
        """Turn the posterior over courses into a message to each slot that they suppose something about."""
        one.clarity = float(posterior.max())
        shape = self.shape
        kinds = [*(shape.kinds[fault.kind] for fault in one.run.faults), shape.upstream]
        found: dict[tuple[Slot, int], Floats] = {}
        given: dict[tuple[Slot, int], float] = {}
        for weight, course in zip(posterior, one.courses, strict=True):
            told = {(s.slot, kinds[s.kind] if s.kind != UPSTREAM else shape.upstream): s.response for s in course.supposed}
            for (slot, kind), response in told.items():
                position = shape.position(slot)
                inside = table.responses[position, kind] * SET_MEMBERS[response]
                found[slot, kind] = found.get((slot, kind), 0.0) + weight * inside / max(inside.sum(), 1e-12)
                given[slot, kind] = given.get((slot, kind), 0.0) + weight
        one.messages = {}
        for (slot, kind), belief in found.items():
            marginal = table.responses[shape.position(slot), kind]
            ratio = (belief + (1 - given[slot, kind]) * marginal) / np.maximum(marginal, 1e-12)
            message = np.maximum(np.log(np.maximum(ratio / ratio.max(), 1e-12)), _MESSAGE_FLOOR)
            one.messages.setdefault(slot, np.zeros((len(self.kinds), RESPONSES)))[kind] += message
        for slot, message in one.messages.items():
            add_evidence(self.responses.evidence[self.responses.slots[slot]], message)


def _kept(cache: dict[_K, _V], key: _K, make: Callable[[], _V], most: int) -> _V:
    """Return what is kept under a key, made where it is not; what was not asked for in a while is let go.

    Args:
        cache: in the order in which it was asked for.
        key: what is asked for.
        make: makes it.
        most: courses that are kept in all.
    """
    if key in cache:
        found = cache[key] = cache.pop(key)
        return found
    found = cache[key] = make()
    total = sum(map(len, cache.values()))
    while total > most and len(cache) > 1:
        total -= len(cache.pop(next(iter(cache))))
    return found


def _agreement(answers: Floats, available: bool) -> Floats:
    answers = (1 - 2 * _SLIP) * answers + _SLIP
    return answers if available else 1 - answers


def _said_of_pairs(sets: Weighing, prior: Floats, posterior: Floats, *, available: bool) -> dict[Places, Floats]:
    """Return [2] likelihoods of a run's outcome if places do not interact, and if they do."""
    said = {}
    for number, places in enumerate(sets.places):
        inside = sets.place == number
        rest, here = float(posterior[~inside].sum()), float(prior[inside].sum())
        apart, together = _agreement(np.array([1.0, 0.0]), available)
        likelihoods = np.array([rest + here * apart, rest + here * together])
        said[places] = likelihoods / likelihoods.max()
    return said


def model_of(calls: Mapping[str, Call], steady: Run, kinds: Iterable[str]) -> PropagationModel:
    """Return a model that knows the run without faults.

    Args:
        calls: at least those that it made.
        steady: the run.
        kinds: of the faults that will be asked about.
    """
    names = {kind: position for position, kind in enumerate([*dict.fromkeys(kinds), UPSTREAM_KIND])}
    structure = structure_of(calls, steady)
    slots = [*structure.slots(), UNKNOWN_FIRST, UNKNOWN_LATER]
    return PropagationModel(structure, names, responses_of(structure, slots, partitions(list(names))))
