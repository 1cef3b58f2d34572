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
_RESCUED: Final = 0.005
_WEIGHT: Final = 6.0
_SLIP: Final = 0.004
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

    def agree(self, calls: tuple[str, ...], available: bool) -> Floats:
        """Return the likelihoods of an outcome.

        Returns:
            [3] where the courses say that the entry point does not answer, that it does, and that it does because each fault is got
            over in its own place.
        """
        _, fatal, fine = self.odds(calls)
        answers = (1 - 2 * _SLIP) * np.array([fine, 1.0, 1 - fatal]) + _SLIP
        return answers if available else 1 - answers

    def say(self, answers: float, apart: float, available: bool) -> Floats:
        """Return [3] what a pair's run says about following its courses, being fatal and being fine.

        Args:
            answers: probability that the entry point answers if the pair follows its courses.
            apart: probability that it does so because each fault is got over in its own place.
            available: whether it did.
        """
        chance = (1 - 2 * _SLIP) * np.array([answers, answers - apart, 1.0]) + _SLIP
        said = chance if available else 1 - chance
        return said / said.max()

    def replace(self, calls: tuple[str, ...], old: Floats, new: Floats) -> None:
        """Take back what a run said about a pair, and say something else."""
        if len(calls) > 1:
            self.seen[calls] = self.seen.get(calls, np.ones(3)) * new / old
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
