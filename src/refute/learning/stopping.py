"""When a campaign may stop: what it has not seen yet, estimated from what it saw once or twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Final

_ENOUGH_RUNS: Final = 5


@dataclass(frozen=True, slots=True)
class Unseen:
    """What has not been seen.

    Attributes:
        mass: probability that the next random run behaves in a way that was never seen (Good-Turing: share of what was seen once).
        kinds: how many ways to behave there are at least that were never seen (Chao1, bias-corrected).
        seen: how many ways were seen.
        runs: that this rests on.
    """

    mass: float
    kinds: float
    seen: int
    runs: int


def unseen(behaviours: Iterable[Hashable]) -> Unseen:
    """Estimate what has not been seen.

    Good-Turing f₁/n and Chao1 (n-1)/n · f₁(f₁-1)/(2(f₂+1)), with f₁ and f₂ the numbers of behaviours seen once and twice. Valid for runs
    drawn at random; for chosen ones, which look for what is new, both are high.

    Args:
        behaviours: one a run.
    """
    counts = Counter(behaviours)
    runs = sum(counts.values())
    if not runs:
        return Unseen(1.0, float("inf"), 0, 0)
    once = sum(count == 1 for count in counts.values())
    twice = sum(count == 2 for count in counts.values())
    more = (runs - 1) / runs * once * (once - 1) / (2 * (twice + 1))
    return Unseen(once / runs, more, len(counts), runs)


@dataclass(frozen=True, slots=True)
class StoppingRule:
    """When to stop.

    Attributes:
        bits: forecasts for what could still be run are at most this uncertain, on average.
        mass: and the estimated mass of unseen behaviour is at most this.
    """

    bits: float = 0.08
    mass: float = 0.3

    def reached(self, bits: float, left: Unseen) -> bool:
        """Say whether a campaign may stop.

        Args:
            bits: mean uncertainty of the forecasts that are left.
            left: what has not been seen.
        """
        return left.runs >= _ENOUGH_RUNS and bits <= self.bits and left.mass <= self.mass
