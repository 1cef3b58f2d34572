"""Turns started units into what a sequential test reads: begun, settled or skipped, in the order of intended start."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from refute.core.measure import Measure
from refute.core.outcome import Outcome, Slot


@dataclass(frozen=True, slots=True)
class Begun:
    """A unit that counts, unless it turns out not to be eligible, has started.

    Attributes:
        place: in the order of intended start among those that count, from 0.
        treatment: whether it is in treatment.
        share: probability with which it was put there, in [0, 1].
    """

    place: int
    treatment: bool
    share: float = 0.5


@dataclass(frozen=True, slots=True)
class Settled:
    """A unit has ended.

    Attributes:
        place: as in `Begun`.
        breach: 0 to 1; None where it was not eligible and does not count.
    """

    place: int
    breach: float | None


class Feed:
    """Reads units once each; one whose indicator could not be evaluated stays open for ever: the worst case for any verdict.

    Args:
        measure: reads an outcome as a breach.
        control: whether control units count too, for a comparison.
        eligible: whether an ended unit counts. None: all do.
        independent: whether only the first unit of each user counts, where a user's units share an arm.
        step: the step of a ramp whose units count; None for all.
    """

    def __init__(
        self,
        measure: Measure,
        *,
        control: bool,
        eligible: Callable[[Outcome], bool] | None = None,
        independent: bool = True,
        step: int | None = None,
    ) -> None:
        """Start with nothing read."""
        self._independent = independent
        self._step = step
        self._measure = measure
        self._control = control
        self._eligible = eligible
        self._begun = 0
        self._open: dict[int, None] = {}

    def read(self, slots: Sequence[Slot]) -> Iterator[Begun | Settled]:
        """Yield what is new.

        Args:
            slots: all units started so far, in the order of their intended start.
        """
        mine = self._mine(slots)
        for place in range(self._begun, len(mine)):
            self._open[place] = None
            yield Begun(place, mine[place].arm == "treatment", mine[place].share)
        self._begun = len(mine)
        for place in [place for place in self._open if mine[place].outcome is not None]:
            settled = self._settle(place, mine[place])
            if settled is not None:
                del self._open[place]
                yield settled

    def _settle(self, place: int, slot: Slot) -> Settled | None:
        outcome = slot.outcome
        if outcome is None:
            return None
        if self._eligible is not None and not self._eligible(outcome):
            return Settled(place, None)
        breach = self._measure.breach(outcome)
        return None if breach is None else Settled(place, breach)

    def _mine(self, slots: Sequence[Slot]) -> list[Slot]:
        covered = (slot for slot in slots if self._measure.covers(slot.journey) and self._step in {None, slot.step})
        counted = independent(covered) if self._independent else covered
        return [slot for slot in counted if slot.arm == "treatment" or (self._control and slot.arm == "control")]


def independent(slots: Iterable[Slot]) -> Iterator[Slot]:
    """Yield the slots whose arms were drawn independently: the first of each user, and each that stands for itself."""
    seen: set[str] = set()
    for slot in slots:
        if slot.subject in seen:
            continue
        if slot.subject:
            seen.add(slot.subject)
        yield slot
