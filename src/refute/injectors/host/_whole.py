"""What all injectors of this room share: a component is struck as a whole, and looked at to see whether it is."""

from __future__ import annotations

import sys
from collections.abc import Collection

from refute.core.arming import Arming, Handle, Landing
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
    fault = catalogue()[arming.fault]
    if arming.component.kind not in fault.kinds:
        return f"{arming.fault} does not apply to a {arming.component.kind}"
    scale, value = fault.magnitude, arming.magnitude
    if scale is not None and value is not None and not scale.low <= value <= scale.high:
        return f"magnitude {value:g} {scale.unit} is outside {scale.low:g} to {scale.high:g} {scale.unit}"
    if arming.share != 1.0:
        return f"{arming.fault} strikes a component as a whole: it has no share"
    return ""


def arming_of(handle: Handle) -> Arming:
    """Return what a handle was prepared for."""
    return Arming.from_json(handle.data["arming"])


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
