"""A plan over a large graph: every component, fault family and dose at once, where no run's calls are known one by one.

It is the propagation model seen from afar. A call is fatal to its caller with a probability that is shrunk from the call and family to the
call, its caller and the whole graph; a component fails under a dose if its threshold lies below it; harm reaches an entry point along any
chain of fatal calls, weighed by traffic: up = 1 - Π(1 - traffic · fatal · up of the caller), whose least solution is found by iteration,
so that cycles and disconnected parts do no harm. All of it is arrays: cost grows linearly in calls and candidates.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from refute.learning.propagation.kinds import Floats
from refute.learning.value import Prices

Ints = NDArray[np.int64]
_FATAL: Final = 0.6
_SHRINK: Final = (4.0, 2.0, 1.0, 0.7)
"""Weights of the prior, the graph's rate, the caller's and the call's, each in what is more special than it."""
_ROUNDS: Final = 64
_CLOSE: Final = 1e-6
_GRID: Final = 32
_SLIP: Final = 0.01
_MOST_BLAMED: Final = 100


@dataclass(frozen=True, slots=True)
class CallGraph:
    """Who calls whom.

    Attributes:
        components: how many there are.
        callers: [call] component that calls.
        callees: [call] component that is called.
        traffic: [call] share of the caller's units that make the call, in [0, 1].
        entries: components that users call.
    """

    components: int
    callers: Ints
    callees: Ints
    traffic: Floats
    entries: Ints


@dataclass(frozen=True, slots=True)
class Candidates:
    """Experiments that could be run.

    Attributes:
        components: [candidate] to be struck.
        families: [candidate] of the fault.
        doses: [candidate] magnitude, mapped to [0, 1].
    """

    components: Ints
    families: Ints
    doses: Floats


@dataclass(frozen=True, slots=True)
class Scored:
    """What candidates are worth.

    Attributes:
        bits: [candidate] expected information.
        risk: [candidate] probability of harm at an entry point.
        score: [candidate] bits/(c₀ + λ·risk).
    """

    bits: Floats
    risk: Floats
    score: Floats

    def best(self, count: int) -> Ints:
        """Return positions of the highest scores, best first."""
        count = min(count, len(self.score))
        top = np.argpartition(-self.score, count - 1)[:count] if count else np.zeros(0, dtype=np.int64)
        return top[np.argsort(-self.score[top], kind="stable")]


