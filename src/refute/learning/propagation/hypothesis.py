"""What must be so if calls failed together that, for all that is known, cannot: one of them was made because another had failed."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace

from refute.learning.propagation.space import Call
from refute.learning.propagation.structure import Handler, Slot, Structure


def supposing(structure: Structure, struck: Sequence[Call]) -> Structure:
    """Return the structure in which every struck call has a place.

    A call of the site of a known one, but later, is its retry. Otherwise it is made instead of another struck call, or instead of the
    call on that one's way to the entry point whose caller makes the new one, too. Where nothing fits the structure is left as it is.

    Args:
        structure: what is known.
        struck: calls that are said to have failed together.
    """
    missing = [call for call in struck if call.id not in structure.calls]
    if not missing:
        return structure
    supposed = replace(structure, calls=copy(structure.calls), alternates=dict(structure.alternates), _names=dict(structure._names))  # noqa: SLF001
    supposed.know(missing)
    for call in missing:
        slot = _retried(supposed, call) or _replaced(supposed, call, [other for other in struck if other is not call])
        if slot is not None:
            supposed.alternates[slot] = (*supposed.alternates.get(slot, ()), call.site)
    return supposed


def retrying(structure: Structure, struck: Call) -> Structure | None:
    """Return the structure in which a call is tried again when it fails, None where it is known what happens then.

    Args:
        structure: what is known.
        struck: a known call.
    """
    at = next((slot for slot in structure.slots() if structure.site_of(slot) == struck.site and slot not in structure.alternates), None)
    if at is None:
        return None
    return replace(structure, alternates={**structure.alternates, at: (struck.site,)})


def _retried(structure: Structure, call: Call) -> Slot | None:
    """Return the last attempt at the call's own site."""
    slots = [slot for slot in structure.slots() if structure.site_of(slot) == call.site and slot not in structure.alternates]
    return max(slots, key=lambda slot: (slot.attempt, slot.place), default=None)


def _replaced(structure: Structure, call: Call, others: list[Call]) -> Slot | None:
    """Return the slot, on another struck call's way to the entry point, that the same component fills."""
    for other in others:
        at = next((slot for slot in structure.slots() if structure.site_of(slot) == other.site), None)
        seen: set[Handler] = set()
        while at is not None and at.handler not in seen:
            if at.handler.site.callee == call.site.caller:
                return at
            seen.add(at.handler)
            at = _slot_above(structure, at.handler)
    return None


def _slot_above(structure: Structure, handler: Handler) -> Slot | None:
    return next((slot for slot in structure.slots() if structure.site_of(slot) == handler.site), None)
