"""A plain factorised learner: each call and kind survives or does not, and a pair survives if both do.

It knows nothing of what calls what. The propagation model has to beat it; where that fails, it is what predictions lean on (`trust`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from refute.learning.propagation.kinds import Floats
from refute.learning.propagation.space import Faults, Run

_BASE: Final = 0.4
_APPLICATION: Final = 2.0
_CALL: Final = 0.6
_KIND: Final = 0.4
_PAIR: Final = 1.0


def _counts() -> defaultdict[Hashable, Floats]:
    return defaultdict(lambda: np.zeros(2))


@dataclass(slots=True)
class PlainLearner:
    """Survival by call and kind, shrunk towards the call, and the call towards the application.

    Attributes:
        whole: survived and seen, over all calls.
        calls: the same by call.
        kinds: the same by call and kind.
        pairs: the same by pair of calls.
    """

    whole: Floats = field(default_factory=lambda: np.zeros(2))
    calls: defaultdict[Hashable, Floats] = field(default_factory=_counts)
    kinds: defaultdict[Hashable, Floats] = field(default_factory=_counts)
    pairs: defaultdict[Hashable, Floats] = field(default_factory=_counts)

    def survival(self, call: str, kind: str) -> float:
        """Return the probability that the entry point answers when one call fails."""
        base = (_APPLICATION * _BASE + self.whole[0]) / (_APPLICATION + self.whole[1])
        survived, seen = self.calls.get(call, (0.0, 0.0))
        own = (_CALL * base + survived) / (_CALL + seen)
        survived, seen = self.kinds.get((call, kind), (0.0, 0.0))
        return float((_KIND * own + survived) / (_KIND + seen))

    def forecast(self, sets: Sequence[Faults]) -> Floats:
        """Return [set] probabilities that the entry point answers."""
        known: dict[tuple[str, str], float] = {}
        found = np.empty(len(sets))
        for position, faults in enumerate(sets):
            both = 1.0
            for fault in faults:
                if fault not in known:
                    known[fault] = self.survival(*fault)
                both *= known[fault]
            pair = tuple(fault.call for fault in faults)
            if len(faults) > 1 and pair in self.pairs:
                survived, seen = self.pairs[pair].tolist()
                both = (_PAIR * both + survived) / (_PAIR + seen)
            found[position] = both
        return found

    def observe(self, run: Run) -> None:
        """Learn from a run; two that fail together share the blame by how likely each was to fail."""
        if not run.faults:
            return
        failing = np.array([1 - self.survival(*fault) for fault in run.faults])
        blame = np.zeros(len(failing)) if run.available else failing / max(1 - float(np.prod(1 - failing)), 1e-9)
        for fault, share in zip(run.faults, blame, strict=True):
            said = np.array([1 - share, 1.0])
            self.whole += said
            self.calls[fault.call] += said
            self.kinds[fault.call, fault.kind] += said
        self.pairs[tuple(fault.call for fault in run.faults)] += np.array([float(run.available), 1.0])
