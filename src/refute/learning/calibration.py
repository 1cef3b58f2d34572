"""Were we well calibrated? Brier score with Murphy's decomposition, and the logarithmic score, of locked forecasts.

brier = reliability - resolution + uncertainty + within (Murphy 1973; the last term, of what differs inside a bin, after
Stephenson, Coelho and Jolliffe 2008). Reliability is what bad calibration costs: 0 is perfect. A forecast of several verdicts
sums over them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Scored: TypeAlias = tuple[float, bool]


@dataclass(frozen=True, slots=True)
class Bin:
    """Forecasts of about the same probability.

    Attributes:
        forecast: Their mean.
        happened: Share of them that came true.
        count: How many there are.
    """

    forecast: float
    happened: float
    count: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """Scores of a set of forecasts.

    Attributes:
        count: Number of forecasts.
        brier: Mean squared error; for several verdicts their sum, up to 2. Lower is better.
        reliability: Part of it due to bad calibration.
        resolution: Part that telling cases apart has saved.
        uncertainty: Brier score of the base rate.
        log_score: Mean -log₂ of the probability given to what happened, in bits; inf if that was 0 once.
    """

    count: int
    brier: float
    reliability: float
    resolution: float
    uncertainty: float
    log_score: float

    @property
    def within(self) -> float:
        """What differs inside bins; 0 where each bin holds one probability."""
        return self.brier - (self.reliability - self.resolution + self.uncertainty)


def calibrate(forecasts: Sequence[Scored], bins: int = 10) -> Calibration:
    """Score yes-or-no forecasts.

    Args:
        forecasts: (probability of yes, whether it happened).
        bins: Number of equal bins of [0, 1].

    Returns:
        The scores.

    Raises:
        ValueError: If there are no forecasts, a probability is out of range, or bins < 1.
    """
    table = reliability_table(forecasts, bins)
    brier, reliability, resolution, uncertainty = _decompose(forecasts, table)
    log_score = math.fsum(_bits(p if happened else 1.0 - p) for p, happened in forecasts) / len(forecasts)
    return Calibration(len(forecasts), brier, reliability, resolution, uncertainty, log_score)


def calibrate_verdicts(forecasts: Sequence[tuple[Mapping[str, float], str]], bins: int = 10) -> Calibration:
    """Score forecasts of verdicts, such as {"held": .7, "refuted": .1, "inconclusive": .2}, with the verdict that came.

    Raises:
        ValueError: If there are no forecasts or one does not sum to 1. A verdict that was not forecast had probability 0.
    """
    if not forecasts:
        raise ValueError("there are no forecasts to score")
    for given, _ in forecasts:
        if abs(math.fsum(given.values()) - 1.0) > 1e-6:
            msg = f"a forecast must sum to 1, got {dict(given)!r}"
            raise ValueError(msg)
    verdicts = {verdict for given, came in forecasts for verdict in (*given, came)}
    parts = []
    for verdict in sorted(verdicts):
        binary = [(min(1.0, given.get(verdict, 0.0)), came == verdict) for given, came in forecasts]
        parts.append(_decompose(binary, reliability_table(binary, bins)))
    brier, reliability, resolution, uncertainty = (math.fsum(column) for column in zip(*parts, strict=True))
    log_score = math.fsum(_bits(given.get(came, 0.0)) for given, came in forecasts) / len(forecasts)
    return Calibration(len(forecasts), brier, reliability, resolution, uncertainty, log_score)


def reliability_table(forecasts: Iterable[Scored], bins: int = 10) -> tuple[Bin, ...]:
    """Forecast against what happened, for each bin that holds any, in rising order.

    Raises:
        ValueError: If there are no forecasts, a probability is out of range, or bins < 1.
    """
    if bins < 1:
        msg = f"bins must be >= 1, got {bins!r}"
        raise ValueError(msg)
    filled: dict[int, list[Scored]] = {}
    for p, happened in forecasts:
        if not 0.0 <= p <= 1.0:
            msg = f"a probability must be within [0, 1], got {p!r}"
            raise ValueError(msg)
        filled.setdefault(min(bins - 1, int(p * bins)), []).append((p, happened))
    if not filled:
        raise ValueError("there are no forecasts to score")
    return tuple(_summarise(filled[key]) for key in sorted(filled))


def _summarise(forecasts: list[Scored]) -> Bin:
    count = len(forecasts)
    return Bin(math.fsum(p for p, _ in forecasts) / count, sum(happened for _, happened in forecasts) / count, count)


def _decompose(forecasts: Sequence[Scored], table: Sequence[Bin]) -> tuple[float, float, float, float]:
    count = len(forecasts)
    base_rate = sum(happened for _, happened in forecasts) / count
    brier = math.fsum((p - happened) ** 2 for p, happened in forecasts) / count
    reliability = math.fsum(row.count * (row.forecast - row.happened) ** 2 for row in table) / count
    resolution = math.fsum(row.count * (row.happened - base_rate) ** 2 for row in table) / count
    return brier, reliability, resolution, base_rate * (1.0 - base_rate)


def _bits(probability: float) -> float:
    return -math.log2(probability) if probability > 0.0 else math.inf
