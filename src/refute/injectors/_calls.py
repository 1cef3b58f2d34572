"""What a switch remembers of a unit: its logical calls, so that their retries are known, and what was drawn for them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from refute.core.context import UnitContext
from refute.core.draws import BLOCK, numbers

_REMEMBERED = 2048
"""Logical calls remembered in one unit; beyond them old ones are forgotten, and a retry of one would be drawn anew."""

Identity = str | int
"""What stays the same between the attempts of one logical call: a digest of the request."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read the requests of a library, each thing only where it is needed.

    Attributes:
        trace: what is kept of a unit's first call: small, cheap, and no other call's.
        retrace: from a trace, what `identify` tells of its request.
        identify: what stays the same between the attempts of one logical call.
    """

    trace: Callable[[Any], Any]
    retrace: Callable[[Any], Identity]
    identify: Callable[[Any], Identity]


class Drawn:
    """The result of one draw, shared by everything that it covers: attempts of a logical call, or calls of a unit."""

    __slots__ = ("delivered", "hit")

    def __init__(self, *, hit: bool = True) -> None:
        """Start undelivered."""
        self.hit = hit
        self.delivered = False


@dataclass(frozen=True, slots=True)
class Hit:
    """A call that is to be hit.

    Attributes:
        unit: the unit that it belongs to.
        rng: seeded for this call, for a fault that draws values.
        drawn: the draw that it comes from.
    """

    unit: UnitContext
    rng: random.Random
    drawn: Drawn = field(default_factory=Drawn)


class LogicalCall:
    """One logical call.

    Args:
        ordinal: its number in the unit, from 0.
        drawn: what was drawn for it, where that covers all its attempts.

    Attributes:
        tries: how many times it has been tried again.
        failed: whether its last attempt ended badly for the caller.
    """

    __slots__ = ("drawn", "failed", "ordinal", "tries")

    def __init__(self, ordinal: int, drawn: Drawn | None = None) -> None:
        """Start with the first attempt."""
        self.ordinal = ordinal
        self.drawn = drawn
        self.tries = 0
        self.failed = False


_MISSED = Drawn(hit=False)


class Attempt:
    """One attempt of a logical call, and what was decided for it.

    Args:
        call: the logical call.
        hit: None where it goes through untouched.
    """

    __slots__ = ("_call", "hit")

    def __init__(self, call: LogicalCall, hit: Hit | None) -> None:
        """Tie the decision to its call."""
        self._call = call
        self.hit = hit

    def ended(self, *, failed: bool) -> None:
        """Note how the attempt ended for the caller, so that a retry of it is known as one.

        Args:
            failed: whether the caller saw an error or a spoilt answer. Without this note a hit counts as failed, anything
                else as fine.
        """
        self._call.failed = failed


class Seen:
    """The logical calls of a unit.

    Attributes:
        calls: by identity; None stands for one that was let pass at a glance: not hit, and not reported to the unit.
        count: how many there were.
        passed: how many of them were let pass.
        conversation: the draw that all of them share, where a conversation is drawn.
    """

    count = 0
    passed = 0
    conversation: Drawn | None = None
    _numbers: tuple[int, ...] = ()

    def __init__(self) -> None:
        """Start with nothing."""
        self.calls: dict[Identity, LogicalCall | None] = {}

    def number(self, unit: UnitContext, ordinal: int) -> int:
        """Return the number that is drawn for a logical call; to be asked for one call after the other."""
        if ordinal < BLOCK:
            return unit.numbers[ordinal]
        block, place = divmod(ordinal, BLOCK)
        if place == 0:
            self._numbers = numbers(unit.key, block)
        return self._numbers[place]

    def call(self, identity: Identity, number: int | Callable[[], int]) -> LogicalCall:
        """Return the logical call that an attempt belongs to: one that is known, or a new one."""
        if identity in self.calls:
            known = self.calls.pop(identity) or LogicalCall(-1, _MISSED)
            told = number() if callable(number) else number
            if told > 0 or (told < 0 and known.failed):
                known.tries += 1
                known.failed = False
                self._keep(identity, known)
                return known
        call = LogicalCall(self.count)
        self.count += 1
        self._keep(identity, call)
        return call

    def let_pass(self, identity: Identity) -> None:
        """Count a new call that is let pass."""
        self.count += 1
        self.passed += 1
        self._keep(identity, None)

    def failed(self, identity: Identity) -> None:
        """Note that a call which was let pass ended badly for its caller."""
        call = LogicalCall(-1, _MISSED)
        call.failed = True
        self._keep(identity, call)

    def _keep(self, identity: Identity, call: LogicalCall | None) -> None:
        self.calls[identity] = call
        if len(self.calls) > _REMEMBERED:
            del self.calls[next(iter(self.calls))]
