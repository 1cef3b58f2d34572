"""The one place that decides whether a call is hit: lease, unit, cohort, share and draw. Injectors ask it at each call."""

from __future__ import annotations

import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from refute.core.arming import Arming, Landing
from refute.core.context import UnitContext, current_unit, shielded
from refute.core.draws import BLOCK, WORD, CallDraws, uniform
from refute.core.errors import refuse
from refute.core.lease import Lease
from refute.core.system import ComponentKind
from refute.injectors._calls import Attempt, Drawn, Hit, Identity, LogicalCall, Reading, Seen


class Ticks:
    """A counter that any thread may advance without a lock: `tick` is one step of an iterator, which the interpreter never splits."""

    __slots__ = ("_lock", "_reads", "tick")

    def __init__(self) -> None:
        """Start at zero."""
        self.tick = itertools.count().__next__
        self._reads = 0
        self._lock = threading.Lock()

    def read(self) -> int:
        """Return how often it was advanced; asking takes a step too, which is subtracted."""
        with self._lock:
            self._reads += 1
            return self.tick() + 1 - self._reads


_LITERALLY = Reading(lambda request: [request], lambda trace: hash(trace[0]), hash)
"""Reads requests that are nothing but a text."""


_ANSWERING: frozenset[ComponentKind] = frozenset({"llm", "embedder", "guardrail_model"})
_MODELS_READ = 4
_LONGEST_NAME = 120


