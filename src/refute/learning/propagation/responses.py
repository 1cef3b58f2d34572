"""How handlers respond to failed calls: a hierarchical posterior over slots x kinds x responses.

Each slot draws a response for each block of a partition of the kinds (`kinds`); the tolerance rate of a slot comes from its application
and its caller, the rate at which kinds are told apart from its application; several slots of one site share their responses or do not;
the calls of one caller run side by side or do not. Given the rates slots are independent, so that rates are summed out on a grid and
everything else in closed form: the only approximation is that evidence enters as one factor a slot and kind (`evidence`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from refute.learning.propagation.courses import RESPONSES, SETS
from refute.learning.propagation.kinds import Floats, Partitions
from refute.learning.propagation.structure import Slot, Structure

_TOLERANCE: Final = np.array([0.08, 0.22, 0.42, 0.65, 0.88])
_TOLERANCE_PRIOR: Final = np.array([0.2, 0.27, 0.26, 0.18, 0.09])
_EXHAUSTED: Final = np.array([0.04, 0.15, 0.35, 0.65])
_EXHAUSTED_PRIOR: Final = np.array([0.3, 0.35, 0.25, 0.1])
_SELECTIVE: Final = np.array([0.04, 0.2, 0.5])
_SELECTIVE_PRIOR: Final = np.array([0.5, 0.32, 0.18])
_CALLER_SHIFT: Final = np.array([-1.4, 0.0, 1.4])
_CALLER_PRIOR: Final = np.array([0.2, 0.6, 0.2])
_SAME_SITE: Final = 0.7
_LATE: Final = np.array([0.02, 0.95])
_LATE_PRIOR: Final = np.array([0.87, 0.13])
_TOLERANT_MODES: Final = np.array([0.55, 0.1, 0.35])
_FLOOR: Final = -30.0
SET_MEMBERS: Final = np.array([[response in members for response in range(RESPONSES)] for members in SETS], dtype=float)

_SHIFTED: Final = 1.0 / (1.0 + np.exp(-(np.log(_TOLERANCE / (1 - _TOLERANCE))[:, None] + _CALLER_SHIFT)))
_STYLES: Final = np.outer(_CALLER_PRIOR, _LATE_PRIOR).ravel()
_FIRST: Final = _SHIFTED.size * len(_LATE)


def _draws() -> Floats:
    """Return [rate, response]: first attempts (application's tolerance x caller's x whether calls run side by side), then later ones."""
    rates = np.concatenate([np.repeat(_SHIFTED.ravel(), len(_LATE)), _EXHAUSTED])[:, None]
    late = np.concatenate([np.tile(_LATE, _SHIFTED.size), np.full(len(_EXHAUSTED), _LATE @ _LATE_PRIOR)])[:, None]
    return np.concatenate([(1 - rates) * (1 - late), (1 - rates) * late, rates * _TOLERANT_MODES], axis=1)


_DRAWS: Final = _draws()


@dataclass(frozen=True, slots=True)
class Table:
    """The posterior, in the form that courses are weighed with.

    Attributes:
        responses: [slot, kind, response] marginal probabilities.
        sets: [slot, kind, set] probabilities of `SETS`.
        same: [slot, kind, kind] probability that both kinds are answered by one draw.
    """

    responses: Floats
    sets: Floats
    same: Floats


@dataclass(slots=True)
class Responses:
    """Evidence about slots, and the posterior that follows from it.

    Attributes:
        partitions: of the kinds.
        slots: position by slot.
        evidence: [slot, kind, response] log-likelihood of the response, up to a constant.
    """

    partitions: Partitions
    slots: dict[Slot, int]
    evidence: Floats
    _later: Floats
    _callers: list[int]
    _groups: list[list[int]]
    _weights: Floats | None = None

    def table(self) -> Table:
        """Return the posterior under all evidence, with the rates summed out."""
        pooled = [group for group in self._groups if len(group) > 1]
        evidence = np.concatenate([self.evidence, *(self.evidence[group].sum(0, keepdims=True) for group in pooled)])
        parts = _parts(evidence, self.partitions)
        log_z = np.log(parts.total)
        weights, pool_share = self._rates(log_z, pooled)
        self._weights = weights
        own = weights.copy()
        extra = np.zeros((len(pooled), *weights.shape[1:]))
        for position, group in enumerate(pooled):
            extra[position] = weights[group[0]] * pool_share[position]
            own[group] *= 1 - pool_share[position]
        marginals, same = _marginals(parts, np.concatenate([own, extra]), self.partitions)
        for position, group in enumerate(pooled):
            marginals[group] += marginals[len(self.slots) + position]
            same[group] += same[len(self.slots) + position]
        return _table(marginals[: len(self.slots)], same[: len(self.slots)])

    def tables_with(self, slots: Sequence[int], evidence: Floats) -> Table:
        """Return what single slots would look like under other evidence, with the rates as they are now.

        Args:
            slots: [row] positions.
            evidence: [row, kind, response] in place of each slot's own.
        """
        if self._weights is None:
            self.table()
        assert self._weights is not None
        parts = _parts(evidence, self.partitions)
        old = _parts(self.evidence[list(slots)], self.partitions)
        weights = self._weights[list(slots)] * parts.total / old.total
        weights /= weights.sum((1, 2), keepdims=True)
        return _table(*_marginals(parts, weights, self.partitions))

    def _rates(self, log_z: Floats, pooled: list[list[int]]) -> tuple[Floats, Floats]:
        """Return [slot, rate, selective] posterior weights of the rates, and [pool, rate, selective] how far its slots act as one."""
        count = len(self.slots)
        share = np.zeros((len(pooled), *log_z.shape[1:]))
        callers = max(self._callers, default=-1) + 1
        by_caller = np.zeros((callers, _FIRST, len(_SELECTIVE)))
        later = np.zeros((len(_EXHAUSTED), len(_SELECTIVE)))
        in_pool = {slot for group in pooled for slot in group}
        for slot in range(count):
            if self._later[slot]:
                later += log_z[slot, _FIRST:]
            elif slot not in in_pool:
                by_caller[self._callers[slot]] += log_z[slot, :_FIRST]
        for position, group in enumerate(pooled):
            one, many = np.log(_SAME_SITE) + log_z[count + position], np.log(1 - _SAME_SITE) + log_z[group].sum(0)
            both = np.logaddexp(one, many)
            share[position] = np.exp(one - both)
            by_caller[self._callers[group[0]]] += both[:_FIRST]
        return self._normalised(by_caller, later), share

    def _normalised(self, by_caller: Floats, later: Floats) -> Floats:
        shape = (len(_TOLERANCE), len(_STYLES), len(_SELECTIVE))
        shifts = by_caller.reshape(-1, *shape) + np.log(_STYLES)[None, None, :, None]
        callers = np.logaddexp.reduce(shifts, axis=2)  # [caller, tolerance, selective]
        exhausted = np.log(_EXHAUSTED_PRIOR)[:, None] + later
        base = np.log(_TOLERANCE_PRIOR)[:, None] + np.log(_SELECTIVE_PRIOR) + callers.sum(0)
        joint = base + np.logaddexp.reduce(exhausted, axis=0)
        within = np.exp(shifts - callers[:, :, None, :])
        app = np.exp(joint - np.logaddexp.reduce(joint, axis=None))  # [tolerance, selective]
        first = (app[None, :, None, :] * within).reshape(len(within), _FIRST, len(_SELECTIVE))
        second = exhausted - np.logaddexp.reduce(exhausted, axis=0) + np.log(app.sum(0))
        weights = np.zeros((len(self.slots), len(_DRAWS), len(_SELECTIVE)))
        for slot, caller in enumerate(self._callers):
            if self._later[slot]:
                weights[slot, _FIRST:] = np.exp(second)
            else:
                weights[slot, :_FIRST] = first[caller]
        return weights


@dataclass(frozen=True, slots=True)
class _Parts:
    """Marginal likelihoods.

    Attributes:
        drawn: [slot, rate, block, response] posterior of a block's response.
        ways: [slot, rate, partition] likelihood of a partition.
        total: [slot, rate, selective] likelihood.
    """

    drawn: Floats
    ways: Floats
    total: Floats


def _priors(ways: Partitions) -> Floats:
    """Return [selective, partition] prior weights."""
    return np.concatenate([1 - _SELECTIVE[:, None], _SELECTIVE[:, None] * ways.weights], axis=1)


def _parts(evidence: Floats, ways: Partitions) -> _Parts:
    in_block = np.exp(np.maximum(np.einsum("lkr,bk->lbr", evidence, ways.blocks), 8 * _FLOOR))
    joint = in_block[:, None] * _DRAWS[None, :, None, :]
    block = joint.sum(-1)
    by_way = np.exp(np.einsum("ltb,pb->ltp", np.log(block), ways.members))
    return _Parts(joint / block[..., None], by_way, by_way @ _priors(ways).T)


def _marginals(parts: _Parts, weights: Floats, ways: Partitions) -> tuple[Floats, Floats]:
    """Return [slot, kind, response] and [slot, kind, kind], weighted with [slot, rate, selective]."""
    by_way = np.einsum("lts,sp->ltp", weights / parts.total, _priors(ways)) * parts.ways
    by_block = by_way @ ways.members
    responses = np.einsum("ltb,ltbr->lbr", by_block, parts.drawn)
    return np.einsum("lbr,bk->lkr", responses, ways.blocks), np.einsum("lp,pkm->lkm", by_way.sum(1), ways.together)


def _table(marginals: Floats, same: Floats) -> Table:
    marginals = marginals / marginals.sum(-1, keepdims=True)
    return Table(marginals, marginals @ SET_MEMBERS.T, same)


def add_evidence(evidence: Floats, message: Floats) -> None:
    """Add a [kind, response] log-message to a slot's evidence in place, kept within what a float can hold."""
    evidence += message
    evidence -= evidence.max(-1, keepdims=True)
    np.maximum(evidence, _FLOOR, out=evidence)


def responses_of(structure: Structure, slots: Sequence[Slot], ways: Partitions) -> Responses:
    """Return responses of which nothing is known yet.

    Args:
        structure: tells the sites of the slots.
        slots: all that a course may suppose something about.
        ways: partitions of the kinds.
    """
    sites = [structure.site_of(slot) for slot in slots]
    names: dict[str, int] = {}
    groups: dict[object, list[int]] = {}
    callers = [names.setdefault(slot.handler.site.callee, len(names)) for slot in slots]
    for position, (slot, site) in enumerate(zip(slots, sites, strict=True)):
        if slot.attempt == 1 and site is not None:
            groups.setdefault(site, []).append(position)
    evidence = np.zeros((len(slots), ways.blocks.shape[1], RESPONSES))
    later = np.array([float(slot.attempt > 1) for slot in slots])
    return Responses(ways, {slot: n for n, slot in enumerate(slots)}, evidence, later, callers, list(groups.values()))
