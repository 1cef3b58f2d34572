"""What an experiment is worth, against what it risks.

V = Σ over beliefs of (cost if wrong * expected information in bits), score = V/(c₀ + λR) with R the expected share of the error budget
that is spent before an abort could end the experiment.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

COST_WEIGHTS: Final[Mapping[str, float]] = {"low": 1.0, "medium": 3.0, "high": 10.0, "severe": 30.0}
MONEY_PER_WEIGHT: Final = 1_000.0


@dataclass(frozen=True, slots=True)
class Prices:
    """How value and risk are weighed.

    Attributes:
        fixed: c₀ > 0, what running anything costs, so that a riskless experiment is not infinitely good.
        risk: λ ≥ 0, what spending the whole error budget costs, in the same unit as c₀.
    """

    fixed: float = 1.0
    risk: float = 10.0

    def __post_init__(self) -> None:
        if not (self.fixed > 0.0 and self.risk >= 0.0):
            msg = f"prices must satisfy fixed > 0 and risk >= 0, got {self.fixed!r} and {self.risk!r}"
            raise ValueError(msg)


def cost_if_wrong(if_wrong: str | float, money_per_weight: float = MONEY_PER_WEIGHT) -> float:
    """Weight of being wrong about a belief.

    Args:
        if_wrong: low, medium, high or severe (each about three times the one before), or an amount of money ≥ 0.
        money_per_weight: The money that counts as much as `low`, in the same currency.

    Returns:
        A weight ≥ 0.

    Raises:
        ValueError: If the word is unknown or the amount is negative.
    """
    if isinstance(if_wrong, str):
        if if_wrong not in COST_WEIGHTS:
            msg = f"if_wrong must be one of {', '.join(COST_WEIGHTS)} or money, got {if_wrong!r}"
            raise ValueError(msg)
        return COST_WEIGHTS[if_wrong]
    if not (if_wrong >= 0.0 and money_per_weight > 0.0):
        msg = f"money must be >= 0 and money_per_weight > 0, got {if_wrong!r} and {money_per_weight!r}"
        raise ValueError(msg)
    return if_wrong / money_per_weight


def value(beliefs: Iterable[tuple[float, float]]) -> float:
    """V of an experiment, from (cost if wrong, expected information in bits) for each belief that it informs."""
    return math.fsum(cost * bits for cost, bits in beliefs)


def expected_spend(p_breach: float, units: float, budget_units: float) -> float:
    """R: expected share of the error budget that an experiment spends.

    Args:
        p_breach: Predictive probability that a treatment unit breaches beyond what control would.
        units: Expected number of treatment units before a verdict or an abort.
        budget_units: Bad units that the error budget still allows, ≥ 0.

    Returns:
        A share in [0, 1]; 1 where no budget is left.
    """
    if budget_units <= 0.0:
        return 1.0
    return min(1.0, max(0.0, p_breach) * max(0.0, units) / budget_units)


def score(worth: float, risk: float, prices: Prices | None = None) -> float:
    """V/(c₀ + λR), by which the plan ranks.

    Raises:
        ValueError: If value or risk is negative.
    """
    if worth < 0.0 or risk < 0.0:
        msg = f"value and risk must be >= 0, got {worth!r} and {risk!r}"
        raise ValueError(msg)
    prices = prices or Prices()
    return worth / (prices.fixed + prices.risk * risk)
