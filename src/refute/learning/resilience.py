"""The resilience budget: what share of the error budget experiments have spent, and may still spend."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Resilience:
    """Shares of a whole error budget.

    Attributes:
        spent: by experiments within the budget's window.
        low: of its 95 % interval.
        high: likewise.
        allowed: share that experiments may spend.
    """

    spent: float
    low: float
    high: float
    allowed: float

    @property
    def left(self) -> float:
        """Share that experiments may still spend."""
        return max(0.0, self.allowed - self.spent)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return asdict(self) | {
            "left": self.left,
            "left_low": max(0.0, self.allowed - self.high),
            "left_high": max(0.0, self.allowed - self.low),
        }


def resilience(spoiled: Iterable[tuple[float, float, float]], budget_units: float, allowed: float) -> Resilience:
    """Return what is spent and left.

    Runs are independent, so that squared distances to the ends of their intervals add up (Zou and Donner 2008, for sums of estimates
    with asymmetric intervals).

    Args:
        spoiled: of each run, units that went bad because of it, and the ends of the 95 % interval.
        budget_units: bad units that the whole budget allows, > 0.
        allowed: share of it that experiments may spend, in (0, 1].
    """
    runs = list(spoiled)
    total = math.fsum(units for units, _, _ in runs)
    down = math.sqrt(math.fsum((units - low) ** 2 for units, low, _ in runs))
    up = math.sqrt(math.fsum((high - units) ** 2 for units, _, high in runs))
    low, middle, high = (max(0.0, units) / budget_units for units in (total - down, total, total + up))
    return Resilience(middle, low, high, allowed)
