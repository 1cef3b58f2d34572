r"""Evidence for and against a bound on a breach rate, valid at every look.

A ratio criterion says that at most a share c of the units breaches. With s breaches in n units, and q ~ Beta(½+s, ½+n-s),

    E_refute = B(½+s, ½+n-s) · P(q > c | s, n) / (B(½, ½) · P(q > c) · c^s · (1-c)^(n-s)),    E_hold the same with q < c.

E_refute is the likelihood ratio of a mixture of rates above c against c itself. At every rate up to c, also one that drifts, each factor
has a conditional mean of at most 1; so the chance that E_refute ever reaches 1/alpha is at most alpha (Ville's inequality; Robbins 1970;
Howard, Ramdas, McAuliffe and Sekhon 2021). E_hold mirrors this for rates from c upwards.

Late outcomes. The argument needs the order in which units were meant to start, not the order in which they finished. At a look some units
are unresolved. Both E's are monotone in every outcome, so filling the gaps with the outcome that speaks against the verdict gives a lower
bound of the E that will be known in the end, at every prefix; the largest over all prefixes is then a lower bound of a running maximum, for
which Ville's inequality holds. Nothing is conditioned on having finished.

Clusters. An outcome may be any number in [0, 1], such as the share of breaches among the repeats of one case. The factor is then
(q/c)^y·((1-q)/(1-c))^(1-y), which by the inequality of the means is at most y·q/c + (1-y)(1-q)/(1-c): the E's stay valid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import count, islice
from typing import TYPE_CHECKING, Literal, TypeAlias

from refute.stats.beta import log_beta, log_betainc

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Decision: TypeAlias = Literal["held", "refuted"]

_LOG_PI = math.log(math.pi)  # log B(½, ½)


def log_e_refute(breaches: float, units: float, bound: float) -> float:
    """Logarithm of the evidence that the breach rate is above `bound`.

    Args:
        breaches: s ≥ 0; a sum of shares where units are clusters.
        units: n ≥ s.
        bound: c, the largest breach rate that the criterion allows, in (0, 1).

    Returns:
        log E_refute; 0 with no units.

    Raises:
        ValueError: If a count or the bound is out of range.
    """
    _check(breaches, units, bound)
    return _log_mixture(units - breaches, breaches, 1.0 - bound, bound)


def log_e_hold(breaches: float, units: float, bound: float) -> float:
    """Logarithm of the evidence that the breach rate is below `bound`; arguments and errors as for `log_e_refute`."""
    _check(breaches, units, bound)
    return _log_mixture(breaches, units - breaches, bound, 1.0 - bound)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a run says so far.

    Attributes:
        log_refute: Largest log E_refute over the prefixes, ≥ 0 (the empty prefix has E = 1).
        log_hold: Largest log E_hold over the prefixes, ≥ 0.
        decision: The verdict that crossed log(1/alpha) first, or None.
    """

    log_refute: float = 0.0
    log_hold: float = 0.0
    decision: Decision | None = None


@dataclass(frozen=True, slots=True)
class RatioTest:
    """A sequential test of "at most `bound` of the units breach".

    Attributes:
        bound: c in (0, 1).
        alpha: Probability of a false verdict, a side, in (0, 1).
    """

    bound: float
    alpha: float = 0.05

    def __post_init__(self) -> None:
        check_open("bound", self.bound)
        check_open("alpha", self.alpha)

    @property
    def threshold(self) -> float:
        """log(1/alpha): where a verdict falls."""
        return -math.log(self.alpha)

    def watch(self) -> RatioWatch:
        """Start a run of this test."""
        return RatioWatch(self)

    def evidence(self, breaches: Iterable[float | None]) -> Evidence:
        """Evidence from outcomes in the order of their intended start; None where one is unresolved.

        Looks at every prefix, so that the verdict is the one that was crossed first.
        """
        watch = self.watch()
        for index, breach in enumerate(breaches):
            watch.see(index, breach)
        return watch.evidence

    def decide(self, breaches: float, units: float) -> Decision | None:
        """The verdict at one point, with all units resolved."""
        if log_e_refute(breaches, units, self.bound) >= self.threshold:
            return "refuted"
        if log_e_hold(breaches, units, self.bound) >= self.threshold:
            return "held"
        return None

    def boundaries(self, units: int) -> tuple[tuple[int | None, int | None], ...]:
        """Largest count of breaches that holds and smallest that refutes, for 0 … `units` resolved units; None where no count does."""
        walk = islice(walk_boundaries(self.bound, self.threshold), units + 1)
        return tuple((hold if hold >= 0 else None, refute if refute <= n else None) for n, (hold, refute) in enumerate(walk))


