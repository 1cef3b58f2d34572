"""What all injectors of this room share: a component is struck as a whole, and looked at to see whether it is."""

from __future__ import annotations

import sys
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from refute.core.arming import Arming, Handle, Injector, Landing
from refute.core.errors import RefuteError, refuse
from refute.core.lease import Lease
from refute.faults.catalogue import catalogue


def misfit(arming: Arming, faults: Collection[str]) -> str:
    """Say why an arming is none of these faults, or not aimed as they are; "" where it is.

    Args:
        arming: what is asked for.
        faults: names that the injector can do.
    """
    if arming.fault not in faults:
        return f"not a fault for this injector, which can do {', '.join(faults)}"
    if not sys.platform.startswith("linux"):
        return f"{arming.fault} needs Linux"
    if reason := catalogue()[arming.fault].objection(arming.component.kind, arming.magnitude):
        return reason
    if arming.share != 1.0:
        return f"{arming.fault} strikes a component as a whole: it has no share"
    return ""


def arming_of(handle: Handle) -> Arming:
    """Return what a handle was prepared for."""
    return Arming.from_json(handle.data["arming"])


def magnitude_of(arming: Arming) -> float:
    """Return how hard a fault is to strike, in its unit; its typical magnitude where none was given."""
    scale = catalogue()[arming.fault].magnitude
    assert scale is not None
    return scale.or_typical(arming.magnitude)


def refused(arming: Arming, reason: str) -> RefuteError:
    """Return the error of a fault that cannot be done here."""
    return refuse("HOST-REFUSED", f"{arming.fault} cannot be done here", where=arming.component.name, seen=reason, next="refute doctor")


def permitted(arming: Arming, lease: Lease) -> None:
    """Make sure that the lease still runs, and covers the component.

    Raises:
        RefuteError: it has ended (`HOST-REFUSED`), or the component is off limits (`BLAST-NEVER`).
    """
    lease.permits(arming.component, whole=True)
    if lease.remaining_s() <= 0:
        raise refused(arming, "its lease ended before it could be applied")


@dataclass(frozen=True, slots=True)
class Lack:
    """What a host lacks for a fault; empty where it lacks nothing.

    Attributes:
        what: in words, "" for nothing.
        next: the command that would mend it, "" where none is known.
    """

    what: str = ""
    next: str = ""


class HostInjector(Injector, Protocol):
    """An injector that can tell what of it the host permits, whatever the target."""

    faults: tuple[str, ...]

    def lacks(self, fault: str) -> Lack:
        """Say what the host lacks for one of its faults; nothing is changed by asking."""
        ...

    def means(self, fault: str) -> str:
        """Say by what it would be done, where nothing is lacking: a version, a place."""
        ...


class Looks:
    """Counts, by handle, the looks at a component that was struck, and those that saw the effect."""

    def __init__(self) -> None:
        """Start with none."""
        self._seen: dict[str, list[int]] = {}

    def note(self, handle: Handle, effect: dict[str, float], reason: str = "") -> Landing:
        """Count one look and return what all have come to.

        Args:
            handle: as applied.
            effect: what was measured; empty where nothing was seen.
            reason: why nothing was seen.
        """
        counts = self._seen.setdefault(handle.id, [0, 0])
        counts[0] += 1
        counts[1] += bool(effect)
        return Landing(eligible=counts[0], injected=counts[1], effect=effect, reason=reason)
