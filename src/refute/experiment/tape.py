"""The units of one phase in the order of their intended start, with their outcomes as they come in."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import Any

from refute.core.audience import Side
from refute.core.feed import independent
from refute.core.outcome import Outcome, Slot
from refute.experiment.cases import Unit

_GRACE_S = 1.0  # how much later than at its deadline an outcome may be heard of


class Tape:
    """Knows every unit's arm before it starts, so that nothing is conditioned on having finished.

    `elapsed_s` is the time since the phase's start, `halted` whether the load was told to start no more units; the run sets both.

    Args:
        phase: `check`, `baseline`, `inject` or `recover`.
        units: the same draw of units as the load generator's.
        planned: how many there will be at most.
        seed: of the cohorts.
        cohort: share in treatment, in [0, 1].

    Attributes:
        step: of a ramp, from 0.
        wider_from: the unit with which the present step began.
    """

    def __init__(self, phase: str, units: Iterator[Unit], planned: int, seed: int, cohort: float) -> None:
        """Start with no unit begun."""
        self.step = self.wider_from = 0
        self._seed = seed
        self._held: int | None = None
        self.phase = phase
        self.planned = planned
        self.started = 0
        self.elapsed_s = 0.0
        self.halted = False
        self.outcomes: list[Outcome] = []
        self._rate_per_s = self._timeout_s = math.inf
        self._units = list(islice(units, planned))
        self._slots = [Slot(unit.side(seed, cohort), unit.journey, None, cohort, unit.subject) for unit in self._units]
        self._treated_in_the_end = [slot.arm == "treatment" for slot in self._slots]

    def paced(self, rate_per_s: float, timeout_s: float) -> None:
        """State when units are due; without it none is ever overdue.

        Args:
            rate_per_s: units a second from the phase's start.
            timeout_s: after it a unit counts as failed.
        """
        self._rate_per_s, self._timeout_s = rate_per_s, timeout_s

    def leads_to(self, share: float) -> None:
        """State the largest share in treatment, where a ramp leads to more than the phase begins with.

        Args:
            share: in [0, 1].
        """
        self._treated_in_the_end = [unit.side(self._seed, share) == "treatment" for unit in self._units]

    def add(self, started: int, outcomes: list[Outcome]) -> None:
        """Take what the load generator reports.

        Args:
            started: units begun so far.
            outcomes: units that ended since the last report.
        """
        self.started = max(self.started, started)
        for outcome in outcomes:
            self._slots[outcome.index] = replace(self._slots[outcome.index], arm=outcome.arm, journey=outcome.journey, outcome=outcome)
        self.outcomes += outcomes

    def slots(self) -> list[Slot]:
        """Return the units started so far, in order."""
        return self._slots[: self.started if self._held is None else min(self.started, self._held)]

    @contextmanager
    def held_at(self, first: int) -> Iterator[None]:
        """Say nothing of a unit and those after it for as long as it is not settled in which arms they are.

        Args:
            first: its place in the order of intended start.
        """
        self._held = first
        try:
            yield
        finally:
            self._held = None

    def widen(self, first: int, share: float) -> None:
        """Begin the next step of a ramp: from a unit on, a larger share is in treatment.

        Args:
            first: its place in the order of intended start; it has not been told of.
            share: in [0, 1].
        """
        self.step, self.wider_from = self.step + 1, first
        for index in range(first, self.planned):
            slot, unit = self._slots[index], self._units[index]
            self._slots[index] = replace(slot, arm=unit.side(self._seed, share), share=share, step=self.step)

    def known(self, arm: Side, counts: Callable[[Slot], bool]) -> list[Outcome]:
        """Return the outcomes of one arm that count, one of each user where a user's units share an arm.

        Args:
            arm: which.
            counts: whether a unit does, by what is known of it before it ends.
        """
        counted = independent(slot for slot in self.slots() if counts(slot))
        return [slot.outcome for slot in counted if slot.arm == arm and slot.outcome is not None]

    def overdue(self) -> list[Outcome]:
        """Return a failure for each unit that is past its deadline and has not been heard of, as if it had ended then.

        A unit is due at its place in the plan, whether or not the load generator managed to start it: with open-loop load, a system
        (or a worker) that hangs fails the units that it keeps waiting. Nothing is due any more where the load was halted.
        """
        late_s = self.elapsed_s - self._timeout_s - _GRACE_S
        due = self.started if self.halted else self.planned
        return [
            Outcome("", slot.subject, slot.arm, slot.journey, index, self._due_s(index), self._timeout_s, error="timeout")
            for index, slot in enumerate(self._slots[:due])
            if slot.outcome is None and self._due_s(index) < late_s
        ]

    def _due_s(self, index: int) -> float:
        """Return when a unit was to start, in seconds since the phase's start."""
        return index / self._rate_per_s

    def judged(self) -> list[Outcome]:
        """Return what is known of all units, in the order of their intended start: those that ended, and those that are overdue."""
        return sorted([*self.outcomes, *self.overdue()], key=lambda outcome: outcome.index)

    def settled(self) -> list[Outcome]:
        """Return what is known of the first units in order, up to the first that may still end well in time."""
        late = {outcome.index: outcome for outcome in self.overdue()}
        known: list[Outcome] = []
        for index, slot in enumerate(self._slots):
            outcome = slot.outcome or late.get(index)
            if outcome is None:
                break
            known.append(outcome)
        return known

    def treated_left(self, counts: Callable[[Slot], bool]) -> int:
        """Return how many treatment units that count may still end, where a ramp goes as far as it may.

        Args:
            counts: whether a unit does, by what is known of it before it ends; of a ramp, at its last step.
        """
        both = zip(self._slots, self._treated_in_the_end, strict=True)
        return sum(1 for slot in independent(slot for slot, treated in both if treated and counts(slot)) if slot.outcome is None)

    def arms(self, components: Collection[str]) -> dict[str, dict[str, Any]]:
        """Return counts and mean indicators by arm, for display.

        Args:
            components: the targets, whose eligible and hit units are counted.
        """
        return {arm: _summary([outcome for outcome in self.outcomes if outcome.arm == arm], components) for arm in ("treatment", "control")}


