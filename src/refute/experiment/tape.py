"""The units of one phase in the order of their intended start, with their outcomes as they come in."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from refute.core.context import Arm
from refute.core.draws import in_treatment
from refute.core.outcome import Outcome, Slot
from refute.experiment.cases import Unit


class Tape:
    """Knows every unit's arm before it starts, so that nothing is conditioned on having finished.

    Args:
        phase: `check`, `baseline`, `inject` or `recover`.
        units: the same draw of units as the load generator's.
        planned: how many there will be at most.
        seed: of the cohorts.
        cohort: share in treatment, in [0, 1].
    """

    def __init__(self, phase: str, units: Iterator[Unit], planned: int, seed: int, cohort: float) -> None:
        """Start with no unit begun."""
        self.phase = phase
        self.planned = planned
        self.started = 0
        self.outcomes: list[Outcome] = []
        self._slots: list[Slot] = [
            Slot("treatment" if in_treatment(seed, unit.key, cohort) else "control", unit.journey, None) for unit in islice(units, planned)
        ]

    def add(self, started: int, outcomes: list[Outcome]) -> None:
        """Take what the load generator reports.

        Args:
            started: units begun so far.
            outcomes: units that ended since the last report.
        """
        self.started = max(self.started, started)
        for outcome in outcomes:
            self._slots[outcome.index] = Slot(outcome.arm, outcome.journey, outcome)
        self.outcomes += outcomes

    def slots(self) -> list[Slot]:
        """Return the units started so far, in order."""
        return self._slots[: self.started]

    def planned_slots(self, arm: Arm, journey: str) -> Iterator[Slot]:
        """Yield all units of one arm, and of one journey where it is named, started or not."""
        return (slot for slot in self._slots if slot.arm == arm and (not journey or slot.journey == journey))

    def arms(self, component: str) -> dict[str, dict[str, Any]]:
        """Return counts and mean indicators by arm, for display.

        Args:
            component: the target, whose eligible and hit units are counted.
        """
        return {arm: _summary([outcome for outcome in self.outcomes if outcome.arm == arm], component) for arm in ("treatment", "control")}


def _summary(outcomes: list[Outcome], component: str) -> dict[str, Any]:
    names = sorted({name for outcome in outcomes for name in outcome.values})
    values = {name: [value for outcome in outcomes if (value := outcome.values.get(name)) is not None] for name in names}
    return {
        "n": len(outcomes),
        "eligible": sum(1 for outcome in outcomes if outcome.eligible.get(component)),
        "hit": sum(1 for outcome in outcomes if outcome.hits.get(component)),
        "failed": sum(1 for outcome in outcomes if outcome.error),
        "indicators": {name: sum(seen) / len(seen) if seen else None for name, seen in values.items()},
    }
