"""Kinds of faults that callers tend to treat alike, as a prior over partitions of the kinds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

UPSTREAM_KIND: Final = "upstream"
"""How a call fails whose callee gave up: with a status, most often."""

_BETWEEN_FAMILIES: Final = 0.70
_ALL_FAMILIES: Final = 0.13
_WITHIN_FAMILY: Final = 0.14
_ALL_APART: Final = 0.03


def family(kind: str) -> str:
    """Return the family of a kind: an error status, a time-out, a refused connection, or a family of its own."""
    if kind == UPSTREAM_KIND or (kind.isdigit() and len(kind) == 3):
        return "status"
    return {"CE": "connection", "TO": "timeout"}.get(kind, kind)


@dataclass(frozen=True, slots=True)
class Partitions:
    """Ways in which a caller may tell kinds apart.

    Within a block of a partition the response is the same; across blocks it is drawn anew.

    Attributes:
        blocks: [block, kind] whether the kind is in it; each distinct block once.
        members: [partition, block] whether the partition has it; the first partition has one block with all kinds.
        weights: [partition - 1] prior of the others, given that kinds are told apart; sums to 1.
        together: [partition, kind, kind] whether both are in one block.
    """

    blocks: Floats
    members: Floats
    weights: Floats
    together: Floats


def partitions(kinds: Sequence[str]) -> Partitions:
    """Return the partitions that are thought of: by family, by one family, by one kind, and all kinds apart.

    Args:
        kinds: distinct names.
    """
    every = frozenset(kinds)
    families: dict[str, set[str]] = {}
    for kind in kinds:
        families.setdefault(family(kind), set()).add(kind)
    groups = [frozenset(group) for group in families.values()]
    within = [frozenset({kind}) for group in groups if len(group) > 1 for kind in sorted(group)]
    weighted = [(frozenset({group, every - group}), _BETWEEN_FAMILIES / len(groups)) for group in groups]
    weighted += [(frozenset(groups), _ALL_FAMILIES)]
    weighted += [(frozenset({one, every - one}), _WITHIN_FAMILY / len(within)) for one in within]
    weighted += [(frozenset(frozenset({kind}) for kind in kinds), _ALL_APART)]
    prior: dict[frozenset[frozenset[str]], float] = {}
    for partition, weight in weighted:
        if len(partition - {frozenset()}) > 1:
            prior[partition - {frozenset()}] = prior.get(partition - {frozenset()}, 0.0) + weight
    return _arrays(kinds, [frozenset({every}), *prior], list(prior.values()))


def _arrays(kinds: Sequence[str], found: list[frozenset[frozenset[str]]], weights: list[float]) -> Partitions:
    distinct = sorted({block for partition in found for block in partition}, key=sorted)
    blocks = np.array([[kind in block for kind in kinds] for block in distinct], dtype=float)
    members = np.array([[block in partition for block in distinct] for partition in found], dtype=float)
    together = np.einsum("pb,bk,bl->pkl", members, blocks, blocks)
    share = np.array(weights) / (sum(weights) or 1.0)
    return Partitions(blocks, members, share, together)