class Switch:
    """Decides, counts, and never hits control, shielded code, background work, or anything after the lease.

    `eligible` and `injected` count draws: logical calls, attempts or conversations, as the arming says. `effect` counts
    what was delivered, each attempt by itself.

    A call is decided on in one of two ways that come to the same. `missed` knows at a glance nearly every call that is not hit;
    whatever it cannot tell so is left to `unit_of_call` and `attempt`, without having been counted.

    Args:
        arming: what is armed.
        lease: read at each call.
        lone_unit: the unit to which calls without unit context belong. None: what `adopt_strays` set, else nobody's.
        reading: how to read the requests given to `missed` and `failed`.

    Attributes:
        component: name of the component.
        missed: decides at the least cost on a request whose logical call is drawn, and could be hit whatever it says. Returns the
            unit, where the call is new, not hit, and now counted: it is to go through untouched. Else None.

    Raises:
        RefuteError: a draw that is not there yet (`NOT-YET`).
    """

    def __init__(
        self,
        arming: Arming,
        lease: Lease,
        lone_unit: UnitContext | None = None,
        reading: Reading = _LITERALLY,
    ) -> None:
        """Start with all counts at zero."""
        if arming.draw == "burst":
            raise refuse("NOT-YET", "bursts cannot be drawn yet", seen="draw: burst", allowed="call, attempt or conversation")
        self.arming = arming
        self.lease = lease
        self.component = arming.component.name
        self._reading = reading
        self._draws = CallDraws(arming.seed, self.component, arming.share)
        self._lone = lone_unit or _strays.unit
        self._lone_seen = Seen()
        self._lock = threading.Lock()
        self._eligible = {"treatment": Ticks(), "control": Ticks()}
        self._unattributed = Ticks()
        self._injected = {"treatment": 0, "control": 0}
        self._effect: Counter[str] = Counter()
        self._spared: Counter[str] = Counter()
        self._cut = 0
        self._models: set[str] = set()
        self._to_read = _MODELS_READ if arming.component.kind in _ANSWERING and arming.share > 0 else 0
        self._users: dict[tuple[str, str], Drawn] = {}
        self.missed = self._glance()

    def _glance(self) -> Callable[[Any], UnitContext | None]:
        """Return `missed`; what it needs are its own variables, as it runs at every call of the program that a fault is armed for.

        What is kept of a call that it lets pass is its identity, as its client may try it again though its reply began well; of a unit's
        first call only a trace, of which the identity is told once a second one comes.
        """
        lease, root, now_s = self.lease, self.lease.root, self.lease.root.now_s
        factor, below = self._draws.factor, self._draws.below
        unit_now, is_shielded, lone = current_unit.get, shielded.get, self._lone
        count = {arm: ticks.tick for arm, ticks in self._eligible.items()}
        reading, lock = self._reading, self._lock
        trace, identify = reading.trace, reading.identify

        def missed(request: Any) -> UnitContext | None:
            unit = unit_now() or lone
            if unit is None or unit.tells or is_shielded():
                return None
            if lease.over or root.over or root.deadline_s <= now_s():  # `Lease.lasts`, without a call
                return None
            if self in unit.memory or unit is lone:
                return missed_later(unit, request)
            if unit.numbers[0] * factor & WORD < below:  # `CallDraws.hits`, without a call
                return None
            passed = trace(request)
            if unit.memory.setdefault(self, passed) is not passed:
                return missed_later(unit, request)
            count[unit.arm]()
            return unit

        def missed_later(unit: UnitContext, request: Any) -> UnitContext | None:
            identity = identify(request)
            with lock:
                seen = self._seen(unit)
                ordinal = seen.count
                number = unit.numbers[ordinal] if ordinal < BLOCK else seen.number(unit, ordinal)
                if identity in seen.calls or number * factor & WORD < below:
                    return None
                seen.let_pass(identity)
            count[unit.arm]()
            return unit

        return missed

    def failed(self, unit: UnitContext, request: Any) -> None:
        """Note that a call which was not hit ended badly for the caller by itself, so that a retry of it is known as one.

        Args:
            unit: from `missed`.
            request: what `missed` was given.
        """
        with self._lock:
            self._seen(unit).failed(self._reading.identify(request))

    def decide(self, identity: Identity, attempt: int) -> Hit | None:
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
            self._unattributed.tick()
        return unit

    def attempt(self, unit: UnitContext, identity: Identity, number: int | Callable[[], int]) -> Attempt | None:
        """Decide for a call that is known to be eligible.

        Args:
            unit: from `unit_of_call`, which may have been asked earlier and elsewhere.
            identity: see `decide`.
            number: see `decide`; as a function, asked only where it matters.

        Returns:
            The attempt, hit or not; None once the lease has ended.
        """
        if not self.lease.lasts():
            return None
        with self._lock:
            seen = self._seen(unit)
            call = seen.call(identity, number)
            if not self._in_turn(unit, seen, call):
                return Attempt(call, None)
            drawn = call.drawn or self._draw(unit, seen, call)
        hit = None
        if drawn.hit:
            call.failed = True
            hit = Hit(unit, random.Random(f"{self.arming.seed}/{unit.key}/{self.component}/{call.ordinal}"), drawn)
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
                self._injected[hit.unit.arm] += 1
        if first or self.arming.draw == "user":
            hit.unit.saw_hit(self.component)

    @property
    def curious(self) -> bool:
        """Whether replies that are left untouched are still to be read for the name of the model that answers: a few are enough."""
        return self._to_read > 0

    def will_read(self) -> None:
        """Note that one more of them is being read."""
        self._to_read -= 1

    def answered(self, model: str) -> None:
        """Note the model that an untouched reply names, "" where it names none."""
        if model:
            with self._lock:
                self._models.add(model[:_LONGEST_NAME])

    def could_not(self, why: str) -> None:
        """Count a call that reached the component, and that the fault cannot hit.

        Args:
            why: what kind of call it was, as it follows "calls".
        """
        with self._lock:
            self._spared[why] += 1

    def cut_off(self) -> None:
        """Count a hit that is not delivered because the lease has ended since it was decided."""
        with self._lock:
            self._cut += 1

    def landing(self) -> Landing:
        """Return the counts so far; where nothing could be hit, what the calls were that were seen."""
        with self._lock:
            could_not = "; ".join(f"calls {why}: {count}" for why, count in sorted(self._spared.items()))
            eligible = {arm: ticks.read() for arm, ticks in self._eligible.items()}
            return Landing(
                eligible["treatment"],
                self._injected["treatment"],
                eligible["control"],
                self._injected["control"],
                self._unattributed.read(),
                dict(self._effect),
                reason="" if any(eligible.values()) else could_not,
                cut=self._cut,
                models=tuple(sorted(self._models)),
            )

    def eligible(self, kept: Any) -> int:
        """See `Keeper.eligible`."""
        return kept.passed if isinstance(kept, Seen) else 1

    def _seen(self, unit: UnitContext) -> Seen:
        """Return what is remembered of a unit; what `missed` left of its first call becomes a part of it."""
        if unit is self._lone:
            return self._lone_seen
        kept = unit.memory.get(self) or unit.memory.setdefault(self, Seen())
        if isinstance(kept, Seen):
            return kept
        seen = unit.memory[self] = Seen()
        seen.let_pass(self._reading.retrace(kept))
        return seen

    def _draw(self, unit: UnitContext, seen: Seen, call: LogicalCall) -> Drawn:
        """Draw, count, and keep the result for whatever else it covers."""
        draw = self.arming.draw
        if seen.conversation is not None:
            return seen.conversation
        unit.saw_eligible(self.component)
        came_up = self._comes_up(unit, seen, call)
        if came_up:
            unit.saw_drawn(self.component)  # in control too, so that the same units can be compared
        drawn = self._users.get((unit.arm, unit.user)) if draw == "user" else None
        if drawn is None:
            self._eligible[unit.arm].tick()
            drawn = Drawn(hit=came_up and unit.arm == "treatment")
        if draw == "call":
            call.drawn = drawn
        elif draw in {"conversation", "user"}:
            seen.conversation = drawn
        if draw == "user":
            self._users[unit.arm, unit.user] = drawn
        return drawn

    def _in_turn(self, unit: UnitContext, seen: Seen, call: LogicalCall) -> bool:
        """Say whether a call is the one that can be hit; any, where no turn is named."""
        if not self.arming.turn or call.ordinal == self.arming.turn - 1:
            return True
        if call.ordinal >= 0 and call.tries == 0:
            seen.number(unit, call.ordinal)  # numbers are drawn for one call after the other
        return False

    def _comes_up(self, unit: UnitContext, seen: Seen, call: LogicalCall) -> bool:
        """Draw, whatever the unit's arm."""
        if self.arming.draw == "call":
            return self._draws.hits(seen.number(unit, call.ordinal))
        if self.arming.draw == "user":
            return uniform(self.arming.seed, "hit", "user", unit.user, self.component) < self.arming.share
        place = "" if self.arming.draw == "conversation" else f"{call.ordinal}\x1f{call.tries}"
        return uniform(self.arming.seed, "hit", unit.key, self.component, self.arming.draw, place) < self.arming.share


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
