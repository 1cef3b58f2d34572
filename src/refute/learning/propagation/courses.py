"""What a run could do under faults: every course of events that responses to failures allow.

A call that a fault strikes fails; so does one whose handler gives up. Its caller then responds in one of five ways. Wherever the
response is not known the course of events branches, so that a set of faults has a handful of courses, each with the responses that it
supposes, the calls that it makes, and whether the entry point answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from refute.learning.propagation.space import Site
from refute.learning.propagation.structure import Handler, Slot, Structure

ABORT, LATE, GO_ON, SHORT, INSTEAD = range(5)
"""Responses to a failed call: fail at once, fail after the other calls, do without, answer at once without the other calls, call others."""

RESPONSES: Final = 5
SETS: Final = ((ABORT,), (LATE,), (ABORT, LATE), (GO_ON,), (SHORT,), (GO_ON, SHORT), (INSTEAD,))
"""Sets of responses that a course may suppose: where no call is left in the handler, some do the same."""

UPSTREAM: Final = -1
"""Stands for the kind in which a call fails because its handler gave up."""

_FAILS: Final = frozenset({SETS.index((ABORT,)), SETS.index((LATE,)), SETS.index((ABORT, LATE))})
_LEAVES: Final = frozenset({SETS.index((ABORT,)), SETS.index((SHORT,))})
_ALT: Final = SETS.index((INSTEAD,))
_OPEN: Final = tuple(SETS.index((one,)) for one in range(RESPONSES))
_LAST: Final = (SETS.index((ABORT, LATE)), SETS.index((GO_ON, SHORT)), _ALT)
_DEEPEST: Final = 24
_MOST_CALLS: Final = 400
_MOST_COURSES: Final = 256
_LARGE: Final = 20
_MOST_IN_LARGE: Final = 128
"""Courses of a set of faults in an application with more than 20 calls, which has many more sets: memory and time stay bounded."""

Kind: TypeAlias = int
"""Position of the fault in the set whose kind it is, or UPSTREAM."""


class Supposed(NamedTuple):
    """A response that a course supposes.

    Attributes:
        slot: whose call failed.
        kind: in which way.
        response: position in SETS.
        earlier: kind of an earlier failure at the same slot in the same course, or None.
        earlier_response: what was supposed there.
    """

    slot: Slot
    kind: Kind
    response: int
    earlier: Kind | None = None
    earlier_response: int = 0


@dataclass(frozen=True, slots=True)
class Course:
    """One way in which a run may go.

    Attributes:
        available: whether the entry point answers.
        landed: how many of the faults struck.
        calls: names of the calls made.
        unseen: whether calls are made that nobody knows yet.
        places: slots where failures are got over.
        supposed: the responses that it takes.
    """

    available: bool
    landed: int
    calls: frozenset[str]
    unseen: bool
    places: frozenset[Slot]
    supposed: tuple[Supposed, ...]


@dataclass(slots=True)
class _Play:
    """One pass through the application along given decisions; where they end, the first option is taken and the rest noted."""

    structure: Structure
    struck: dict[str, int]
    decisions: tuple[int, ...]
    options: list[tuple[int, ...]] = field(default_factory=list)
    taken: list[Supposed] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    landed: int = 0
    unseen: bool = False
    places: set[Slot] = field(default_factory=set)
    counts: Counter[Site] = field(default_factory=Counter)

    def handle(self, key: Handler, depth: int) -> bool:
        """Run a handler and say whether it answers."""
        template = self.structure.templates.get(key, ())
        fails = False
        for index, site in enumerate(template):
            slot = Slot(key, index)
            outcome = self._settle(slot, site, index + 1 == len(template), depth)
            fails = fails or outcome in _FAILS
            if outcome in _LEAVES:
                break
        return not fails

    def _settle(self, slot: Slot, site: Site, last: bool, depth: int) -> int:
        """Make the call of a slot, and others instead of it as long as they are called for; return the response that ends it."""
        kind = self._fails(site, depth)
        if kind is None:
            return _LAST[1]
        response = self._decide(slot, kind, _LAST if last else _OPEN)
        if response != _ALT:
            if response not in _FAILS:
                self.places.add(Slot(slot.handler, slot.place))
            return response
        instead = self.structure.alternates.get(slot, ())
        self.unseen = self.unseen or not instead
        for part, other in enumerate(instead):
            outcome = self._settle(Slot(slot.handler, slot.place, slot.attempt + 1, part), other, last, depth)
            if outcome in _FAILS or outcome in _LEAVES:
                return outcome
        self.places.add(Slot(slot.handler, slot.place))
        return _LAST[1]

    def _fails(self, site: Site, depth: int) -> Kind | None:
        """Make a call and say in which way it fails, if it does."""
        self.counts[site] += 1
        name = self.structure.name(site, self.counts[site])
        self.calls.append(name)
        if name in self.struck:
            self.landed += 1
            return self.struck[name]
        if depth >= _DEEPEST or len(self.calls) >= _MOST_CALLS:
            return None
        return None if self.handle(self.structure.handler(site, self.counts[site]), depth + 1) else UPSTREAM

    def _decide(self, slot: Slot, kind: Kind, options: tuple[int, ...]) -> int:
        earlier = next((one for one in self.taken if one.slot == slot), None)
        if earlier is not None and earlier.kind == kind and earlier.response in options:
            return earlier.response
        position = len(self.options)
        response = self.decisions[position] if position < len(self.decisions) else options[0]
        self.options.append(options)
        if earlier is None:
            self.taken.append(Supposed(slot, kind, response))
        else:
            self.taken.append(Supposed(slot, kind, response, earlier.kind, earlier.response))
        return response

    def course(self, available: bool) -> Course:
        return Course(available, self.landed, frozenset(self.calls), self.unseen, frozenset(self.places), tuple(self.taken))


def courses(structure: Structure, struck: Sequence[str]) -> list[Course]:
    """Return every course that a run may take.

    Args:
        structure: what is known of the application.
        struck: ids of the calls that fail, in the order in which `Supposed.kind` counts them.

    Returns:
        Courses whose suppositions exclude one another and together leave nothing out, as long as they are not too many.
    """
    found: list[Course] = []
    agenda: list[tuple[int, ...]] = [()]
    positions = {name: position for position, name in enumerate(struck)}
    most = _MOST_COURSES if len(structure.calls) <= _LARGE else _MOST_IN_LARGE
    while agenda and len(found) < most:
        decisions = agenda.pop()
        play = _Play(structure, positions, decisions)
        found.append(play.course(play.handle(structure.root, 0)))
        responses = [one.response for one in play.taken]
        for position in range(len(decisions), len(play.options)):
            agenda += [(*responses[:position], other) for other in play.options[position][1:]]
    return found
