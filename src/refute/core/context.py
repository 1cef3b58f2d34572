"""Which unit a call belongs to: set by whoever starts the unit, read by hooks in the same context."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Literal, TypeVar

_T = TypeVar("_T")

Arm = Literal["treatment", "control"]


class UnitContext:
    """One unit under way: its key, its arm, and what faults have met so far. Shared by the threads and tasks of the unit.

    Args:
        key: the unit's key, `case/occurrence[/session]`.
        arm: cohort that it is in.
    """

    __slots__ = ("_calls", "_drawn", "_eligible", "_hits", "_kept", "_lock", "arm", "key")

    def __init__(self, key: str, arm: Arm) -> None:
        """Start with nothing seen."""
        self.key = key
        self.arm = arm
        self._lock = threading.Lock()
        self._calls: dict[tuple[str, str], int] = {}
        self._eligible: dict[str, int] = {}
        self._drawn: dict[str, int] = {}
        self._hits: dict[str, int] = {}
        self._kept: dict[object, Any] = {}

    def ordinal(self, component: str, call: str) -> int:
        """Count the logical calls to a component and return this one's number, from 0.

        Args:
            component: name of the component.
            call: what tells parallel streams of calls apart; "" where nothing does.
        """
        with self._lock:
            number = self._calls.get((component, call), 0)
            self._calls[component, call] = number + 1
            return number

    def saw_eligible(self, component: str) -> None:
        """Note a call that the armed fault could hit; in control too."""
        with self._lock:
            self._eligible[component] = self._eligible.get(component, 0) + 1

    def saw_drawn(self, component: str) -> None:
        """Note a call whose draw came up; in control too, where the call is spared."""
        with self._lock:
            self._drawn[component] = self._drawn.get(component, 0) + 1

    def saw_hit(self, component: str) -> None:
        """Note a call that the fault did hit."""
        with self._lock:
            self._hits[component] = self._hits.get(component, 0) + 1

    def kept(self, owner: object, make: Callable[[], _T]) -> _T:
        """Return what an owner keeps about this unit, made at first use; it goes when the unit goes.

        Args:
            owner: whose it is, by identity.
            make: makes it.
        """
        mine: _T | None = self._kept.get(owner)
        if mine is None:
            with self._lock:
                mine = self._kept.setdefault(owner, make())
        return mine

    def eligible(self) -> dict[str, int]:
        """Return the number of eligible calls by component."""
        with self._lock:
            return dict(self._eligible)

    def drawn(self) -> dict[str, int]:
        """Return the number of calls whose draw came up, by component."""
        with self._lock:
            return dict(self._drawn)

    def hits(self) -> dict[str, int]:
        """Return the number of calls hit by component."""
        with self._lock:
            return dict(self._hits)


current_unit: ContextVar[UnitContext | None] = ContextVar("refute_unit", default=None)
"""The unit that the running code works for; None in background work."""

shielded: ContextVar[bool] = ContextVar("refute_shielded", default=False)
"""True in code of our own (the load generator, indicators, judges), which no fault may touch."""