class RatioWatch:
    """The running state of a `RatioTest`. Outcomes may arrive in any order; a look costs as much as units are in flight.

    Attributes:
        test: The test that this watches.
        evidence: What is known now.
    """

    __slots__ = ("_fewest", "_most", "_settled", "_weights", "evidence", "test")

    def __init__(self, test: RatioTest) -> None:
        self.test = test
        self.evidence = Evidence()
        self._fewest: list[float] = []  # outcomes with gaps filled as good: the worst case for `refuted`
        self._most: list[float] = []  # with gaps filled as breaches: the worst case for `held`
        self._weights: list[int] = []  # 0 for a unit that turned out not to be eligible
        self._settled: list[bool] = []

    def see(self, index: int, breach: float | None) -> Evidence:
        """Note a unit's outcome.

        Args:
            index: Place in the order of intended start, from 0. Every place below the highest seen counts as started.
            breach: True, False, or a cluster's share in [0, 1]; None: started, but unresolved.

        Returns:
            The evidence now.

        Raises:
            ValueError: If the unit has an outcome already, or the outcome is outside [0, 1].
        """
        self._reach(index)
        if breach is None:
            return self.evidence
        check_score(breach)
        self._settle(index, float(breach), 1)
        return self.evidence

    def skip(self, index: int) -> Evidence:
        """Note that a unit turned out not to be eligible, so that it does not count."""
        self._reach(index)
        self._settle(index, 0.0, 0)
        return self.evidence

    def _reach(self, index: int) -> None:
        missing = index + 1 - len(self._settled)
        if missing > 0:
            self._fewest += [0.0] * missing
            self._most += [1.0] * missing
            self._weights += [1] * missing
            self._settled += [False] * missing
        elif self._settled[index]:
            msg = f"unit {index} has an outcome already: one outcome per unit"
            raise ValueError(msg)

    def _settle(self, index: int, breach: float, weight: int) -> None:
        self._settled[index] = True
        self._fewest[index] = self._most[index] = breach
        self._weights[index] = weight
        refute, hold = self.evidence.log_refute, self.evidence.log_hold
        if breach > 0.0 or weight == 0:
            refute = self._largest_refute(index)
        if breach < 1.0 or weight == 0:
            hold = self._largest_hold(index)
        self.evidence = Evidence(refute, hold, self.evidence.decision or first_decision(refute, hold, self.test.threshold))

    def _largest_refute(self, start: int) -> float:
        """Only prefixes from `start` on have changed, and only one that ends in a breach can be the largest."""
        largest, bound = self.evidence.log_refute, self.test.bound
        units, breaches = sum(self._weights[:start]), sum(self._fewest[:start])
        for breach, weight in zip(self._fewest[start:], self._weights[start:], strict=True):
            units += weight
            breaches += breach
            if breach > 0.0:
                largest = max(largest, _cached_refute(breaches, units, bound))
        return largest

    def _largest_hold(self, start: int) -> float:
        largest, bound = self.evidence.log_hold, self.test.bound
        units, breaches = sum(self._weights[:start]), sum(self._most[:start])
        for breach, weight in zip(self._most[start:], self._weights[start:], strict=True):
            units += weight
            breaches += breach
            if breach < 1.0:
                largest = max(largest, _cached_hold(breaches, units, bound))
        return largest


def walk_boundaries(bound: float, threshold: float) -> Iterator[tuple[int, int]]:
    """For n = 0, 1, …: the largest count that holds (-1: none) and the smallest that refutes (n + 1: none).

    Both rise by at most one with each unit, so a step costs a look or two.
    """
    hold, refute = -1, 0
    for n in count():
        while hold < n and log_e_hold(hold + 1, n, bound) >= threshold:
            hold += 1
        while refute <= n and log_e_refute(refute, n, bound) < threshold:
            refute += 1
        yield hold, refute


def check_open(name: str, value: float) -> None:
    """Raise ValueError unless `value` is within (0, 1)."""
    if not 0.0 < value < 1.0:
        msg = f"{name} must be within (0, 1), got {value!r}"
        raise ValueError(msg)


def check_score(value: float) -> None:
    """Raise ValueError unless `value` is within [0, 1]."""
    if not 0.0 <= value <= 1.0:
        msg = f"an outcome must be within [0, 1], got {value!r}"
        raise ValueError(msg)


def _check(breaches: float, units: float, bound: float) -> None:
    check_open("bound", bound)
    if not 0.0 <= breaches <= units:
        msg = f"counts must satisfy 0 <= breaches <= units, got {breaches!r} of {units!r}"
        raise ValueError(msg)


def _log_mixture(inside: float, outside: float, x: float, complement: float) -> float:
    """Log E of the mixture over q < x, where q is the rate of what was counted `inside`."""
    a, b = 0.5 + inside, 0.5 + outside
    prior = math.log(2.0 / math.pi * math.asin(math.sqrt(x)))
    return log_beta(a, b) + log_betainc(a, b, x) - _LOG_PI - prior - inside * math.log(x) - outside * math.log(complement)


_cached_refute = lru_cache(maxsize=1 << 16)(log_e_refute)
_cached_hold = lru_cache(maxsize=1 << 16)(log_e_hold)


def first_decision(refute: float, hold: float, threshold: float) -> Decision | None:
    """The verdict that logarithms of evidence reach at one look."""
    if refute >= threshold:
        return "refuted"
    return "held" if hold >= threshold else None
