"""Reproducible draws: which unit is in which cohort, and which call is hit."""

from __future__ import annotations

import math
from hashlib import blake2b
from struct import Struct

_SCALE = 2.0**-64
_EIGHT = Struct(">8Q")

WORD = 2**64 - 1
"""The largest number that is drawn."""

BLOCK = 8
"""Numbers in a block of `numbers`."""


def uniform(seed: int, *parts: str | int) -> float:
    """Return a number in [0, 1) that depends on the seed and the parts alone.

    Args:
        seed: the experiment's seed.
        *parts: what is drawn for, in a fixed order.
    """
    text = "\x1f".join((str(seed), *map(str, parts)))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") * _SCALE


def in_treatment(seed: int, unit: str, cohort: float) -> bool:
    """Say whether a unit belongs to the treatment cohort.

    Args:
        seed: the experiment's seed.
        unit: the unit's key.
        cohort: share of units in treatment, in [0, 1].
    """
    return uniform(seed, "cohort", unit) < cohort


def numbers(unit: str, block: int) -> tuple[int, ...]:
    """Return eight uniform 64-bit numbers that depend on the unit and the block alone: one for each of its calls, in order.

    Args:
        unit: the unit's key.
        block: which eight, from 0.
    """
    return _EIGHT.unpack(blake2b(f"{unit}\x1f{block}".encode()).digest())


class CallDraws:
    """Which logical calls to a component are hit, told from the numbers of their units by one multiplication.

    Multiplying by an odd factor (mod 2⁶⁴) permutes the 64-bit numbers, so that they stay uniform and independent; the factor depends on
    the seed and the component, so that other seeds and components hit others. (Dietzfelbinger, Hagerup, Katajainen, Penttonen: A
    reliable randomized algorithm for the closest-pair problem, 1997: multiply-shift hashing.)

    Args:
        seed: the experiment's seed.
        component: name of the component.
        share: probability in [0, 1] of a hit.

    Attributes:
        factor: odd.
        below: a number that comes out less than this is a hit.
    """

    __slots__ = ("below", "factor")

    def __init__(self, seed: int, component: str, share: float) -> None:
        """Derive the factor."""
        self.factor = numbers(f"{seed}\x1fhit\x1f{component}", 0)[0] | 1
        self.below = math.ceil(share / _SCALE)

    def hits(self, number: int) -> bool:
        """Say whether the call with this number is a hit."""
        return number * self.factor & WORD < self.below