class ObservedTape(Tape):
    """The units of live traffic: none is known before it starts, and each keeps the place at which its start was heard of.

    Args:
        phase: see `Tape`.
        planned: how many there will be at most.
        timeout_s: after it a unit counts as failed.
    """

    def __init__(self, phase: str, planned: int, timeout_s: float) -> None:
        """Start with no unit begun."""
        super().__init__(phase, iter(()), planned, 0, 0.0)
        self._timeout_s = timeout_s
        self._starts: list[float] = []

    def begin(self, slot: Slot, start_s: float) -> int:
        """Give a unit that has started the next place, and return it.

        Args:
            slot: with its cohort, and no outcome.
            start_s: when it started, in seconds since the phase's start.
        """
        self._slots.append(slot)
        self._starts.append(start_s)
        self.started = len(self._slots)
        return self.started - 1

    def leads_to(self, share: float) -> None:
        """Do nothing: which units will be in treatment at a larger share is not known."""

    def widen(self, _first: int, _share: float) -> None:
        """Begin the next step of a ramp; see `Tape.widen`. Each unit says itself which step it began in."""
        self.step, self.wider_from = self.step + 1, self.started

    def open(self) -> bool:
        """Say whether the outcome of a unit is still to come: one that is past its deadline is not waited for."""
        late = {outcome.index for outcome in self.overdue()}
        return any(slot.outcome is None and index not in late for index, slot in enumerate(self._slots))

    def treated_left(self, counts: Callable[[Slot], bool]) -> int:
        """Return how many treatment units that count may still end: each that is still to come might be one."""
        begun = independent(slot for slot in self._slots if slot.arm == "treatment" and counts(slot))
        return sum(1 for slot in begun if slot.outcome is None) + self.planned - self.started

    def _due_s(self, index: int) -> float:
        return self._starts[index]


def _summary(outcomes: list[Outcome], components: Collection[str]) -> dict[str, Any]:
    names = sorted({name for outcome in outcomes for name in outcome.values})
    values = {name: [value for outcome in outcomes if (value := outcome.values.get(name)) is not None] for name in names}
    return {
        "n": len(outcomes),
        "eligible": sum(1 for outcome in outcomes if any(outcome.eligible.get(name) for name in components)),
        "hit": sum(1 for outcome in outcomes if any(outcome.hits.get(name) for name in components)),
        "failed": sum(1 for outcome in outcomes if outcome.error),
        "indicators": {name: sum(seen) / len(seen) if seen else None for name, seen in values.items()},
    }
