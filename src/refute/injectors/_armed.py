"""One fault on one function: decides on each call and plays the strike, in threads and in coroutines alike."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from refute.core.arming import Arming, Landing
from refute.core.lease import Lease
from refute.faults.spec import Fault
from refute.injectors._calls import Attempt, Hit
from refute.injectors._memory import Memory
from refute.injectors.sublease import Sublease
from refute.injectors.switch import Switch
from refute.wire.exchange import UNCHANGED, PythonCall, PythonStrike

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
"""Positional arguments, and those by keyword."""

Script = Generator[float | Arguments | None, Any, Any]
"""A strike as steps: seconds to wait (answered with whether they all passed), or None to call the function, or arguments to call it with
(answered with its result)."""


class Begun:
    """One call of a unit, under one armed fault.

    Attributes:
        armed: the fault.
        script: what is to happen to the call; None where it goes through untouched.
    """

    __slots__ = ("_attempt", "_identity", "armed", "script")

    def __init__(self, armed: Armed, identity: Hashable, attempt: Attempt | None, script: Script | None) -> None:
        """Tie the call to what was decided for it."""
        self.armed = armed
        self.script = script
        self._attempt = attempt
        self._identity = identity

    def answered(self, result: Any) -> None:
        """Note what the function really returned."""
        if self.armed.memory.size:
            self.armed.memory.keep(self._identity, result)

    def failed(self) -> None:
        """Note that the caller sees an exception, so that its retry is known as one."""
        if self._attempt is not None:
            self._attempt.ended(failed=True)


class Armed:
    """One armed fault.

    Args:
        arming: what is armed.
        fault: what strikes; it has a `strike_python`.
        lease: for how long.
    """

    def __init__(self, arming: Arming, fault: Fault, lease: Lease) -> None:
        """Start with nothing remembered and nothing held."""
        self.arming = arming
        self.memory = Memory(fault.remembers)
        self._lease = Sublease(lease)
        self._switch = Switch(arming, self._lease)
        self._fault = fault
        self._lock = threading.Lock()
        self._holding = 0
        self._missed: Counter[str] = Counter()

    def begin(self, call: PythonCall, identity: Hashable) -> Begun | None:
        """Decide on one call; None where it belongs to no unit and is none of our business.

        Args:
            call: the call.
            identity: equal for equal arguments.
        """
        unit = self._switch.unit_of_call()
        if unit is None:
            return None
        if self.memory.size:
            call = replace(call, earlier=self.memory.others(identity), first=self.memory.first(identity))
        if self.arming.component.stand_in:
            call = replace(call, stand_in=self.arming.component.stand_in)
        if self._fault.matches_python is not None and not self._fault.matches_python(call):
            self._miss("calls could not be hit by this fault, or not yet")
            return Begun(self, identity, None, None)
        attempt = self._switch.attempt(unit, hash(identity), -1)
        if attempt is None or attempt.hit is None or self._fault.strike_python is None:
            return Begun(self, identity, attempt, None)
        strike = self._fault.strike_python(call, self.arming.magnitude, attempt.hit.rng)
        return Begun(self, identity, attempt, self._play(attempt, attempt.hit, strike))

    def off(self) -> None:
        """End the fault: no new strike, waits end within a moment, nothing is remembered."""
        self._lease.revoke()
        self.memory.clear()

    @property
    def holding(self) -> bool:
        """Say whether a call is still being held."""
        return self._holding > 0

    def landing(self) -> Landing:
        """Return what has been delivered, and why not more."""
        landing = self._switch.landing()
        with self._lock:
            reasons = [f"{count} {what}" for what, count in sorted(self._missed.items())]
        if not reasons and landing.eligible + landing.control_eligible == 0:
            reasons = [_why_nothing(self.arming.component.python, landing.unattributed)]
        return replace(landing, reason="; ".join(reasons), cut=landing.cut + self._lease.cut_short())

    def wait(self, seconds: float) -> bool:
        """Hold a call; return whether the whole time passed with the fault still armed."""
        with self._held():
            return not self._lease.wait_revoked(seconds)

    async def wait_async(self, seconds: float) -> bool:
        """Do what `wait` does without blocking the event loop."""
        with self._held():
            return not await self._lease.wait_revoked_async(seconds)

    @contextmanager
    def _held(self) -> Iterator[None]:
        with self._lock:
            self._holding += 1
        try:
            yield
        finally:
            with self._lock:
                self._holding -= 1

    def _play(self, attempt: Attempt, hit: Hit, strike: PythonStrike) -> Script:
        """Yield the steps of a strike; a wait that is cut short leaves the rest of the call untouched and uncounted."""
        if strike.hold_s > 0 and not (yield strike.hold_s):
            attempt.ended(failed=False)
            return (yield None)
        if strike.raises is not None and not strike.call_first:
            self._switch.delivered(hit, strike.effect)
            raise strike.raises
        if strike.instead is not None:
            self._switch.delivered(hit, strike.effect)
            return strike.instead()
        if strike.twice:
            yield None
        if strike.raises is None and strike.rewrite is None:
            attempt.ended(failed=False)
            self._switch.delivered(hit, strike.effect)
        result = yield strike.arguments
        if strike.hold_after_s > 0 and not (yield strike.hold_after_s):
            attempt.ended(failed=False)
            return result
        if strike.raises is not None:
            self._switch.delivered(hit, strike.effect)
            raise strike.raises
        return self._rewritten(hit, strike, result)

    def _rewritten(self, hit: Hit, strike: PythonStrike, result: Any) -> Any:
        if strike.rewrite is None:
            return result
        try:
            changed = strike.rewrite(result)
        except Exception as error:  # noqa: BLE001  # a result of a type that resists must reach the caller as it was
            self._miss(f"results could not be changed ({type(error).__name__} on a {type(result).__name__})")
            return result
        if changed is UNCHANGED:
            self._miss(f"results had nothing to change (a {type(result).__name__})")
            return result
        self._switch.delivered(hit, strike.effect)
        return changed

    def _miss(self, what: str) -> None:
        with self._lock:
            self._missed[what] += 1


def play(script: Script, call: Callable[[Arguments | None], Any], arguments: Arguments | None, wait: Callable[[float], bool]) -> Any:
    """Run a script in this thread.

    Args:
        script: from `Armed.script`.
        call: calls the function with what it is given, or, given None, with the caller's arguments.
        arguments: what a fault further out passes on in the place of the caller's.
        wait: holds the call.
    """
    answer: Any = None
    while True:
        try:
            step = script.send(answer)
        except StopIteration as end:
            return end.value
        answer = wait(step) if isinstance(step, float | int) else call(arguments if step is None else step)


async def play_async(
    script: Script,
    call: Callable[[Arguments | None], Awaitable[Any]],
    arguments: Arguments | None,
    wait: Callable[[float], Awaitable[bool]],
) -> Any:
    """Do what `play` does for a coroutine function."""
    answer: Any = None
    while True:
        try:
            step = script.send(answer)
        except StopIteration as end:
            return end.value
        answer = await (wait(step) if isinstance(step, float | int) else call(arguments if step is None else step))


def _why_nothing(function: str, unattributed: int) -> str:
    if unattributed:
        return f"all {unattributed} calls of {function} came from background work, which belongs to no unit"
    return f"{function} was not called while armed, or through a reference that a closure or an object keeps"