@dataclass(slots=True)
class GraphModel:
    """What is known of a large graph.

    Attributes:
        graph: who calls whom.
        families: how many families of faults there are; one more stands for a callee that gave up.
        seen: [call, family, 2] failed calls that their caller got over, and that were fatal to it.
        thresholds: [component, family, dose] probability that the component fails from that dose on; the last stands for never.
    """

    graph: CallGraph
    families: int
    seen: Floats = field(init=False)
    thresholds: Floats = field(init=False)
    _up: Floats = field(init=False)
    _below: Floats = field(init=False)
    _to: list[Ints] = field(init=False)

    def __post_init__(self) -> None:
        self.seen = np.zeros((len(self.graph.callers), self.families + 1, 2))
        self.thresholds = np.ones((self.graph.components, self.families, _GRID + 1))
        self._up = np.zeros(self.graph.components)
        self._below = np.cumsum(self.thresholds, axis=-1) / self.thresholds.sum(-1, keepdims=True)
        order = np.argsort(self.graph.callees, kind="stable")
        ends = np.searchsorted(self.graph.callees[order], np.arange(1, self.graph.components))
        self._to = np.split(order, ends)

    def fatal(self) -> Floats:
        """Return [call, family] probabilities that a failed call is fatal to its caller."""
        prior, graph_weight, caller_weight, call_weight = _SHRINK
        by_call = self.seen.sum(1)
        whole = by_call.sum(0)
        rate = (prior * _FATAL + whole[1]) / (prior + whole.sum())
        callers = np.stack([np.bincount(self.graph.callers, by_call[:, n], self.graph.components) for n in range(2)], axis=1)
        caller = (graph_weight * rate + callers[:, 1]) / (graph_weight + callers.sum(1))
        call = (caller_weight * caller[self.graph.callers] + by_call[:, 1]) / (caller_weight + by_call.sum(1))
        fatal: Floats = (call_weight * call[:, None] + self.seen[..., 1]) / (call_weight + self.seen.sum(-1))
        return fatal

    def harm(self, fatal: Floats) -> Floats:
        """Return [component] probabilities that the failure of a component harms an entry point.

        Args:
            fatal: [call, family] as `fatal` returns.
        """
        up = np.zeros(self.graph.components)
        up[self.graph.entries] = 1.0
        passed = self.graph.traffic * fatal[:, -1]
        for _ in range(_ROUNDS):
            then = self._joined(passed * up[self.graph.callers])
            then[self.graph.entries] = 1.0
            if float(np.abs(then - up).max(initial=0.0)) < _CLOSE:
                break
            up = then
        self._up = up
        return up

    def _joined(self, harm: Floats) -> Floats:
        """Return [component] probabilities that at least one of the calls to it passes harm on."""
        logs = np.log1p(-np.minimum(harm, 1 - 1e-12))
        return 1 - np.exp(np.bincount(self.graph.callees, logs, self.graph.components))

    def fails(self, candidates: Candidates) -> Floats:
        """Return [candidate] probabilities that the component fails."""
        place = np.ceil(candidates.doses * _GRID).astype(np.int64) - 1
        chance = self._below[candidates.components, candidates.families, np.clip(place, 0, _GRID - 1)]
        return np.where(place < 0, 0.0, chance)

    def score(self, candidates: Candidates, prices: Prices) -> Scored:
        """Return what candidates are worth.

        Args:
            candidates: experiments.
            prices: c₀ and λ.
        """
        fatal = self.fatal()
        up = self.harm(fatal)
        risk, bits = self._by_component(fatal, up)
        chance = self.fails(candidates)
        at = candidates.components, candidates.families
        harmed = chance * risk[at]
        known = _entropy(chance) * (up[candidates.components] > 0) + chance * bits[at]
        return Scored(known, harmed, known / (prices.fixed + prices.risk * harmed))

    def _by_component(self, fatal: Floats, up: Floats) -> tuple[Floats, Floats]:
        """Return [component, family] probabilities of harm and expected bits about callers, given that the component fails."""
        reached = self.graph.traffic * up[self.graph.callers]
        hanging = self._hanging(fatal)
        risk, bits = np.empty((2, self.graph.components, self.families))
        above = np.bincount(self.graph.callees, reached * _entropy(fatal[:, -1]) * hanging, self.graph.components)
        for family in range(self.families):
            own = fatal[:, family]
            risk[:, family] = self._joined(reached * own)
            told = reached * (_entropy(own) + own * above[self.graph.callers])
            bits[:, family] = np.bincount(self.graph.callees, told, self.graph.components)
        risk[self.graph.entries] = 1.0
        return risk, bits

    def _hanging(self, fatal: Floats) -> Floats:
        """Return [call] how many components' harm hangs on how the call's failure is answered: those below it, capped."""
        below = np.ones(self.graph.components)
        for _ in range(8):
            more = np.bincount(self.graph.callers, (self.graph.traffic * fatal[:, -1] * below[self.graph.callees]), self.graph.components)
            below = 1 + np.minimum(more, 100.0)
        return np.log2(1 + below[self.graph.callees])

    def observe(self, component: int, family: int, dose: float, *, failed: bool, available: bool) -> None:
        """Learn from a run.

        Args:
            component: that was struck.
            family: of the fault.
            dose: its magnitude, mapped to [0, 1].
            failed: whether calls to the component failed.
            available: whether the entry points answered.
        """
        grid = np.append((np.arange(_GRID) + 1) / _GRID <= dose + 1e-9, False)
        agrees = grid if failed else ~grid
        own = self.thresholds[component, family]
        own *= np.where(agrees, 1.0, _SLIP)
        own /= own.sum()
        self._below[component, family] = np.cumsum(own)
        if not failed:
            return
        fatal = self.fatal()
        self._blame(component, family, fatal, available=available)

    def _blame(self, component: int, family: int, fatal: Floats, *, available: bool) -> None:
        """Share what was seen among the calls that could have passed harm on, up to the entry points."""
        waiting, column, visited = [(component, 1.0)], family, set(self.graph.entries.tolist())
        for here, share in waiting:
            calls = self._to[here]
            passed = self.graph.traffic[calls] * self._up[self.graph.callers[calls]]
            if here in visited or not len(calls) or passed.max() <= 0:
                continue
            visited.add(here)
            own = fatal[calls, column]
            if available:
                guilty = own * (1 - passed) / np.maximum(1 - own * passed, 1e-9)
            else:
                guilty = own * passed / max(1 - float(np.prod(1 - own * passed)), 1e-9)
            self.seen[calls, column, 1] += share * guilty * (passed > 0)
            self.seen[calls, column, 0] += share * passed * (1 - guilty) * available
            if len(waiting) < _MOST_BLAMED:
                waiting += [
                    (int(one), share * part) for one, part in zip(self.graph.callers[calls], guilty, strict=True) if share * part > 0.1
                ]
            column = self.families


def _entropy(p: Floats) -> Floats:
    p = np.clip(p, 1e-9, 1 - 1e-9)
    return -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
