"""What services tell of live traffic, put into one order: which units give evidence, what became of each, how many more there may be."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Hashable, Mapping
from typing import Any

from refute.core.cohort import Seal, Start, read_report, read_start
from refute.core.context import Count
from refute.core.link import Message
from refute.core.outcome import Outcome, Slot
from refute.experiment.tape import ObservedTape

ORDER_S = 0.1
"""How long a start is waited for that came earlier and is heard of later, in seconds."""

_LOST_S = 1.0
_REMEMBERED = 8192
_FIRST = 2
_AHEAD = 5
_LITTLE = 0.05


class Sightings:
    """One phase of live traffic, seen by any number of processes.

    A place in the order goes to a unit as soon as its start is known, so that nothing is conditioned on its end.

    Args:
        tape: filled.
        began_s: when the phase began, on `lease_now_s`.
        timeout_s: after it a unit counts as failed.
        seal: knows forged reports.
    """

    def __init__(self, tape: ObservedTape, began_s: float, timeout_s: float, seal: Seal) -> None:
        """Start with nothing seen."""
        self._tape, self._began_s, self._timeout_s, self._seal = tape, began_s, timeout_s, seal
        self._waiting: dict[str, Start] = {}
        self._open: dict[str, tuple[Start, int]] = {}
        self._counts: OrderedDict[str, Counter[tuple[Count, str]]] = OrderedDict()
        self._ended: dict[str, Mapping[str, Any]] = {}

    def hear(self, datagram: bytes) -> None:
        """Take a report that a unit has started, or of what one of its calls met; forged ones count for nothing."""
        start = read_start(datagram, self._seal)
        if start is not None:
            self._waiting[start.key] = start
        elif (counted := read_report(datagram, self._seal)) is not None:
            key, count, component = counted
            self._counts.setdefault(key, Counter())[count, component] += 1
            if len(self._counts) > _REMEMBERED:
                self._counts.popitem(last=False)

    def take(self, message: Message) -> None:
        """Take what a process tells on its link: reports that found no room as datagrams, and units that have ended."""
        for datagram in message["late"]:
            self.hear(datagram.encode())
        self._ended |= {ended["unit"]: ended for ended in message["ended"]}

    def advance(self, now_s: float) -> list[Outcome]:
        """Give places to units that have started, and outcomes to those that have ended or are past their deadline.

        Args:
            now_s: on `lease_now_s`.
        """
        for start in sorted(self._waiting.values(), key=lambda start: start.at_s):
            if start.at_s <= now_s - ORDER_S:
                del self._waiting[start.key]
                self._place(start)
        known = [self._outcome(key, self._ended.pop(key)) for key in list(self._open) if key in self._ended]
        lost = [self._outcome(key, self._lost()) for key, (start, _) in list(self._open.items()) if self._is_lost(start, now_s)]
        outcomes = known + lost
        if outcomes:
            self._tape.add(self._tape.started, outcomes)
        return outcomes

    @property
    def settled(self) -> bool:
        """Whether all that has been heard of has its place, and every place its outcome or no hope of one."""
        return not self._waiting and not self._tape.open()

    def _place(self, start: Start) -> None:
        slot = Slot(start.side, start.journey, None, start.share, start.subject, start.step)
        self._open[start.key] = start, self._tape.begin(slot, start.at_s - self._began_s)

    def _is_lost(self, start: Start, now_s: float) -> bool:
        """Say whether a unit must have gone with its process. One that could not be hit by then is left open: it might not count."""
        late = now_s - start.at_s > self._timeout_s + _LOST_S
        return late and any(count == "eligible" for count, _ in self._counts.get(start.key, ()))

    def _lost(self) -> Mapping[str, Any]:
        return {"latency_s": self._timeout_s, "values": {}, "error": "lost", "cost": {}}

    def _outcome(self, key: str, ended: Mapping[str, Any]) -> Outcome:
        start, index = self._open.pop(key)
        counts = self._counts.pop(key, Counter())

        def of(what: Count) -> dict[str, int]:
            return {component: number for (count, component), number in counts.items() if count == what}

        return Outcome(
            key, start.subject or key, start.side, start.journey, index, start.at_s - self._began_s, ended["latency_s"],
            ended["values"], of("eligible"), of("hit"), ended["error"], ended["cost"], of("drawn"),
        )  # fmt: skip


class Allotment:
    """Hands out how many units each process may begin, so that all together never begin more than there may be.

    Who begins many gets many more; who begins none keeps a few.

    Args:
        most: units of all processes together.
    """

    def __init__(self, most: int) -> None:
        """Hand out nothing yet."""
        self._left = self._most = most
        self._granted: dict[Hashable, int] = {}
        self._begun: dict[Hashable, int] = {}
        self.full = False
        """Whether nothing is left to hand out, somebody could have done with more, and little lies about with others."""

    def first(self, who: Hashable) -> int:
        """Return what a process may begin at first."""
        return self._grant(who, _FIRST)

    def more(self, who: Hashable, begun: int) -> int | None:
        """Return how many a process may now have begun in all; None where that has not changed.

        Args:
            who: the process.
            begun: how many it has begun so far.
        """
        lately = begun - self._begun.get(who, 0)
        self._begun[who] = begun
        short = begun + max(_FIRST, _AHEAD * lately) - self._granted.get(who, 0)
        before = self._granted.get(who, 0)
        after = self._grant(who, max(0, short))
        self.full = self.full or (self._left == 0 and begun >= after and self._lying_about() <= self._little())
        return after if after > before else None

    def drop(self, who: Hashable) -> None:
        """Take note that a process is gone; what it was granted is not handed out again, as it may have begun all of it."""
        self._granted.pop(who, None)
        self._begun.pop(who, None)

    def _lying_about(self) -> int:
        return sum(granted - self._begun.get(who, 0) for who, granted in self._granted.items())

    def _little(self) -> float:
        return _FIRST * len(self._granted) + self._most * _LITTLE

    def _grant(self, who: Hashable, units: int) -> int:
        units = min(units, self._left)
        self._left -= units
        self._granted[who] = self._granted.get(who, 0) + units
        return self._granted[who]
