"""Lineage-driven fault injection: break everything that is known to have led to an answer.

Each run that answered shows one way to an answer: the calls that it made and that did not fail. Only faults that hit every way can cause
an outage, so the smallest hitting sets are tried first; each answer under faults adds a way. (Alvaro, Rosen, Hellerstein: Lineage-driven
Fault Injection, SIGMOD 2015, which draws its hitting sets from a solver and the lineage from a query.)
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from refute.learning.propagation.kinds import Floats
from refute.learning.propagation.learner import Learner
from refute.learning.propagation.space import Faults, Run


@dataclass(slots=True)
class Lineage:
    """Hitting sets over redundancy, smallest first, one kind of fault at a time.

    Attributes:
        rng: breaks ties.
        ways: sets of calls that led to an answer.
        fatal: sets of calls whose failure was an outage.
        tried: how often each set of calls was struck.
    """

    rng: random.Random
    ways: list[frozenset[str]] = field(default_factory=list)
    fatal: set[frozenset[str]] = field(default_factory=set)
    tried: Counter[frozenset[str]] = field(default_factory=Counter)

    def scores(self, learner: Learner, pool: Sequence[Faults]) -> Floats:
        """Return scores in three tiers: small hitting sets nobody tried, sets tried least often, supersets of known outages."""
        if not self.ways:
            self.ways.append(frozenset(learner.calls))
        return np.array([self._score(frozenset(fault.call for fault in faults)) for faults in pool])

    def _score(self, struck: frozenset[str]) -> float:
        hits = all(struck & way for way in self.ways)
        known = any(fatal < struck for fatal in self.fatal)
        tier = 3.0 * hits - 2.0 * known - 1.0 * min(4, self.tried[struck]) - 0.5 * (len(struck) - 1)
        return tier + 1e-3 * self.rng.random()

    def told(self, run: Run) -> None:
        """Add a way to an answer, or an outage."""
        struck = frozenset(fault.call for fault in run.faults)
        self.tried[struck] += 1
        if run.available:
            self.ways.append(frozenset(run.calls) - struck)
        elif struck:
            self.fatal.add(struck)
