"""Courses of many sets of faults as arrays, so that they are weighed all at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from refute.learning.propagation.courses import SETS, Course
from refute.learning.propagation.kinds import Floats
from refute.learning.propagation.responses import Table
from refute.learning.propagation.space import Faults
from refute.learning.propagation.structure import Slot

Places: TypeAlias = tuple[Slot, Slot]
Ints = NDArray[np.integer[Any]]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Shape:
    """How positions in a table are counted.

    Attributes:
        slots: position by slot.
        unknown_first: position that stands for first attempts of which nothing is known.
        unknown_later: the same for calls that are made instead of a failed one.
        kinds: position by kind.
        upstream: position of the kind in which callers see that a callee gave up.
    """

    slots: Mapping[Slot, int]
    unknown_first: int
    unknown_later: int
    kinds: Mapping[str, int]
    upstream: int

    def position(self, slot: Slot) -> int:
        """Return where a slot stands."""
        return self.slots.get(slot, self.unknown_first if slot.attempt == 1 else self.unknown_later)

    @property
    def never(self) -> int:
        """Position after the last entry of `Table.sets`: holds a 1."""
        return (max(self.unknown_first, self.unknown_later) + 1) * len(self.kinds) * len(SETS)


@dataclass(frozen=True, slots=True)
class Flat:
    """A table laid out for `Weighing`.

    Attributes:
        sets: [..., entries + 1] probabilities of sets of responses, then a 1.
        same: [..., entries + 1] probabilities that two kinds are answered alike, then a 0.
    """

    sets: Floats
    same: Floats


def flat(table: Table) -> Flat:
    """Lay out a table."""
    return Flat(np.append(table.sets.ravel(), 1.0), np.append(table.same.ravel(), 0.0))


@dataclass(frozen=True, slots=True)
class Weighing:
    """The courses of a list of fault sets.

    Attributes:
        faults: the sets.
        places: distinct pairs of places where faults are got over apart.
        starts: [set] position of each one's first course.
        available: [course] whether the entry point answers.
        landed: [course] whether every fault of the set strikes.
        place: [course] which pair of places its faults are got over in; the number of pairs where it is not so.
        signature: [course] which of its set's distinguishable outcomes it leads to.
        fatal_signature: [course] which one it leads to if the faults interact.
        supposed: [course, n] positions in `Flat.sets`; padded.
        again: [course, m] the same for second failures at one slot; padded.
        alike: [course, m] positions in `Flat.same`; padded.
        equal: [course, m] whether the second response is the first one's.
    """

    faults: tuple[Faults, ...]
    places: tuple[Places, ...]
    starts: Ints
    available: Bools
    landed: Bools
    place: Ints
    signature: Ints
    fatal_signature: Ints
    supposed: Ints
    again: Ints
    alike: Ints
    equal: Bools

    def __len__(self) -> int:
        """Number of courses."""
        return len(self.available)

    def courses(self, table: Flat) -> Floats:
        """Return [..., course] probabilities."""
        weights: Floats = np.ones((*table.sets.shape[:-1], len(self.available)))
        for column in self.supposed.T:
            weights *= table.sets[..., column]
        for column, alike, equal in zip(self.again.T, self.alike.T, self.equal.T, strict=True):
            same = table.same[..., alike]
            weights *= same * equal + (1 - same) * table.sets[..., column]
        return weights

    def sums(self, weights: Floats) -> Floats:
        """Return [..., set] sums over each set's courses."""
        return np.add.reduceat(weights, self.starts, axis=-1)

    def forecast(self, table: Flat, fatal: Floats) -> tuple[Floats, Floats]:
        """Return what faults would do.

        Args:
            table: posterior of responses.
            fatal: [..., place] probabilities that what is got over in a pair of places is fatal together.

        Returns:
            [..., set] probability that all faults strike, and that the entry point answers if they do.
        """
        weights = self.courses(table) * self.landed
        landed = self.sums(weights)
        return landed, self.sums(weights * self.available * (1 - self.fatal(fatal))) / np.maximum(landed, 1e-12)

    def fatal(self, fatal: Floats) -> Floats:
        """Return [..., course] probabilities of being fatal though each fault is got over, from those of pairs of places."""
        return np.concatenate([fatal, np.zeros((*fatal.shape[:-1], 1))], axis=-1)[..., self.place]


