"""What courses of events leave open: pairs that interact, and how an answer suffers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from refute.learning.propagation.kinds import Floats
from refute.learning.propagation.space import Run
from refute.learning.propagation.weighing import Places

_BESIDE: Final = 0.08
_ELSEWHERE: Final = 0.03
_WEIGHT: Final = 8.0


@dataclass(slots=True)
class Interactions:
    """Whether failures that are each got over are fatal together: what they fall back on is shared, or one of both must work.

    They interact by the places where they are got over, so that all faults whose harm ends there do. Two calls of one handler do so more
    often than others; both rates are learned from all pairs of the application.

    Attributes:
        seen: by pair of places: how likely what was seen is if they do not interact, and if they do.
    """

    seen: dict[Places, Floats] = field(default_factory=dict)
    _rates: tuple[float, float] | None = None

    def fatal(self, places: Sequence[Places]) -> Floats:
        """Return [pair] probabilities of being fatal together."""
        return np.array([self._fatal(one) for one in places])

    def replace(self, places: Places, old: Floats, new: Floats) -> None:
        """Take back what a run said about a pair of places, and say something else."""
        self.seen[places] = self.seen.get(places, np.ones(2)) * new / old
        self._rates = None

    def _fatal(self, places: Places) -> float:
        if self._rates is None:
            self._rates = self._learned(_BESIDE, beside=True), self._learned(_ELSEWHERE, beside=False)
        return _posterior(self._rates[not _beside(places)], self.seen.get(places))

    def _learned(self, rate: float, *, beside: bool) -> float:
        found = [_posterior(rate, said) for places, said in self.seen.items() if _beside(places) == beside]
        return min(0.5, (rate * _WEIGHT + sum(found)) / (_WEIGHT + len(found)))


def _beside(places: Places) -> bool:
    return places[0].handler == places[1].handler


def _posterior(rate: float, said: Floats | None) -> float:
    return rate if said is None else float(rate * said[1] / (rate * said[1] + (1 - rate) * said[0]))


@dataclass(slots=True)
class Degradation:
    """How often an answer is poorer when the failure of a call is survived.

    Attributes:
        counts: by call: runs that answered, and those of them that were degraded.
    """

    counts: dict[str, list[float]] = field(default_factory=lambda: defaultdict(lambda: [0.0, 0.0]))

    def see(self, run: Run) -> None:
        """Learn from a run that answered; of several faults each gets its share of the blame."""
        if not run.available or not run.faults:
            return
        share = 1.0 / len(run.faults)
        for fault in run.faults:
            self.counts[fault.call][0] += share
            self.counts[fault.call][1] += share * run.degraded

    def rate(self, calls: tuple[str, ...]) -> float:
        """Return the probability that an answer is degraded under failures of these calls, given that there is one."""
        answered = sum(count[0] for count in self.counts.values())
        base = (0.6 + sum(count[1] for count in self.counts.values())) / (2.0 + answered)
        spared = 1.0
        for call in calls:
            seen, poorer = self.counts.get(call, (0.0, 0.0))
            spared *= 1 - (0.7 * base + poorer) / (0.7 + seen)
        return 1 - spared
