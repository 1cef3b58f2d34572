"""What courses of events leave open: pairs that interact, and how an answer suffers."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from refute.learning.propagation.kinds import Floats
from refute.learning.propagation.space import Run
from refute.learning.propagation.weighing import Weighing

_FATAL: Final = 0.04
_RESCUED: Final = 0.01
_WEIGHT: Final = 6.0
_SLIP: Final = 0.01
_NONE: Final = np.array([1.0, 0.0, 0.0])


@dataclass(slots=True)
class Interactions:
    """Whether two faults together do what neither does.

    Each pair of calls either follows its courses, is fatal although both failures are tolerated (what they fall back on is shared, or one
    of both must work), or is fine although it should not be. The rates of both are learned from all pairs of the application.

    Attributes:
        seen: by pair of calls: how likely what was seen is under each of the three, in that order.
    """

    seen: dict[tuple[str, ...], Floats] = field(default_factory=dict)
    _rates: Floats | None = None

    def odds(self, calls: tuple[str, ...]) -> Floats:
        """Return probabilities of (follows its courses, is fatal, is fine) for one pair; (1, 0, 0) for single faults."""
        if len(calls) < 2:
            return _NONE
        prior = self._prior()
        if calls not in self.seen:
            return prior
        weights = prior * self.seen[calls]
        return weights / weights.sum()

    def odds_of(self, sets: Weighing) -> Floats:
        """Return [3, set] the same for many."""
        return np.array([self.odds(calls) for calls in sets.struck]).T[:, sets.of_struck]

    def agree(self, calls: tuple[str, ...], available: bool) -> tuple[float, float]:
        """Return the likelihoods of an outcome where the courses say that the entry point answers, and where they say that it does not."""
        follows, fatal, fine = self.odds(calls)
        answers = (follows + fine) * (1 - _SLIP) + fatal * _SLIP, fine * (1 - _SLIP) + (follows + fatal) * _SLIP
        return answers if available else (1 - answers[0], 1 - answers[1])

    def see(self, calls: tuple[str, ...], expected: float, available: bool) -> None:
        """Learn from a pair.

        Args:
            calls: ids.
            expected: probability that the entry point answers if the pair follows its courses.
            available: whether it did.
        """
        if len(calls) < 2:
            return
        answers = np.array([(1 - 2 * _SLIP) * expected + _SLIP, _SLIP, 1 - _SLIP])
        self.seen[calls] = self.seen.get(calls, np.ones(3)) * (answers if available else 1 - answers)
        self.seen[calls] /= self.seen[calls].max()
        self._rates = None

    def _prior(self) -> Floats:
        if self._rates is None:
            found = np.array([_FATAL, _RESCUED]) * _WEIGHT
            for likelihood in self.seen.values():
                weights = np.array([1 - _FATAL - _RESCUED, _FATAL, _RESCUED]) * likelihood
                found += weights[1:] / weights.sum()
            fatal, rescued = np.minimum(0.45, found / (_WEIGHT + len(self.seen)))
            self._rates = np.array([1 - fatal - rescued, fatal, rescued])
        return self._rates


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