def weighing(sets: Sequence[Faults], find: Callable[[tuple[str, ...]], Block], shape: Shape) -> Weighing:
    """Return the courses of sets of faults.

    Args:
        sets: at least one.
        find: returns the courses for the ids of struck calls, as `block_of` does.
        shape: of the tables to be weighed with.
    """
    found: dict[tuple[str, ...], Block] = {}
    blocks, kinds = [], []
    for faults in sets:
        struck = tuple(fault.call for fault in faults)
        if struck not in found:
            found[struck] = find(struck)
        blocks.append(found[struck])
        kinds.append([*(shape.kinds[fault.kind] for fault in faults), shape.upstream])
    return _joined(tuple(sets), blocks, kinds, shape)


@dataclass(frozen=True, slots=True)
class Block:
    """Courses for one set of calls, of whatever kinds; arrays as in `Weighing`, with kinds as positions in the set of faults."""

    available: Bools
    landed: Bools
    places: list[Places | None]
    signature: Ints
    fatal_signature: Ints
    slots: Ints
    symbols: Ints
    sets: Ints
    again: Ints


def block_of(found: Sequence[Course], faults: int, shape: Shape) -> Block:
    """Lay out the courses for one set of struck calls.

    Args:
        found: courses.
        faults: how many calls are struck.
        shape: of the tables to be weighed with.
    """
    signatures: dict[object, int] = {}
    marks = [signatures.setdefault((one.available, one.calls, one.unseen), len(signatures)) for one in found]
    fatal = [signatures.setdefault((False, one.calls, one.unseen), len(signatures)) for one in found]
    firsts = [[one for one in course.supposed if one.earlier is None] for course in found]
    seconds = [[one for one in course.supposed if one.earlier is not None] for course in found]
    width, more = max(map(len, firsts)), max(map(len, seconds))
    slots = np.full((len(found), width), -1, dtype=np.int32)
    symbols, sets = np.zeros_like(slots), np.zeros_like(slots)
    again = np.full((len(found), more, 5), -1, dtype=np.int32)
    for row, (first, second) in enumerate(zip(firsts, seconds, strict=True)):
        for column, one in enumerate(first):
            slots[row, column], symbols[row, column], sets[row, column] = shape.position(one.slot), one.kind, one.response
        for column, one in enumerate(second):
            earlier = -1 if one.earlier is None else one.earlier
            again[row, column] = shape.position(one.slot), one.kind, one.response, earlier, one.response == one.earlier_response
    available = np.array([one.available for one in found])
    landed = np.array([one.landed >= faults for one in found])
    places = [_places(one) if faults > 1 and one.available and one.landed >= faults else None for one in found]
    return Block(available, landed, places, np.array(marks), np.array(fatal), slots, symbols, sets, again)


def _places(course: Course) -> Places | None:
    """Return where two faults are got over, None where they are so in one place."""
    found = sorted(course.places)
    return (found[0], found[1]) if len(found) > 1 else None


def _joined(sets: tuple[Faults, ...], blocks: list[Block], kinds: list[list[int]], shape: Shape) -> Weighing:
    sizes = np.array([len(block.available) for block in blocks])
    width, more = max(block.slots.shape[1] for block in blocks), max(block.again.shape[1] for block in blocks)
    total, count = int(sizes.sum()), len(shape.kinds)
    supposed = np.full((total, width), shape.never, dtype=np.int32)
    again = np.full((total, more), shape.never, dtype=np.int32)
    alike = np.full((total, more), (shape.never // len(SETS)) * count, dtype=np.int32)
    equal = np.zeros((total, more), dtype=bool)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    for start, size, block, own in zip(starts, sizes, blocks, kinds, strict=True):
        rows, kind = slice(start, start + size), np.array(own)
        at = (block.slots * count + kind[block.symbols]) * len(SETS) + block.sets
        supposed[rows, : block.slots.shape[1]] = np.where(block.slots >= 0, at, shape.never)
        if not block.again.shape[1]:
            continue
        slot, symbol, chosen, earlier, agrees = np.moveaxis(block.again, -1, 0)
        columns = slice(0, block.again.shape[1])
        again[rows, columns] = np.where(slot >= 0, (slot * count + kind[symbol]) * len(SETS) + chosen, shape.never)
        alike[rows, columns] = np.where(slot >= 0, (slot * count + kind[earlier]) * count + kind[symbol], alike[rows, columns])
        equal[rows, columns] = (slot >= 0) & (agrees == 1)
    fatal = np.concatenate([block.fatal_signature for block in blocks])
    available, landed = np.concatenate([block.available for block in blocks]), np.concatenate([block.landed for block in blocks])
    signature = np.concatenate([block.signature for block in blocks])
    numbers: dict[Places, int] = {}
    every = [one and numbers.setdefault(one, len(numbers)) for block in blocks for one in block.places]
    place = np.array([len(numbers) if one is None else one for one in every])
    return Weighing(sets, tuple(numbers), starts, available, landed, place, signature, fatal, supposed, again, alike, equal)
