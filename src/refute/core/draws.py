"""Reproducible draws: which unit is in which cohort, and which call is hit."""

from __future__ import annotations

from hashlib import blake2b

_SCALE = 2.0**-64


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
