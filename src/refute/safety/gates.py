"""Gates: what must be true before anything is applied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from refute.core.arming import Arming, Handle
from refute.core.errors import Problem
from refute.injectors.registry import choose, struck_elsewhere
from refute.safety.far import mechanism
from refute.safety.journal import Journal
from refute.safety.summon import post_beside, summon


class Planned(Protocol):
    """What gates look at: an experiment that is about to run."""

    @property
    def handles(self) -> Sequence[Handle]:
        """Return the handles that it would apply."""
        ...


class Gate(Protocol):
    """One condition that an experiment must meet."""

    @property
    def name(self) -> str:
        """Return what the condition is called in events."""
        ...

    def refuse(self, planned: Planned) -> Problem | None:
        """Say why the experiment may not run, or return None where it may."""
        ...


@dataclass(frozen=True, slots=True)
class RollbackNeedsGuardian:
    """Faults that outlive their process need a guardian that outlives the runner.

    Attributes:
        lacking: says why no guardian is there, or "" where one is.
        name: of the gate.
    """

    lacking: Callable[[], str]
    name: str = "rollback_needs_guardian"

    def refuse(self, planned: Planned) -> Problem | None:
        """Refuse journalled rollbacks where no guardian is there."""
        lasting = [handle for handle in planned.handles if handle.rollback == "journalled"]
        if not lasting or not (reason := self.lacking()):
            return None
        return Problem(
            "GATE-GUARDIAN",
            "this fault outlives its process, and there is no guardian that would remove it",
            seen=reason,
            allowed="faults that end with their lease",
            next="refute faults",
        )


@dataclass(frozen=True, slots=True)
class OneKindOfRollback:
    """Faults that strike at once share a lease, and with it whoever removes them.

    Attributes:
        name: of the gate.
    """

    name: str = "one_kind_of_rollback"

    def refuse(self, planned: Planned) -> Problem | None:
        """Refuse faults of which some end with their process and others outlive it."""
        if len({handle.rollback for handle in planned.handles}) < 2:
            return None
        what = "one of its faults ends with its process and another outlives it: they cannot share a lease"
        return Problem("FAULT-COMBINE", what, allowed="faults of one kind at once", next="refute faults")


def rollback_ready(arming: Arming, journal: Journal) -> str:
    """Say who removes a fault; where a guardian must, one is there when this returns.

    Args:
        arming: the fault, aimed.
        journal: the rollback journal.

    Raises:
        RefuteError: nothing can inject it (`INJECTOR-NONE`), or no guardian can be had (`GUARDIAN-…`).
    """
    if struck_elsewhere(arming):
        return f"the guardian of {arming.component.place.host} applies {arming.fault} by {mechanism(arming)} and removes it"
    hand = choose(arming)
    if hand.rollback_kind == "expiring":
        return f"{arming.fault} ends with its lease"
    guardian = summon(post_beside(journal))
    return f"the guardian, process {guardian}, applies {arming.fault} by {hand.name} and removes it"


def refusals(gates: Sequence[Gate], planned: Planned) -> list[tuple[str, Problem]]:
    """Return the gates that refuse, by name, each with its reason; none where the experiment may run."""
    return [(gate.name, problem) for gate in gates if (problem := gate.refuse(planned)) is not None]
