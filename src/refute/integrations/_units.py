"""The units of live traffic that this process begins for one phase of a run: whose each is, in which cohort, what became of it."""

from __future__ import annotations

import os
import secrets
import threading
from collections import deque
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, TypeVar

from refute.core.clock import lease_now_s
from refute.core.cohort import report, start_report
from refute.core.context import Arm, Count, UnitContext
from refute.core.draws import in_treatment
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
        self._seed, self._cohort, self._timeout_s = int(watch["seed"]), float(watch["cohort"]), float(watch["timeout_s"])
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

    def begin(self, whose: str, journey: str) -> LiveUnit | None:
        """Begin a unit; None where none may begin now.

        Args:
            whose: what decides its cohort, such as a user's name; it is not told to anybody. "" for nobody's.
            journey: user journey, or "".
        """
        with self._lock:
            if self._begun >= self._granted:
                return None
            self._begun += 1
            number = self._begun
        at_s, whose = lease_now_s(), whose or secrets.token_hex(8)
        cluster = blake2b(whose.encode(), key=self._salt, digest_size=8).hexdigest()
        arm: Arm = "treatment" if in_treatment(self._seed, whose, self._cohort) else "control"
        unit = LiveUnit(f"{cluster}/{self.phase}-{os.getpid():x}-{number:x}", arm, self, at_s)
        self._open[unit.key] = unit
        self.tell(start_report(unit.baggage, cluster, journey, at_s))
        return unit

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
