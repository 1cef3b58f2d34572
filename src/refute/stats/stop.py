"""Stop conditions: alarms that end an experiment, valid at every look.

They differ from a verdict in two ways. Nothing that was seen before can silence them: there is no `held`. And they stay quick
late in a run: after 300 clean units the E_refute of a verdict needs over a hundred failures in a row to recover, so half of the
wealth here starts afresh at each unit (see `_bets`). Each of k conditions gets alpha/k, so that all together raise a false alarm
with probability at most alpha.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from refute.stats._bets import Bets
from refute.stats.eprocess import check_open, check_score
from refute.stats.mean import FRACTIONS, factors_high
from refute.stats.relative import PastUnits, RelativeTest


@dataclass(frozen=True, slots=True)
class AbsoluteStop:
    """Stop when more than `bound` of the treatment units breach, or when their mean badness is above it.

    Attributes:
        bound: Tolerated breach rate in (0, 1): `answered < 70%` is 0.3, `latency p99 > 20 s` is 0.01 of units slower than 20 s or failed.
        alpha: Probability of a false alarm, all conditions together, in (0, 1).
        conditions: k, how many stop conditions run side by side.
    """

    bound: float
    alpha: float = 0.05
    conditions: int = 1

    def __post_init__(self) -> None:
        check_open("bound", self.bound)
        _check_family(self.alpha, self.conditions)

    @property
    def threshold(self) -> float:
        """log(k/alpha): where the alarm is raised."""
        return math.log(self.conditions / self.alpha)

    def watch(self) -> AbsoluteStopWatch:
        """Start watching."""
        return AbsoluteStopWatch(self)


class AbsoluteStopWatch:
    """The running state of an `AbsoluteStop`; reads eligible treatment units only.

    Attributes:
        stop: The condition that this watches.
        fired: Whether the alarm was raised; it stays raised.
    """

    __slots__ = ("_bets", "_settled", "fired", "stop")

    def __init__(self, stop: AbsoluteStop) -> None:
        self.stop = stop
        self.fired = False
        self._bets = Bets(len(FRACTIONS), restarts=True)
        self._settled: list[bool] = []

    @property
    def log_evidence(self) -> float:
        """Evidence for stopping; the alarm is raised at `stop.threshold`."""
        return self._bets.log_largest

    @property
    def log_now(self) -> float:
        """Evidence by the last unit: unlike the largest, it falls again where units are good."""
        return self._bets.log_now

    def see(self, index: int, breach: float | None) -> bool:
        """Note an outcome, as in `RatioWatch.see`.

        Returns:
            Whether the experiment must stop.

        Raises:
            ValueError: If the unit has an outcome already, or the outcome is outside [0, 1].
        """
        self._reach(index)
        if breach is None:
            return self.fired
        check_score(breach)
        self._settled[index] = True
        self._bets.settle(index, factors_high(breach, self.stop.bound))
        return self._update()

    def skip(self, index: int) -> bool:
        """Note that a unit turned out not to be eligible, so that it does not count."""
        self._reach(index)
        self._settled[index] = True
        self._bets.settle_as_none(index)
        return self._update()

    def _reach(self, index: int) -> None:
        if index < len(self._settled) and self._settled[index]:
            msg = f"unit {index} has an outcome already: one outcome per unit"
            raise ValueError(msg)
        while len(self._settled) <= index:
            self._settled.append(False)
            self._bets.append(factors_high(0.0, self.stop.bound))

    def _update(self) -> bool:
        self.fired = self.fired or self.log_evidence >= self.stop.threshold
        return self.fired


@dataclass(frozen=True, slots=True)
class RelativeStop:
    """Stop when treatment is worse than the concurrent control by more than `bound`.

    Attributes:
        bound: Tolerated difference of breach rates, in [0, 1): 10 points are 0.1.
        alpha: Probability of a false alarm, all conditions together, in (0, 1).
        conditions: k, how many stop conditions run side by side.
        baseline: Breach rate to expect before any outcome is known; only power depends on it.
    """

    bound: float
    alpha: float = 0.05
    conditions: int = 1
    baseline: float = 0.1

    def __post_init__(self) -> None:
        _check_family(self.alpha, self.conditions)
        RelativeTest(self.bound, self.alpha, self.baseline)

    @property
    def threshold(self) -> float:
        """log(k/alpha): where the alarm is raised."""
        return math.log(self.conditions / self.alpha)

    def watch(self) -> RelativeStopWatch:
        """Start watching."""
        return RelativeStopWatch(self)


class RelativeStopWatch:
    """The running state of a `RelativeStop`; reads the eligible units of both arms.

    Attributes:
        stop: The condition that this watches.
        fired: Whether the alarm was raised; it stays raised.
    """

    __slots__ = ("_bets", "_units", "fired", "stop")

    def __init__(self, stop: RelativeStop) -> None:
        self.stop = stop
        self.fired = False
        self._units = PastUnits(stop.baseline)
        self._bets = Bets(PastUnits.strategies(), restarts=True)

    @property
    def log_evidence(self) -> float:
        """Evidence for stopping; the alarm is raised at `stop.threshold`."""
        return self._bets.log_largest

    @property
    def log_now(self) -> float:
        """Evidence by the last unit: unlike the largest, it falls again where units are good."""
        return self._bets.log_now

    def begin(self, *, treatment: bool, share: float) -> int:
        """Note that the next unit starts now, as in `RelativeWatch.begin`."""
        index = self._units.begin(treatment=treatment, share=share)
        self._bets.append(self._units.worse_factors(index, 0.0 if treatment else 1.0, self.stop.bound))
        return index

    def see(self, index: int, breach: float) -> bool:
        """Note an outcome.

        Returns:
            Whether the experiment must stop.

        Raises:
            ValueError: If the unit has not begun or has an outcome already, or the outcome is outside [0, 1].
        """
        check_score(breach)
        self._units.settle(index, float(breach))
        self._bets.settle(index, self._units.worse_factors(index, breach, self.stop.bound))
        return self._update()

    def skip(self, index: int) -> bool:
        """Note that a unit turned out not to be eligible, so that it does not count."""
        self._units.settle(index, None)
        self._bets.settle_as_none(index)
        return self._update()

    def _update(self) -> bool:
        self.fired = self.fired or self.log_evidence >= self.stop.threshold
        return self.fired


def _check_family(alpha: float, conditions: int) -> None:
    check_open("alpha", alpha)
    if conditions < 1:
        msg = f"conditions must be >= 1, got {conditions!r}"
        raise ValueError(msg)
