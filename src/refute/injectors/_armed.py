"""One fault on one function: decides on each call and plays the strike, in threads and in coroutines alike."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Hashable
from dataclasses import replace
from typing import Any

from refute.core.arming import Landing
from refute.core.context import current_unit, shielded
from refute.faults.spec import Fault
from refute.injectors._memory import Memory
from refute.injectors.switch import Hit, Switch
from refute.wire.exchange import UNCHANGED, PythonCall, PythonStrike

Script = Generator[float | None, Any, Any]
"""A strike as steps: seconds to wait (answered with whether they all passed) or None to call the function (answered with its result)."""

_SLICE_S = 0.2


class Armed:
    """One armed fault.

    Args:
        switch: decides and counts.
        fault: what strikes; it has a `strike_python`.
    """

    def __init__(self, switch: Switch, fault: Fault) -> None:
        """Start with nothing remembered and nothing held."""
        self.switch = switch
        self.memory = Memory(fault.remembers)
        self._fault = fault
        self._lock = threading.Lock()
        self._off = threading.Event()
        self._holding = 0
        self._missed: Counter[str] = Counter()

    def script(self, call: PythonCall, identity: Hashable) -> Script | None:
        """Decide on one call, and return what is to happen to it where it is hit.

        Args:
            call: the call.
            identity: equal for equal arguments.
        """
        if self.memory.size:
            call = replace(call, earlier=self.memory.others(identity))
        if self._fault.matches_python is not None and not self._fault.matches_python(call):
            if current_unit.get() is not None and not shielded.get():
                self._miss("calls could not be hit by this fault, or not yet")
            return None
        hit = self.switch.decide(f"{call.name}/{hash(identity)}", -1)
        if hit is None or self._off.is_set() or self._fault.strike_python is None:
            return None
        return self._play(hit, self._fault.strike_python(call, self.switch.arming.magnitude, hit.rng))

    def remember(self, identity: Hashable, result: Any) -> None:
        """Keep a real answer of a unit's call, for faults that need it."""
        if self.memory.size and current_unit.get() is not None and not shielded.get():
            self.memory.keep(identity, result)

    def off(self) -> None:
        """End the fault: no new strike, waits end within a moment, nothing is remembered."""
        self._off.set()
        self.memory.clear()

    @property
    def holding(self) -> bool:
        """Say whether a call is still being held."""
        return self._holding > 0

    def landing(self) -> Landing:
        """Return what has been delivered, and why not more."""
        landing = self.switch.landing()
        with self._lock:
            reasons = [f"{count} {what}" for what, count in sorted(self._missed.items())]
        if not reasons and landing.eligible + landing.control_eligible == 0:
            reasons = [_why_nothing(self.switch.arming.component.python, landing.unattributed)]
        return replace(landing, reason="; ".join(reasons))

    def wait(self, seconds: float) -> bool:
        """Hold a call; return whether the whole time passed with the fault still armed."""
        with self._lock:
            self._holding += 1
        try:
            for part in _slices(seconds):
                if self._off.is_set() or self.switch.lease.wait_revoked(part):
                    return False
            return not self._off.is_set()
        finally:
            with self._lock:
                self._holding -= 1

    async def wait_async(self, seconds: float) -> bool:
        """Do what `wait` does without blocking the event loop."""
        with self._lock:
            self._holding += 1
        try:
            for part in _slices(seconds):
                if self._off.is_set() or await self.switch.lease.wait_revoked_async(part):
                    return False
            return not self._off.is_set()
        finally:
            with self._lock:
                self._holding -= 1

    def _play(self, hit: Hit, strike: PythonStrike) -> Script:
        """Yield the steps of a strike; a wait that is cut short leaves the rest of the call untouched and uncounted."""
        if strike.hold_s > 0 and not (yield strike.hold_s):
            return (yield None)
        if strike.raises is not None and not strike.call_first:
            self.switch.delivered(hit, strike.effect)
            raise strike.raises
        if strike.raises is None and strike.rewrite is None:
            self.switch.delivered(hit, strike.effect)
        result = yield None
        if strike.hold_after_s > 0 and not (yield strike.hold_after_s):
            return result
        if strike.raises is not None:
            self.switch.delivered(hit, strike.effect)
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
        self.switch.delivered(hit, strike.effect)
        return changed

    def _miss(self, what: str) -> None:
        with self._lock:
            self._missed[what] += 1


def play(script: Script, call: Callable[[], Any], wait: Callable[[float], bool]) -> Any:
    """Run a script in this thread.

    Args:
        script: from `Armed.script`.
        call: calls the function.
        wait: holds the call.
    """
    answer: Any = None
    while True:
        try:
            step = script.send(answer)
        except StopIteration as end:
            return end.value
        answer = call() if step is None else wait(step)


async def play_async(script: Script, call: Callable[[], Awaitable[Any]], wait: Callable[[float], Awaitable[bool]]) -> Any:
    """Do what `play` does for a coroutine function."""
    answer: Any = None
    while True:
        try:
            step = script.send(answer)
        except StopIteration as end:
            return end.value
        answer = await (call() if step is None else wait(step))


def _slices(seconds: float) -> Generator[float, None, None]:
    while seconds > 0:
        yield min(seconds, _SLICE_S)
        seconds -= _SLICE_S


def _why_nothing(function: str, unattributed: int) -> str:
    if unattributed:
        return f"all {unattributed} calls of {function} came from background work, which belongs to no unit"
    return f"{function} was not called while armed, or through a reference that a closure or an object keeps"
