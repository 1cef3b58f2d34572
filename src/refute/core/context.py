"""Which unit a call belongs to: set by whoever starts the unit, read by hooks in the same context."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from refute.core.draws import numbers

if TYPE_CHECKING:
    from refute.core.deviation import Action

Arm = Literal["treatment", "control"]
Count = Literal["eligible", "drawn", "hit"]


class Keeper(Protocol):
    """Keeps something in the units that it meets."""

    component: str

    def eligible(self, kept: Any) -> int:
        """Return how many eligible calls what it keeps in a unit stands for, which it did not report by `saw_eligible`."""
        ...


class UnitContext:
    """One unit under way: its key, its arm, and what faults have met so far. Shared by the threads and tasks of the unit.

    Args:
        key: the unit's key, `case/occurrence[/session]`.
        arm: cohort that it is in.

    Attributes:
        numbers: what is drawn for its first calls (`draws.numbers`), ready before any of them is made.
        memory: what each keeper keeps about it; it goes when the unit goes.
        actions: calls of tools that are recorded; None where nobody asks for them.
    """

    __slots__ = ("_counts", "_lock", "actions", "arm", "key", "memory", "numbers")

    tells: ClassVar[bool] = False
    """Whether `saw_eligible` must hear of each call at once."""

    def __init__(self, key: str, arm: Arm) -> None:
        """Start with nothing seen."""
        self.key = key
        self.arm = arm
        self.numbers = numbers(key, 0)
        self.memory: dict[Keeper, Any] = {}
        self.actions: list[Action] | None = None
        self._lock = threading.Lock()
        self._counts: dict[tuple[Count, str], int] = {}

    @property
    def user(self) -> str:
        """Return whose unit it is: a case stands for a user, and its repeats are the same user coming again."""
        return self.key.partition("/")[0]

    def saw_eligible(self, component: str) -> None:
        """Note a call that the armed fault could hit; in control too."""
        self._count("eligible", component)

    def saw_drawn(self, component: str) -> None:
        """Note a call whose draw came up; in control too, where the call is spared."""
        self._count("drawn", component)

    def saw_hit(self, component: str) -> None:
        """Note a call that the fault did hit."""
        self._count("hit", component)

    def eligible(self) -> dict[str, int]:
        """Return the number of eligible calls by component."""
        seen = self._counted("eligible")
        for keeper, kept in list(self.memory.items()):
            if count := keeper.eligible(kept):
                seen[keeper.component] = seen.get(keeper.component, 0) + count
        return seen

    def drawn(self) -> dict[str, int]:
        """Return the number of calls whose draw came up, by component."""
        return self._counted("drawn")

    def hits(self) -> dict[str, int]:
        """Return the number of calls hit by component."""
        return self._counted("hit")

    def _count(self, what: Count, component: str) -> None:
        with self._lock:
            self._counts[what, component] = self._counts.get((what, component), 0) + 1

    def _counted(self, what: Count) -> dict[str, int]:
        with self._lock:
            return {component: count for (counted, component), count in self._counts.items() if counted == what}


current_unit: ContextVar[UnitContext | None] = ContextVar("refute_unit", default=None)
"""The unit that the running code works for; None in background work."""

shielded: ContextVar[bool] = ContextVar("refute_shielded", default=False)
"""True in code of our own (the load generator, indicators, judges), which no fault may touch."""
