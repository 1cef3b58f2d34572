"""Ask and tell: which experiments next, and what came of them."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from refute.learning.planner.choosers import Chooser, best
from refute.learning.propagation.kinds import Floats
from refute.learning.propagation.learner import Learner
from refute.learning.propagation.space import Call, Faults, Run
from refute.learning.stopping import StoppingRule, Unseen, unseen

BLOCK: Final = 20
_SHARED: Final = 0.5
_LOOKED_AT: Final = 400
"""Of so many candidates the stopping rule asks how uncertain they are; of more, of evenly spaced ones."""


@dataclass(frozen=True, slots=True)
class Choice:
    """An experiment to run.

    Attributes:
        faults: to inject.
        propensity: probability with which it was chosen among the candidates.
        random: whether it was drawn at random.
    """

    faults: Faults
    propensity: float
    random: bool


@dataclass(slots=True)
class Planner:
    """Chooses by a rule, and one run in every block of twenty at random, at a random place of the block.

    Attributes:
        learner: that it asks and teaches.
        chooser: the rule.
        rng: places the random runs and draws them.
        audit: whether there are random runs.
        behaviours: what each run did.
    """

    learner: Learner
    chooser: Chooser
    rng: random.Random
    audit: bool = True
    behaviours: list[tuple[object, ...]] = field(default_factory=list)
    _asked: int = 0
    _random_at: int = 0
    _drawn: set[Faults] = field(default_factory=set)

    def ask(self, pool: Sequence[Faults], count: int = 1) -> list[Choice]:
        """Return the next experiments, different from one another.

        Args:
            pool: candidates, on known calls.
            count: how many, at most.
        """
        left = [faults for faults in pool if all(fault.call in self.learner.calls for fault in faults)]
        if not left:
            return []
        scores = self.chooser.scores(self.learner, left)
        chosen: list[Choice] = []
        while left and len(chosen) < count:
            choice = self._choose(left, scores)
            position = left.index(choice.faults)
            scores = np.delete(scores, position)
            left = [*left[:position], *left[position + 1 :]]
            scores = _apart(scores, left, choice.faults)
            chosen.append(choice)
        return chosen

    def _choose(self, pool: Sequence[Faults], scores: Floats) -> Choice:
        top = best(scores, self.rng)
        if self._asked % BLOCK == 0:
            self._random_at = self._asked + self.rng.randrange(BLOCK)
        drawn = self.audit and self._asked == self._random_at
        self._asked += 1
        position = self.rng.randrange(len(pool)) if drawn else top
        share = 1 / BLOCK if self.audit else 0.0
        if drawn:
            self._drawn.add(pool[position])
        return Choice(pool[position], share / len(pool) + (1 - share) * (position == top), drawn)

    def tell(self, run: Run, calls: Mapping[str, Call]) -> None:
        """Learn from a run.

        Args:
            run: with the faults that landed.
            calls: at least those that it made, by id.
        """
        self.learner.observe(run, calls, random=run.faults in self._drawn)
        self.chooser.told(run)
        self.behaviours.append((run.available, run.degraded, frozenset(run.calls)))

    def unseen(self) -> Unseen:
        """Estimate what has not been seen."""
        return unseen(self.behaviours)

    def may_stop(self, pool: Sequence[Faults], rule: StoppingRule | None = None) -> bool:
        """Say whether what is left to run is not worth running.

        Args:
            pool: candidates that are left.
            rule: what is little enough.
        """
        left = [faults for faults in pool if all(fault.call in self.learner.calls for fault in faults)]
        if not left:
            return True
        p = self.learner.available(left[:: math.ceil(len(left) / _LOOKED_AT)])
        bits = float(np.mean(-p * np.log2(p) - (1 - p) * np.log2(1 - p)))
        return (rule or StoppingRule()).reached(bits, self.unseen())


def _apart(scores: Floats, pool: Sequence[Faults], chosen: Faults) -> Floats:
    """Lower the scores of what would teach the same as an experiment that is already chosen: half for the calls that both strike."""
    struck = {fault.call for fault in chosen}
    overlap = np.array([len(struck & {fault.call for fault in faults}) / len(struck | {fault.call for fault in faults}) for faults in pool])
    lowest = scores.min() if len(scores) else 0.0
    return (scores - lowest) * (1 - (1 - _SHARED) * overlap) + lowest
