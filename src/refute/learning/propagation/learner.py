"""The learner that planners ask: forecasts for any faults, from the propagation model kept honest by `trust`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from refute.learning.propagation.kinds import Floats
from refute.learning.propagation.model import PropagationModel, model_of
from refute.learning.propagation.plain import PlainLearner
from refute.learning.propagation.space import Call, Faults, Run
from refute.learning.propagation.trust import Trust, remembered

_EDGE: Final = 1e-4


@dataclass(frozen=True, slots=True)
class Forecast:
    """What faults are expected to do.

    Attributes:
        landed: probability that all of them strike.
        available: probability that the entry point answers, given that they do.
        degraded: probability that it answers with less, given that they do.
    """

    landed: float
    available: float
    degraded: float


@dataclass(slots=True)
class Learner:
    """Forecasts, updated run by run.

    Attributes:
        model: of propagation.
        plain: the factorised learner that it is held against.
        trust: in either.
        tried: how often the entry point answered, and how often not, by faults.
    """

    model: PropagationModel
    plain: PlainLearner = field(default_factory=PlainLearner)
    trust: Trust = field(default_factory=Trust)
    tried: dict[Faults, tuple[int, int]] = field(default_factory=dict)

    @property
    def calls(self) -> Mapping[str, Call]:
        """Calls that are known to exist."""
        return self.model.structure.calls

    def available(self, sets: Sequence[Faults], calls: Mapping[str, Call] | None = None) -> Floats:
        """Return [set] probabilities that the entry point answers if all faults of a set strike.

        Args:
            sets: of faults.
            calls: by id, for those that were never seen.
        """
        mixed = self.trust.mix(self._apart(sets, calls))
        for position, faults in enumerate(sets):
            if faults in self.tried:
                mixed[position] = remembered(float(mixed[position]), self.tried[faults])
        return np.clip(mixed, _EDGE, 1 - _EDGE)

    def forecast(self, faults: Faults, calls: Mapping[str, Call] | None = None) -> Forecast:
        """Return what one set of faults is expected to do."""
        landed, _ = self.model.forecast([faults], calls)
        available = float(self.available([faults], calls)[0])
        return Forecast(float(landed[0]), available, available * self.model.degraded(faults))

    def observe(self, run: Run, calls: Mapping[str, Call], *, random: bool = False) -> None:
        """Learn from a run.

        Args:
            run: with the faults that landed; without any it teaches only which calls there are.
            calls: at least those that it made, by id.
            random: whether it was drawn at random.
        """
        if run.faults:
            said = self._apart([run.faults], calls)[:, 0]
            if run.faults not in self.tried:
                self.trust.see(said, run.available, random=random)
            answered, failed = self.tried.get(run.faults, (0, 0))
            self.tried[run.faults] = (answered + run.available, failed + (not run.available))
        self.plain.observe(run)
        self.model.observe(run, calls)

    def _apart(self, sets: Sequence[Faults], calls: Mapping[str, Call] | None) -> Floats:
        return np.stack([self.model.forecast(sets, calls)[1], self.plain.forecast(sets)])


def learner_of(calls: Mapping[str, Call], steady: Run, kinds: Iterable[str]) -> Learner:
    """Return a learner that knows the run without faults.

    Args:
        calls: at least those that it made.
        steady: the run.
        kinds: of the faults that will be asked about.
    """
    return Learner(model_of(calls, steady, kinds))
