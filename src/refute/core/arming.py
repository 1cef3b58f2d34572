"""What an injector is asked to do, what it hands back, and what it proves."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol

from refute.core.lease import Lease
from refute.core.system import Component

Draw = Literal["call", "attempt", "burst", "conversation", "user"]
RollbackKind = Literal["expiring", "journalled", "elsewhere"]


@dataclass(frozen=True, slots=True)
class Arming:
    """One fault, aimed: what is broken, how hard, how often, for whom.

    Attributes:
        component: the target.
        fault: name in the catalogue, `family.kind`.
        magnitude: in the fault's own unit, None where it has none.
        share: probability in [0, 1] that an eligible draw is hit.
        draw: what is drawn: a logical call (its retries see the same), each attempt, a burst, a conversation (a unit with all its
            calls) or a user (all units of one case).
        cohort: share of units in treatment, in [0, 1].
        seed: same seed, same faults.
        turn: which of a unit's calls can be hit, from 1, counting those that the fault could hit; 0 for any.
    """

    component: Component
    fault: str
    magnitude: float | None = None
    share: float = 1.0
    draw: Draw = "call"
    cohort: float = 0.5
    seed: int = 0
    turn: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return asdict(self) | {"component": self.component.to_json()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Arming:
        """Return the arming that `to_json` wrote."""
        return cls(**(data | {"component": Component.from_json(data["component"])}))


@dataclass(frozen=True, slots=True)
class Handle:
    """What is needed to apply, prove and remove one fault, as plain JSON.

    Attributes:
        injector: entry-point name of the injector that made it.
        rollback: `expiring` (ends with the lease), `journalled` (any fresh process of this host can undo it from here) or
            `elsewhere` (the guardian of another host can, and says whether it has).
        data: whatever the injector needs, JSON only.
        id: unique.
    """

    injector: str
    rollback: RollbackKind
    data: dict[str, Any]
    id: str = field(default_factory=lambda: secrets.token_hex(6))

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Handle:
        """Return the handle that `to_json` wrote."""
        return cls(**data)


@dataclass(frozen=True, slots=True)
class Landing:
    """Proof, or lack of it, that a fault reached what it was meant for.

    Attributes:
        eligible: draws in treatment that the fault could have hit.
        injected: those that it did hit, counted where the effect was delivered.
        control_eligible: draws in control that it could have hit.
        control_injected: hits in control; anything but 0 voids the run.
        unattributed: calls to the target without unit context: counted, never faulted.
        cut: calls that were being held when the fault was removed: drawn, and not delivered for that reason alone.
        models: names that untouched replies gave of the model that answers, a few of them.
        effect: what was delivered, counted by name (`{"status 429": 14}`), or measured (`{"added_delay_s": 2.0}`).
        reason: why nothing or too little landed, where the injector knows.
    """

    eligible: int = 0
    injected: int = 0
    control_eligible: int = 0
    control_injected: int = 0
    unattributed: int = 0
    effect: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    cut: int = 0
    models: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return asdict(self) | {"models": list(self.models)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Landing:
        """Return the landing that `to_json` wrote."""
        return cls(**data | {"models": tuple(data.get("models", ()))})

    def __add__(self, other: Landing) -> Landing:
        """Add the counts of two processes that were armed alike."""
        names = self.effect.keys() | other.effect.keys()
        return Landing(
            self.eligible + other.eligible,
            self.injected + other.injected,
            self.control_eligible + other.control_eligible,
            self.control_injected + other.control_injected,
            self.unattributed + other.unattributed,
            {name: self.effect.get(name, 0) + other.effect.get(name, 0) for name in sorted(names)},
            "; ".join(dict.fromkeys(reason for reason in (self.reason, other.reason) if reason)),
            self.cut + other.cut,
            tuple(sorted({*self.models, *other.models})),
        )


def permitted(handle: Handle, lease: Lease) -> None:
    """Make sure that whatever applies a handle may, also where its injector would not ask.

    Raises:
        RefuteError: its component is off limits (`BLAST-NEVER`).
    """
    if "arming" in handle.data:
        lease.permits(Component.from_json(handle.data["arming"]["component"]), whole=handle.rollback == "journalled")


class Injector(Protocol):
    """A pair of hands: applies one kind of fault and takes it away again. Found by entry point `refute.injectors`."""

    name: str
    rollback_kind: RollbackKind

    def refuses(self, arming: Arming) -> str:
        """Say why this injector cannot do it, or return "" where it can."""
        ...

    def prepare(self, arming: Arming) -> Handle:
        """Make the handle, and with it the rollback, without any side effect."""
        ...

    def apply(self, handle: Handle, lease: Lease) -> None:
        """Apply the fault, for no longer than the lease, and only to what it permits (`Lease.permits`)."""
        ...

    def landed(self, handle: Handle) -> Landing:
        """Return what has been delivered so far."""
        ...

    def rollback(self, handle: Handle) -> None:
        """Remove the fault; calling it again changes nothing."""
        ...

    def verify(self, handle: Handle) -> bool:
        """Say whether the fault is provably gone."""
        ...
