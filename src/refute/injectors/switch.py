"""The one place that decides whether a call is hit: lease, unit, cohort, share and draw. Injectors ask it at each call."""

from __future__ import annotations

import random
import threading
from collections import Counter
from dataclasses import dataclass

from refute.core.arming import Arming, Landing
from refute.core.context import UnitContext, current_unit, shielded
from refute.core.draws import uniform
from refute.core.lease import Lease


@dataclass(frozen=True, slots=True)
class Hit:
    """A call that is to be hit.

    Attributes:
        unit: the unit that it belongs to.
        rng: seeded for this call, for a fault that draws values.
    """

    unit: UnitContext
    rng: random.Random


class Switch:
    """Decides, counts, and never hits control, shielded code, background work, or anything after the lease.

    Args:
        arming: what is armed.
        lease: read at each call.
    """

    def __init__(self, arming: Arming, lease: Lease) -> None:
        """Start with all counts at zero."""
        self.arming = arming
        self.lease = lease
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._effect: Counter[str] = Counter()
        self._last_call: dict[tuple[str, str], tuple[int, bool]] = {}

    def decide(self, identity: str, attempt: int) -> Hit | None:
        """Say whether this call is hit; count it as eligible either way.

        Args:
            identity: what stays the same between the attempts of one logical call (a digest of the request).
            attempt: number of the attempt where the client says so, else -1.

        Returns:
            The hit, or None where the call goes through untouched.
        """
        if shielded.get():
            return None
        unit = current_unit.get()
        if unit is None:
            self._count("unattributed")
            return None
        if self.lease.remaining_s() <= 0:
            return None
        name = self.arming.component.name
        ordinal = self._ordinal(unit, identity, attempt)
        unit.saw_eligible(name)
        if unit.arm == "control":
            self._count("control_eligible")
            return None
        self._count("eligible")
        tries = attempt if self.arming.draw == "attempt" else 0
        place = ("", 0) if self.arming.draw == "conversation" else (identity_of(ordinal), tries)
        if uniform(self.arming.seed, "hit", unit.key, name, *place) >= self.arming.share:
            return None
        return Hit(unit, random.Random(f"{self.arming.seed}/{unit.key}/{name}/{ordinal}"))

    def delivered(self, hit: Hit, effect: str) -> None:
        """Count a hit once its effect has reached the caller.

        Args:
            hit: from `decide`.
            effect: name of what was delivered.
        """
        hit.unit.saw_hit(self.arming.component.name)
        with self._lock:
            self._counts["control_injected" if hit.unit.arm == "control" else "injected"] += 1
            self._effect[effect] += 1

    def landing(self) -> Landing:
        """Return the counts so far."""
        with self._lock:
            return Landing(**dict(self._counts), effect=dict(self._effect))

    def _count(self, name: str) -> None:
        with self._lock:
            self._counts[name] += 1

    def _ordinal(self, unit: UnitContext, identity: str, attempt: int) -> int:
        """Number the logical call within its unit; a retry keeps the number of its first try."""
        place = (unit.key, identity)
        with self._lock:
            known = self._last_call.get(place)
        if attempt > 0 and known is not None:
            return known[0]
        ordinal = unit.ordinal(self.arming.component.name, "")
        with self._lock:
            self._last_call[place] = (ordinal, False)
        return ordinal


def identity_of(ordinal: int) -> str:
    """Return the part of a draw that names the logical call."""
    return f"call-{ordinal}"
