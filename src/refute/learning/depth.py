"""Is the engine out of its depth? How its locked forecasts do, on the runs that were drawn at random, and on all.

Random runs check the model where it would not have looked: their surprise Σ(-log₂ p(outcome)) may exceed what the forecasts themselves
expect, Σ H(p), by chance only as far as Bernstein's bound lets it (one-sided, 2 %). And every forecast is pulled towards ignorance by a
slip rate that is learned from how forecasts did so far: p = (1-s)·p + s/3, so that they widen when they fail.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from refute.learning.account import FORECAST_VERDICTS

_SLIPS: Final = (0.0, 0.03, 0.1, 0.3, 0.6)
_PRIOR: Final = (0.6, 0.2, 0.12, 0.06, 0.02)
_ALARM: Final = 0.02
_LEAST: Final = 0.002

Odds = Mapping[str, float]
"""Probability by verdict, of `held`, `refuted` and `inconclusive`."""


@dataclass(slots=True)
class Depth:
    """How forecasts did.

    Attributes:
        runs: random runs that were forecast.
        excess: by how many bits they surprised more than was expected, summed.
        variance: of that, if the forecasts are right.
    """

    runs: int = 0
    excess: float = 0.0
    variance: float = 0.0
    _log_weights: list[float] = field(default_factory=lambda: [math.log(share) for share in _PRIOR])

    def see(self, odds: Odds, verdict: str, *, random: bool) -> None:
        """Learn from one forecast.

        Args:
            odds: as it was before it was widened.
            verdict: that came.
            random: whether the run was drawn at random.
        """
        said = [math.log(max(_LEAST, _slipped(odds, slip)[verdict])) for slip in _SLIPS]
        self._log_weights = [log_weight + more for log_weight, more in zip(self._log_weights, said, strict=True)]
        if random:
            floored = {name: max(_LEAST, p) for name, p in odds.items() if name in FORECAST_VERDICTS}
            entropy = -sum(p * math.log2(p) for p in floored.values())
            self.runs += 1
            self.excess += -math.log2(floored[verdict]) - entropy
            self.variance += max(0.0, sum(p * math.log2(p) ** 2 for p in floored.values()) - entropy**2)

    @property
    def widening(self) -> float:
        """The slip rate that forecasts speak for, beyond what is feared before any evidence; in [0, 1)."""
        largest = max(self._log_weights)
        weights = [math.exp(one - largest) for one in self._log_weights]
        mean = sum(weight * slip for weight, slip in zip(weights, _SLIPS, strict=True)) / sum(weights)
        return max(0.0, mean - sum(share * slip for share, slip in zip(_PRIOR, _SLIPS, strict=True)))

    @property
    def out_of_depth(self) -> bool:
        """Whether random runs surprise more than the forecasts allow."""
        level = math.log(1 / _ALARM)
        return self.runs > 0 and self.excess > math.sqrt(2 * self.variance * level) - math.log2(_LEAST) * level / 3

    def widened(self, odds: Odds) -> dict[str, float]:
        """Return a forecast pulled towards ignorance as far as earlier ones failed."""
        return {**odds, **_slipped(odds, self.widening)}

    def words(self) -> str:
        """Return what the check says."""
        if not self.runs:
            return "no random run has checked the model yet"
        said = f"{self.runs} random {'run' if self.runs == 1 else 'runs'} surprised by {self.excess:+.1f} bits more than forecast"
        return f"{said}: out of its depth, trust runs more than forecasts" if self.out_of_depth else f"{said}, as chance allows"

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {
            "runs": self.runs, "excess_bits": self.excess, "widening": self.widening, "out_of_depth": self.out_of_depth,
            "words": self.words(),
        }  # fmt: skip


def depth_of(events: Iterable[Mapping[str, Any]]) -> Depth:
    """Return how the planner's locked forecasts did.

    Args:
        events: of the ledger, oldest first; `experiment`, `forecast` and `verdict` are read.
    """
    found, random, locked = Depth(), dict[str, bool](), dict[str, Mapping[str, Any]]()
    for event in events:
        if event["event"] == "experiment":
            random[event["experiment"]] = bool((event.get("proposal") or {}).get("random"))
        elif event["event"] == "forecast":
            locked[event["experiment"]] = event["beliefs"]
        elif event["event"] == "verdict" and event["verdict"] in FORECAST_VERDICTS:
            said = locked.get(event["experiment"], {}).get(event["belief"], {})
            if all(name in said for name in FORECAST_VERDICTS):
                found.see(_before(said), event["verdict"], random=random.get(event["experiment"], False))
    return found


def _before(said: Mapping[str, float]) -> dict[str, float]:
    """Return a locked forecast as it was before it was widened."""
    slip = said.get("widened", 0.0)
    return {name: max(0.0, (said[name] - slip / 3) / (1.0 - slip)) for name in FORECAST_VERDICTS}


def _slipped(odds: Odds, slip: float) -> dict[str, float]:
    return {name: (1.0 - slip) * odds[name] + slip / 3 for name in FORECAST_VERDICTS}
