"""A plain factorised learner: each call and kind survives or does not, and a pair survives if both do.

It knows nothing of what calls what. The propagation model has to beat it; where that fails, it is what predictions lean on (`trust`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from refute.learning.propagation.kinds import Floats
from refute.learning.propagation.space import Fault, Faults, Run

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
        """Learn from a run."""
        if not run.faults:
            return
        for fault, said in self._said(run.faults, available=run.available):
            self.whole += said
            self.calls[fault.call] += said
            self.kinds[fault] += said
        self.pairs[_pair(run.faults)] += np.array([float(run.available), 1.0])

    def supposing(self, sets: Sequence[Faults], seen: Sequence[tuple[Faults, bool]]) -> Floats:
        """Return the forecasts that single runs would leave.

        Args:
            sets: of faults to forecast.
            seen: by run: its faults, and whether the entry point answered.

        Returns:
            [run, set] probabilities that the entry point answers.
        """
        faults = {fault: n for n, fault in enumerate(dict.fromkeys(one for group in (*sets, *(run for run, _ in seen)) for one in group))}
        calls = {call: n for n, call in enumerate(dict.fromkeys(fault.call for fault in faults))}
        pairs = {pair: n for n, pair in enumerate(dict.fromkeys(_pair(group) for group in (*sets, *(run for run, _ in seen))))}
        whole, by_call = np.tile(self.whole, (len(seen), 1)), _rows(self.calls, calls, len(seen))
        by_kind, by_pair = _rows(self.kinds, faults, len(seen)), _rows(self.pairs, pairs, len(seen))
        for row, (run, available) in enumerate(seen):
            for fault, said in self._said(run, available=available):
                whole[row] += said
                by_call[row, calls[fault.call]] += said
                by_kind[row, faults[fault]] += said
            by_pair[row, pairs[_pair(run)]] += (float(available), 1.0)
        base = ((_APPLICATION * _BASE + whole[:, 0]) / (_APPLICATION + whole[:, 1]))[:, None]
        own = ((_CALL * base + by_call[..., 0]) / (_CALL + by_call[..., 1]))[:, [calls[fault.call] for fault in faults]]
        survival = np.append((_KIND * own + by_kind[..., 0]) / (_KIND + by_kind[..., 1]), np.ones((len(seen), 1)), axis=1)
        width = max(map(len, sets), default=0)
        at = np.array([[*(faults[fault] for fault in group), *[-1] * (width - len(group))] for group in sets], dtype=int)
        several = np.array([len(group) > 1 for group in sets])
        pair = by_pair[:, [pairs[_pair(group)] for group in sets]] * several[:, None]
        found: Floats = (_PAIR * survival[:, at].prod(-1) + pair[..., 0]) / (_PAIR + pair[..., 1])
        return found

    def _said(self, faults: Faults, *, available: bool) -> list[tuple[Fault, Floats]]:
        """Return what a run says of each fault: survived and seen; two share the blame by how likely each was to fail."""
        failing = np.array([1 - self.survival(*fault) for fault in faults])
        blame = np.zeros(len(failing)) if available else failing / max(1 - float(np.prod(1 - failing)), 1e-9)
        return [(fault, np.array([1 - share, 1.0])) for fault, share in zip(faults, blame, strict=True)]


def _pair(faults: Faults) -> tuple[str, ...]:
    return tuple(fault.call for fault in faults)


def _rows(counts: Mapping[Any, Floats], names: Mapping[Any, int], rows: int) -> Floats:
    """Return [row, name, 2] counts, each row a copy."""
    found = np.array([counts.get(name, np.zeros(2)) for name in names]).reshape(-1, 2)
    return np.repeat(found[None], rows, axis=0)
