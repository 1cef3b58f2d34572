"""What the concurrent control says: is it healthy, is treatment harmed in some unspecific way, and do two equal arms agree?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

from refute.stats.beta import betainc, log_beta, log_betainc
from refute.stats.eprocess import check_open

if TYPE_CHECKING:
    from collections.abc import Iterable

HEALTHY_AT = 0.95


def p_meets(breaches: float, units: float, bound: float) -> float:
    """Posterior probability, under Jeffreys' prior, that a breach rate is within `bound`.

    Raises:
        ValueError: If a count or the bound is out of range.
    """
    _check_arm(breaches, units)
    check_open("bound", bound)
    return betainc(0.5 + breaches, 0.5 + units - breaches, bound)


def control_healthy(breaches: float, units: float, bound: float, at: float = HEALTHY_AT) -> bool:
    """Whether the control itself meets the bound, so that a breach in treatment may be laid to the fault; else a `refuted` is `void`.

    Args:
        breaches: Breaches in the concurrent control; unresolved units count as breaches.
        units: Units of the control.
        bound: c of the criterion, in (0, 1).
        at: Posterior probability that is enough.

    Returns:
        True if the control is healthy. No data is not healthy.
    """
    return p_meets(breaches, units, bound) >= at


def units_to_be_healthy(bound: float, rate: float = 0.0, at: float = HEALTHY_AT, limit: int = 100_000) -> int | None:
    """Fewest control units, breaching at `rate`, that count as healthy; None if `limit` are not enough (as for a rate above the bound)."""
    low, high = 0, 1
    while not control_healthy(rate * high, high, bound, at):
        low, high = high, 2 * high
        if high > limit:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if control_healthy(rate * middle, middle, bound, at) else (middle, high)
    return high


def log_harm(segments: Iterable[tuple[int, int, float]]) -> float:
    """Unspecific harm signal: do failures fall into treatment more often than the share would have it? Shown, never acted upon.

    With T and C failures in the arms, B(1+T, 1+C)·P(q > r | T, C) / (B(1,1)·P(q > r)·r^T·(1-r)^C); segments of a ramp multiply.

    Args:
        segments: (failures in treatment, failures in control, share r of treatment in (0, 1)) for each ramp step.

    Returns:
        Natural logarithm of the evidence for harm.

    Raises:
        ValueError: If a count is negative or a share out of range.
    """
    return sum(_log_harm(treated, control, share) for treated, control, share in segments)


@dataclass(frozen=True, slots=True)
class ArmComparison:
    """Two arms without a fault.

    Attributes:
        difference: Breach rate of the one called treatment minus that of control.
        low: Lower end of the 1-alpha interval of the difference.
        high: Upper end.
        log_e: Evidence that the arms differ at all, either way.
        alpha: Probability of a false alarm.
    """

    difference: float
    low: float
    high: float
    log_e: float
    alpha: float

    @property
    def noise(self) -> float:
        """Noise floor: a difference below this cannot be told from none with so many units."""
        return max(-self.low, self.high)

    @property
    def sick(self) -> bool:
        """Whether equal arms differ, so that assignment or instrumentation is broken."""
        return self.log_e >= -math.log(self.alpha)


def compare_arms(treatment: tuple[int, int], control: tuple[int, int], share: float, alpha: float = 0.05) -> ArmComparison:
    """Compare two arms of an A/A run.

    The interval is Newcombe's (1998, method 10: Wilson intervals combined); it describes one look at a fixed size. The alarm uses a mixture
    over all splits of the failures and is valid at every look.

    Args:
        treatment: (breaches, units), units > 0.
        control: (breaches, units), units > 0.
        share: r, probability of treatment, in (0, 1).
        alpha: For the interval and the alarm.

    Returns:
        The comparison.

    Raises:
        ValueError: If counts, share or alpha are out of range.
    """
    check_open("share", share)
    check_open("alpha", alpha)
    for breaches, units in (treatment, control):
        _check_arm(breaches, units)
        if units == 0:
            raise ValueError("an A/A comparison needs units in both arms, got none in one of them")
    rate_t, rate_c = treatment[0] / treatment[1], control[0] / control[1]
    low_t, high_t = _wilson(*treatment, alpha)
    low_c, high_c = _wilson(*control, alpha)
    difference = rate_t - rate_c
    low = difference - math.hypot(rate_t - low_t, high_c - rate_c)
    high = difference + math.hypot(high_t - rate_t, rate_c - low_c)
    split = log_beta(1 + treatment[0], 1 + control[0]) - treatment[0] * math.log(share) - control[0] * math.log1p(-share)
    return ArmComparison(difference, low, high, split, alpha)


def _log_harm(treated: int, control: int, share: float) -> float:
    if treated < 0 or control < 0:
        msg = f"failures must be >= 0, got {treated!r} and {control!r}"
        raise ValueError(msg)
    check_open("share", share)
    tail = log_betainc(1 + control, 1 + treated, 1.0 - share) - math.log1p(-share)
    return log_beta(1 + treated, 1 + control) + tail - treated * math.log(share) - control * math.log1p(-share)


def _wilson(breaches: int, units: int, alpha: float) -> tuple[float, float]:
    z = NormalDist().inv_cdf(1 - alpha / 2)
    rate, square = breaches / units, z * z / units
    centre = rate + square / 2
    spread = z * math.sqrt(rate * (1 - rate) / units + square / (4 * units))
    return (centre - spread) / (1 + square), (centre + spread) / (1 + square)


def _check_arm(breaches: float, units: float) -> None:
    if not 0 <= breaches <= units:
        msg = f"counts must satisfy 0 <= breaches <= units, got {breaches!r} of {units!r}"
        raise ValueError(msg)
