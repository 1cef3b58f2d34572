"""The units of live traffic that this process begins for one phase of a run: whose each is, in which cohort, what became of it."""

from __future__ import annotations

import os
import secrets
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any, TypeVar

from refute.core.audience import Audience, arm_of, side
from refute.core.clock import lease_now_s
from refute.core.cohort import Start, report, start_report
from refute.core.context import Arm, Count, UnitContext
from refute.core.link import Message
from refute.injectors.ingress import Ingress
from refute.integrations._judge import Judge, Read

T = TypeVar("T")


class LiveUnit(UnitContext):
    """A unit that this process has begun.

    Args:
        key: the unit's.
        arm: its cohort.
        units: where it was begun.
        at_s: when, on `lease_now_s`.

    Attributes:
        baggage: the signed members that carry it to other services.
        at_s: when it began.
    """

    __slots__ = ("_units", "at_s", "baggage")

    tells = True

    def __init__(self, key: str, arm: Arm, units: Units, at_s: float) -> None:
        """Begin."""
        super().__init__(key, arm)
        self._units, self.at_s = units, at_s
        self.baggage = units.ingress.seal.baggage(key, arm)

    @property
    def reads_bodies(self) -> bool:
        """Whether an indicator reads what is asked and answered."""
        return self._units.reads_bodies

    def end(self, error: str, case: Any, answer: Any) -> None:
        """End it, once; see `Units.end`."""
        self._units.end(self, error, case, answer)

    def saw_eligible(self, component: str) -> None:
        """See `UnitContext.saw_eligible`."""
        self._saw("eligible", component)

    def saw_drawn(self, component: str) -> None:
        """See `UnitContext.saw_drawn`."""
        self._saw("drawn", component)

    def saw_hit(self, component: str) -> None:
        """See `UnitContext.saw_hit`."""
        self._saw("hit", component)

    def _saw(self, count: Count, component: str) -> None:
        self._count(count, component)
        self._units.tell(report(self.baggage, count, component))


class Units:
    """Those of one phase.

    Each start, and what each call meets, is told before the code under observation goes on, so that a process which dies of a fault
    hides nothing; where that would make it wait, it is told a moment later instead.

    Args:
        watch: what the run has asked for.
        ingress: the way to it.
        judge: reads the indicators.
    """

    def __init__(self, watch: Message, ingress: Ingress, judge: Judge) -> None:
        """Begin none yet."""
        self.phase: str = watch["phase"]
        self.ingress, self._judge = ingress, judge
        self._seed, self._timeout_s = int(watch["seed"]), float(watch["timeout_s"])
        self._audience = Audience.from_json(watch["audience"])
        self._drawn = float(watch["share"]), int(watch["step"])
        self._granted = int(watch["units"])
        self._salt = ingress.seal.salt
        self._lock = threading.Lock()
        self._begun = 0
        self._open: dict[str, LiveUnit] = {}
        self._ended: deque[Message] = deque()
        self._late: deque[str] = deque()

    @property
    def reads_bodies(self) -> bool:
        """Whether an indicator reads what is asked and answered."""
        return self._judge.reads_bodies

    def grant(self, units: int) -> None:
        """Allow so many units in all."""
        self._granted = max(self._granted, units)

    def stop(self) -> None:
        """Begin no more."""
        self._granted = 0

    def widen(self, share: float, step: int) -> None:
        """Put a larger share into treatment from now on.

        Args:
            share: in [0, 1].
            step: of a ramp, from 0.
        """
        self._drawn = share, step

    def begin(self, case: Mapping[str, str]) -> LiveUnit | None:
        """Begin a unit; None where none may begin now.

        Args:
            case: its `journey`, "" for none, and what else is known of it: whose it is, among others. It is not told to anybody.
        """
        with self._lock:
            if self._begun >= self._granted:
                return None
            self._begun += 1
            number = self._begun
        at_s, (share, step) = lease_now_s(), self._drawn
        named = self._audience.subject(case) if case.get(self._audience.by) else ""
        subject = blake2b(named.encode(), key=self._salt, digest_size=8).hexdigest() if named else ""
        key = f"{subject or secrets.token_hex(8)}/{self.phase}-{os.getpid():x}-{number:x}"
        where = side(self._seed, named or key, share, inside=self._inside(case))
        unit = LiveUnit(key, arm_of(where), self, at_s)
        self._open[key] = unit
        self.tell(start_report(unit.baggage, Start(key, where, subject, case["journey"], at_s, share, step)))
        return unit

    def _inside(self, case: Mapping[str, str]) -> bool:
        """Whether a unit may see a fault. What does not say all that the run asks for is spared: it might be somebody who must be."""
        audience = self._audience
        asked = {name for one in audience.without for name in one.cases} | ({audience.by} if audience.by else set())
        return asked <= case.keys() and bool(not audience.by or case[audience.by]) and audience.includes(case)

    def tell(self, datagram: bytes) -> None:
        """Report something, now or with the next news."""
        if not self.ingress.told(datagram):
            self._late.append(datagram.decode())

    def end(self, unit: LiveUnit, error: str, case: Any, answer: Any) -> None:
        """End a unit, once; its indicators are read elsewhere, and later.

        Args:
            unit: which.
            error: name of what went wrong, or "".
            case: what was asked.
            answer: what was answered.
        """
        latency_s = lease_now_s() - unit.at_s
        if self._open.pop(unit.key, None) is None:
            return
        if latency_s > self._timeout_s:
            error, latency_s = "timeout", self._timeout_s
        self._judge.ask(error, latency_s, case, answer, lambda read: self._ended.append(_ended(unit, latency_s, error, read)))

    def news(self) -> Message:
        """Return what has not been told yet; a unit past its deadline ends here."""
        for unit in self._overdue():
            self.end(unit, "timeout", None, None)
        return {"op": "units", "phase": self.phase, "begun": self._begun, "ended": _taken(self._ended), "late": _taken(self._late)}

    def _overdue(self) -> Iterator[LiveUnit]:
        until_s = lease_now_s() - self._timeout_s
        return (unit for unit in list(self._open.values()) if unit.at_s < until_s)


def _taken(waiting: deque[T]) -> list[T]:
    """Take what is there now, while others add to it."""
    return [waiting.popleft() for _ in range(len(waiting))]


def _ended(unit: LiveUnit, latency_s: float, error: str, read: Read) -> Message:
    values, cost = read
    return {"unit": unit.key, "latency_s": latency_s, "error": error, "values": values, "cost": cost}
