"""What indicators' answers come to: numbers in their range, and money."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from refute.core.intent import IndicatorKind
from refute.core.outcome import SPEND

_ROUNDING = 1e-6
_LARGEST: dict[IndicatorKind, float] = {"ratio": 1.0, "score": 1.0, "cost": math.inf, "deviation": 1.0}


class Purse:
    """Adds up what units cost in money. One whose cost is not known counts like the dearest so far: a cap must not miss what failed.

    Args:
        prices: what one costs, by the name of the indicator.
    """

    def __init__(self, prices: Mapping[str, float]) -> None:
        """Know of no unit yet."""
        self._prices = prices
        self._dearest = 0.0

    def spend(self, costs: Mapping[str, float]) -> dict[str, float]:
        """Return the money that one unit took, under `spend`; nothing where nothing has a price.

        Args:
            costs: those that are known, by the name of the indicator.
        """
        if not self._prices:
            return {}
        known = sum(costs[name] * price for name, price in self._prices.items() if name in costs)
        self._dearest = max(self._dearest, known)
        return {SPEND: known if self._prices.keys() <= costs.keys() else self._dearest}


def worst(kind: IndicatorKind) -> float:
    """Return what a unit that failed counts as."""
    return 1.0 if kind == "deviation" else 0.0


def number_of(value: Any, kind: IndicatorKind) -> float | None:
    """Return an indicator's answer as a number in its range, None where it is none.

    Raises:
        TypeError, ValueError, OverflowError: it is no number, or too large.
    """
    number = float(value)
    if not -_ROUNDING <= number <= _LARGEST[kind] + _ROUNDING or math.isinf(number):
        return None
    return min(max(number, 0.0), _LARGEST[kind])
