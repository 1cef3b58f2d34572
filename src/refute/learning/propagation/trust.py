"""How far forecasts may be trusted: a mixture of learners whose weights and slips follow from how they forecast so far.

Each learner's forecast is pulled towards even odds by a slip rate, which is itself unknown: rates on a grid are weighed by how well the
forecasts with them did, made before each run. So forecasts widen when they fail. Runs that were drawn at random are a check of their
own: what the planner never chooses shows there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from refute.learning.propagation.kinds import Floats

_SLIPS: Final = np.array([0.002, 0.01, 0.04, 0.12, 0.35])
_SLIP_PRIOR: Final = np.array([0.5, 0.3, 0.13, 0.05, 0.02])
_FIRST_LEARNER: Final = 0.95
_FORGET: Final = 0.97
_REPEATS: Final = 0.985
_DEPTH_ALARM: Final = 0.02


@dataclass(slots=True)
class Trust:
    """Weights of learners and slip rates.

    Attributes:
        learners: how many there are; the first is the one that is believed before any evidence.
        random_surprise: from runs drawn at random: summed (surprise - expected surprise) in bits, its variance, and their number.
    """

    learners: int = 2
    random_surprise: Floats = field(default_factory=lambda: np.zeros(3))
    _log_weights: Floats | None = None

    @property
    def weights(self) -> Floats:
        """[learner, slip] probabilities."""
        if self._log_weights is None:
            share = np.full(self.learners, (1 - _FIRST_LEARNER) / max(1, self.learners - 1))
            share[0] = _FIRST_LEARNER if self.learners > 1 else 1.0
            self._log_weights = np.log(share[:, None] * _SLIP_PRIOR)
        weights = np.exp(self._log_weights - self._log_weights.max())
        normal: Floats = weights / weights.sum()
        return normal

    @property
    def slip(self) -> float:
        """Expected slip rate."""
        return float((self.weights.sum(0) * _SLIPS).sum())

    def mix(self, forecasts: Floats) -> Floats:
        """Return [n] probabilities from [learner, n] ones."""
        weights = self.weights
        mixed: Floats = np.einsum("ls,lsn->n", weights, _slipped(forecasts))
        return mixed

    def supposing(self, forecasts: Floats, outcomes: Sequence[bool]) -> Floats:
        """Return [n, learner, slip] weights that single outcomes would leave.

        Args:
            forecasts: [learner, n] probabilities, made before.
            outcomes: by n.
        """
        said = np.moveaxis(_slipped(forecasts), -1, 0)
        weights = self.weights * np.where(np.array(outcomes)[:, None, None], said, 1 - said)
        normal: Floats = weights / weights.sum((1, 2), keepdims=True)
        return normal

    def see(self, forecasts: Floats, outcome: bool, *, random: bool) -> None:
        """Learn from one run.

        Args:
            forecasts: [learner] probabilities that the entry point answers, made before the run.
            outcome: whether it did.
            random: whether the run was drawn at random rather than chosen.
        """
        mixed = float(self.mix(forecasts[:, None])[0])
        weights = self.weights
        said = _slipped(forecasts[:, None])[..., 0]
        log_weights = np.log(weights) + np.log(said if outcome else 1 - said)
        prior = np.full(self.learners, (1 - _FIRST_LEARNER) / max(1, self.learners - 1))
        prior[0] = _FIRST_LEARNER if self.learners > 1 else 1.0
        log_weights = _FORGET * (log_weights - log_weights.max()) + (1 - _FORGET) * np.log(prior[:, None] * _SLIP_PRIOR)
        self._log_weights = log_weights
        if random:
            bits = -math.log2(mixed if outcome else 1 - mixed)
            expected = -mixed * math.log2(mixed) - (1 - mixed) * math.log2(1 - mixed)
            variance = mixed * (1 - mixed) * math.log2(mixed / (1 - mixed)) ** 2
            self.random_surprise += (bits - expected, variance, 1.0)

    @property
    def out_of_depth(self) -> bool:
        """Whether random runs surprise more than the forecasts allow (one-sided Bernstein bound at 2 %)."""
        excess, variance, count = self.random_surprise
        if count < 1:
            return False
        largest = -math.log2(float(_SLIPS[0]) / 2)
        level = math.log(1 / _DEPTH_ALARM)
        return bool(excess > math.sqrt(2 * variance * level) + largest * level / 3)


def mixed_with(weights: Floats, forecasts: Floats) -> Floats:
    """Return [row, n] probabilities.

    Args:
        weights: [row, learner, slip].
        forecasts: [learner, row, n].
    """
    mixed: Floats = np.einsum("rl,lrn->rn", weights @ (1 - _SLIPS), forecasts) + (weights @ _SLIPS).sum(1)[:, None] / 2
    return mixed


def _slipped(forecasts: Floats) -> Floats:
    """Return [learner, slip, n]: forecasts pulled towards even odds."""
    return (1 - _SLIPS[None, :, None]) * forecasts[:, None, :] + _SLIPS[None, :, None] / 2


def remembered(probability: float, outcomes: tuple[int, int]) -> float:
    """Return a forecast for what was already tried.

    Args:
        probability: of the outcome, from everything else.
        outcomes: how often it happened, and how often not.
    """
    odds = math.log(max(probability, 1e-6) / max(1 - probability, 1e-6))
    odds += (outcomes[0] - outcomes[1]) * math.log(_REPEATS / (1 - _REPEATS))
    return 1 / (1 + math.exp(-max(-12.0, min(12.0, odds))))
