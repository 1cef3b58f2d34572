"""The one place that decides whether a call is hit: lease, unit, cohort, share and draw. Injectors ask it at each call."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from refute.core.arming import Arming, Landing
from refute.core.context import UnitContext, current_unit, shielded
from refute.core.draws import uniform
from refute.core.errors import refuse
from refute.core.lease import Lease

_REMEMBERED_CALLS = 2048
"""Logical calls remembered in one unit; beyond them the oldest is forgotten, and a retry of it would be drawn anew."""


class Drawn:
    """The result of one draw, shared by everything that it covers: attempts of a logical call, or calls of a unit."""

    __slots__ = ("delivered", "hit")

    def __init__(self, *, hit: bool = True) -> None:
        """Start undelivered."""
        self.hit = hit
        self.delivered = False


@dataclass(frozen=True, slots=True)
class Hit:
    """A call that is to be hit.

    Attributes:
        unit: the unit that it belongs to.
        rng: seeded for this call, for a fault that draws values.
        drawn: the draw that it comes from.
    """

    unit: UnitContext
    rng: random.Random
    drawn: Drawn = field(default_factory=Drawn)


class _LogicalCall:
    """One logical call: its number in the unit, its attempts so far, and how the last one ended."""

    __slots__ = ("drawn", "failed", "ordinal", "tries")

    def __init__(self, ordinal: int) -> None:
        self.ordinal = ordinal
        self.tries = 0
        self.failed = False
        self.drawn: Drawn | None = None


class _Seen:
    """What a switch remembers of one unit."""

    __slots__ = ("calls", "conversation", "count")

    def __init__(self) -> None:
        self.calls: dict[str | int, _LogicalCall] = {}
        self.conversation: Drawn | None = None
        self.count = 0

    def call(self, identity: str | int, number: int | Callable[[], int]) -> _LogicalCall:
        """Return the logical call that an attempt belongs to: one that is known, or a new one."""
        known = self.calls.get(identity)
        if known is not None:
            told = number() if callable(number) else number
            if told > 0 or (told < 0 and known.failed):
                known.tries += 1
                known.failed = False
                return known
            del self.calls[identity]
        call = self.calls[identity] = _LogicalCall(self.count)
        self.count += 1
        if len(self.calls) > _REMEMBERED_CALLS:
            del self.calls[next(iter(self.calls))]
        return call


class Attempt:
    """One attempt of a logical call, and what was decided for it.

    Attributes:
        hit: None where it goes through untouched.
    """

    __slots__ = ("_call", "hit")

    def __init__(self, call: _LogicalCall, hit: Hit | None) -> None:
        """Tie the decision to its call."""
        self._call = call
        self.hit = hit

    def ended(self, *, failed: bool) -> None:
        """Note how the attempt ended for the caller, so that a retry of it is known as one.

        Args:
            failed: whether the caller saw an error or a spoilt answer. Without this note a hit counts as failed, anything
                else as fine.
        """
        self._call.failed = failed


class Switch:
    """Decides, counts, and never hits control, shielded code, background work, or anything after the lease.

    `eligible` and `injected` count draws: logical calls, attempts or conversations, as the arming says. `effect` counts
    what was delivered, each attempt by itself.

    Args:
        arming: what is armed.
        lease: read at each call.
        lone_unit: the unit to which calls without unit context belong. None: what `adopt_strays` set, else nobody's.

    Raises:
        RefuteError: a draw that is not there yet (`NOT-YET`).
    """

    def __init__(self, arming: Arming, lease: Lease, lone_unit: UnitContext | None = None) -> None:
        """Start with all counts at zero."""
        if arming.draw == "burst":
            raise refuse("NOT-YET", "bursts cannot be drawn yet", seen="draw: burst", allowed="call, attempt or conversation")
        self.arming = arming
        self.lease = lease
        self._name = arming.component.name
        self._lone = lone_unit or _strays.unit
        self._lone_seen = _Seen()
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._effect: Counter[str] = Counter()

    def decide(self, identity: str | int, attempt: int) -> Hit | None:
        """Say whether this call is hit; count its draw as eligible either way.

        Args:
            identity: what stays the same between the attempts of one logical call (a digest of the request).
            attempt: number of the attempt where the client says so, else -1.

        Returns:
            The hit, or None where the call goes through untouched.
        """
        unit = self.unit_of_call()
        made = None if unit is None else self.attempt(unit, identity, attempt)
        return None if made is None else made.hit

    def unit_of_call(self) -> UnitContext | None:
        """Return the unit that the running code calls for; None where no fault may touch the call.

        A call that belongs to no unit is counted as unattributed.
        """
        if shielded.get():
            return None
        unit = current_unit.get() or self._lone
        if unit is None:
            with self._lock:
                self._counts["unattributed"] += 1
        return unit

    def attempt(self, unit: UnitContext, identity: str | int, number: int | Callable[[], int]) -> Attempt | None:
        """Decide for a call that is known to be eligible.

        Args:
            unit: from `unit_of_call`, which may have been asked earlier and elsewhere.
            identity: see `decide`.
            number: see `decide`; as a function, asked only where it matters.

        Returns:
            The attempt, hit or not; None once the lease has ended.
        """
        if self.lease.remaining_s() <= 0:
            return None
        seen = self._lone_seen if unit is self._lone else unit.kept(self, _Seen)
        with self._lock:
            call = seen.call(identity, number)
            drawn = call.drawn or self._draw(unit, seen, call)
        hit = None
        if drawn.hit:
            call.failed = True
            hit = Hit(unit, random.Random(f"{self.arming.seed}/{unit.key}/{self._name}/{call.ordinal}"), drawn)
        return Attempt(call, hit)

    def delivered(self, hit: Hit, effect: str) -> None:
        """Count a hit once its effect has reached the caller.

        Args:
            hit: from `decide`.
            effect: name of what was delivered.
        """
        if _strays.witness is not None:
            _strays.witness()
        with self._lock:
            self._effect[effect] += 1
            first, hit.drawn.delivered = not hit.drawn.delivered, True
            if first:
                self._counts["control_injected" if hit.unit.arm == "control" else "injected"] += 1
        if first:
            hit.unit.saw_hit(self._name)

    def landing(self) -> Landing:
        """Return the counts so far."""
        with self._lock:
            counts = self._counts
            return Landing(
                counts["eligible"],
                counts["injected"],
                counts["control_eligible"],
                counts["control_injected"],
                counts["unattributed"],
                dict(self._effect),
            )

    def _draw(self, unit: UnitContext, seen: _Seen, call: _LogicalCall) -> Drawn:
        """Draw, count, and keep the result for whatever else it covers."""
        draw = self.arming.draw
        if draw == "conversation" and seen.conversation is not None:
            return seen.conversation
        place = "\x1f0" if draw == "conversation" else f"call-{call.ordinal}\x1f{call.tries if draw == 'attempt' else 0}"
        unit.saw_eligible(self._name)
        treated = unit.arm == "treatment"
        self._counts["eligible" if treated else "control_eligible"] += 1
        came_up = uniform(self.arming.seed, f"hit\x1f{unit.key}\x1f{self._name}\x1f{place}") < self.arming.share
        if came_up:
            unit.saw_drawn(self._name)  # in control too, so that the same units can be compared
        drawn = Drawn(hit=treated and came_up)
        if draw == "call":
            call.drawn = drawn
        elif draw == "conversation":
            seen.conversation = drawn
        return drawn


class _Strays:
    """Who owns calls without unit context in this process."""

    unit: UnitContext | None = None
    witness: Callable[[], None] | None = None


_strays = _Strays()


def adopt_strays(unit: UnitContext | None, witness: Callable[[], None] | None = None) -> None:
    """Let calls without unit context belong to one unit, for programs that know nothing of units; None ends that.

    Args:
        unit: owner of the calls, in all switches made from now on.
        witness: called at each delivery, before the caller sees its effect.
    """
    _strays.unit, _strays.witness = unit, witness
