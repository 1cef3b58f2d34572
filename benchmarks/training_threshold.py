"""How many training runs it takes to find how much label noise costs two points of accuracy: Refute's search beside a grid and bisection.

The world is real: a ridge classifier on the handwritten digits that scikit-learn ships, struck by `data.label_noise`, and compared with
the run of the same seed without it. "Costs two points" is a claim about the median pair. The truth is the median over many more pairs.
Grid and bisection decide each dose by the same test as a verdict. Run it with the Python of `make torch`.
"""

from __future__ import annotations

import random
import statistics
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from refute.faults.catalogue import find
from refute.learning import CAREFUL, Prices, Threshold
from refute.stats import RatioTest
from refute.wire.exchange import PythonCall

FAULT = find("data.label_noise")
LEVELS, WORTH, REPEATS, TRUTH_PAIRS, MOST = 32, 0.02, 30, 200, 30
NARROW = 4  # levels: when a bracket or an interval is as narrow as that, the search ends
DIGITS = Path(find_spec("sklearn").submodule_search_locations[0]) / "datasets/data/digits.csv.gz"
ROWS = np.loadtxt(DIGITS, delimiter=",")


def main() -> None:
    """Print the truth, and for each way how many pairs it took and how far from the truth it ended."""
    truth = _truth()
    noise = FAULT.magnitude.at(truth / LEVELS)
    print(f"truth: the median pair loses {WORTH:.0%} from {noise:.3g} % of wrong labels on (level {truth:.1f} of {LEVELS})")
    ways = {"refute, careful": _careful, "refute, free": _free, "bisection": _bisection, "grid": _grid}
    for name, find_level in ways.items():
        found = [find_level(Pairs(10_000 * (1 + repeat))) for repeat in range(REPEATS)]
        pairs, off = [pairs for _, pairs in found], [abs(level - truth) for level, _ in found]
        low, high = np.quantile(pairs, [0.1, 0.9])
        print(
            f"{name:<16} {statistics.mean(pairs):5.1f} pairs of runs ({low:.0f} to {high:.0f} in eight searches of ten), "
            f"off by {statistics.mean(off):.2f} levels on average, {max(off):.1f} at most"
        )


class Pairs:
    """Pairs of runs, one seed after the other.

    Args:
        first: seed.
    """

    def __init__(self, first: int) -> None:
        """Train nothing yet."""
        self._next = first
        self.count = 0

    def breaches(self, level: float) -> bool:
        """Train another pair at a level of noise; say whether it lost too much."""
        self._next, self.count = self._next + 1, self.count + 1
        return _lost(level, self._next) > WORTH


def _lost(level: float, seed: int) -> float:
    return _accuracy(None, seed) - _accuracy(level, seed)


@lru_cache(maxsize=100_000)
def _accuracy(level: float | None, seed: int) -> float:
    order = np.random.default_rng(seed).permutation(len(ROWS))
    train, fresh = ROWS[order[600:]], ROWS[order[:600]]
    features, labels = train[:, :64] / 16, train[:, 64].astype(int)
    if level is not None:
        strike = FAULT.strike_python(PythonCall("data:load"), FAULT.magnitude.at(level / LEVELS), random.Random(seed))
        features, labels = strike.rewrite((features, labels))
    inputs = np.column_stack([features, np.ones(len(features))])
    weights = np.linalg.solve(inputs.T @ inputs + np.eye(65), inputs.T @ np.eye(10)[labels])
    guessed = np.column_stack([fresh[:, :64] / 16, np.ones(len(fresh))]) @ weights
    return float((guessed.argmax(1) == fresh[:, 64]).mean())


def _truth() -> float:
    shares = [np.mean([_lost(level, seed) > WORTH for seed in range(TRUTH_PAIRS)]) for level in range(LEVELS + 1)]
    above = next(level for level, share in enumerate(shares) if share > 0.5)
    return above - (shares[above] - 0.5) / max(1e-9, shares[above] - shares[above - 1])


def _careful(pairs: Pairs) -> tuple[float, int]:
    """Search as where a dose that is too large does harm."""
    return _search(pairs, CAREFUL)


def _free(pairs: Pairs) -> tuple[float, int]:
    """Search as where it does none."""
    return _search(pairs, Prices(fixed=1.0, risk=0.0))


def _search(pairs: Pairs, prices: Prices) -> tuple[float, int]:
    known = Threshold.believed(0.5)
    while True:
        found = known.interval()
        if pairs.count and (min(found.high, 1.0) - found.low) * LEVELS <= NARROW:
            return found.middle * LEVELS, pairs.count
        dose = known.ask(1, prices)
        known = known.tell(dose, float(pairs.breaches(dose * LEVELS)), 1)


def _decided(pairs: Pairs, level: float) -> bool:
    """Say whether a level costs too much: pairs until the test decides; where it does not in so many, what most of them say."""
    watch, test, seen = RatioTest(0.5, 0.05).watch(), RatioTest(0.5, 0.05), []
    for place in range(MOST):
        seen.append(pairs.breaches(level))
        watch.see(place, float(seen[-1]))
        if watch.evidence.log_hold >= test.threshold:
            return False
        if watch.evidence.log_refute >= test.threshold:
            return True
    return sum(seen) * 2 > len(seen)


def _bisection(pairs: Pairs) -> tuple[float, int]:
    low, high = 0.0, float(LEVELS)
    while high - low > NARROW:
        middle = (low + high) / 2
        low, high = (low, middle) if _decided(pairs, middle) else (middle, high)
    return (low + high) / 2, pairs.count


def _grid(pairs: Pairs) -> tuple[float, int]:
    levels = range(NARROW, LEVELS + 1, NARROW)
    costly = [_decided(pairs, level) for level in levels]
    first = next((level for level, is_costly in zip(levels, costly, strict=True) if is_costly), LEVELS + NARROW)
    return first - NARROW / 2, pairs.count


if __name__ == "__main__":
    main()
