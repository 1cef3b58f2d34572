"""Rules that choose the next experiment, all from the same learner: ours, and those that they have to beat."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np

from refute.learning.planner.information import Information
from refute.learning.planner.lineage import Lineage
from refute.learning.propagation.kinds import Floats
from refute.learning.propagation.learner import Learner
from refute.learning.propagation.space import Faults, Run
from refute.learning.value import Prices

_TIE: Final = 1e-9
_NOVELTY: Final = 1.0
"""Worth of a bit about what happens, whether or not forecasts hang on it: the model may be wrong about that."""
PER_RISK: Final = Prices(fixed=1.0, risk=8.0)


class Chooser(Protocol):
    """Scores candidates; the highest is run next."""

    def scores(self, learner: Learner, pool: Sequence[Faults]) -> Floats:
        """Return [candidate] scores."""
        ...

    def told(self, run: Run) -> None:
        """Take note of a run."""
        ...


@dataclass(slots=True)
class _Forgetful:
    """A chooser that knows what the learner knows."""

    rng: random.Random

    def told(self, run: Run) -> None:
        """Take no note."""


class Random(_Forgetful):
    """Any candidate."""

    __slots__ = ()

    def scores(self, learner: Learner, pool: Sequence[Faults]) -> Floats:  # noqa: ARG002
        """Return random scores."""
        return np.array([self.rng.random() for _ in pool])


class Exhaustive(_Forgetful):
    """One after the other, as they are listed."""

    __slots__ = ()

    def scores(self, learner: Learner, pool: Sequence[Faults]) -> Floats:  # noqa: ARG002
        """Return scores that fall along the list."""
        return -np.arange(len(pool), dtype=float)


@dataclass(slots=True)
class _Informed(_Forgetful):
    """A chooser that looks at prospects."""

    information: Information = field(init=False)

    def __post_init__(self) -> None:
        self.information = Information(self.rng)


class RiskRanked(_Informed):
    """The likeliest outage first."""

    __slots__ = ()

    def scores(self, learner: Learner, pool: Sequence[Faults]) -> Floats:
        """Return predicted probabilities of an outage."""
        return 1 - self.information.outcomes(learner, pool).available


class Uncertainty(_Informed):
    """The least certain forecast first."""

    __slots__ = ()

    def scores(self, learner: Learner, pool: Sequence[Faults]) -> Floats:
        """Return closeness of the forecast to even odds."""
        return 0.5 - np.abs(self.information.outcomes(learner, pool).available - 0.5)


class ByInformation(_Informed):
    """What lowers the uncertainty of the whole space most."""

    __slots__ = ()

    def scores(self, learner: Learner, pool: Sequence[Faults]) -> Floats:
        """Return expected bits."""
        return np.array([one.bits + _NOVELTY * one.surprise for one in self.information.prospects(learner, pool)])


@dataclass(slots=True)
class InformationPerRisk(_Informed):
    """Expected bits by what running the experiment costs, V/(c₀ + λR)."""

    prices: Prices = PER_RISK

    def scores(self, learner: Learner, pool: Sequence[Faults]) -> Floats:
        """Return bits per price."""
        prospects = self.information.prospects(learner, pool)
        return np.array([(one.bits + _NOVELTY * one.surprise) / (self.prices.fixed + self.prices.risk * one.risk) for one in prospects])


def best(scores: Floats, rng: random.Random) -> int:
    """Return the position of a highest score, any of those that tie."""
    return rng.choice(np.flatnonzero(scores >= scores.max() - _TIE).tolist())


CHOOSERS: Final[dict[str, Callable[[random.Random], Chooser]]] = {
    "random": Random,
    "exhaustive": Exhaustive,
    "risk_ranked": RiskRanked,
    "uncertainty": Uncertainty,
    "lineage": Lineage,
    "information": ByInformation,
    "information_per_risk": InformationPerRisk,
}
