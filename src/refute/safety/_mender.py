"""Rolls back what nobody else looks after, again and again with growing pauses, and never gives up silently."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from refute.core.arming import Handle, Injector
from refute.safety.journal import Journal
from refute.safety.recover import note_undone, undo

_FIRST_S = 0.1
_LONGEST_S = 5.0


@dataclass(slots=True)
class _Resisting:
    """A handle that is not proven to be gone, or not noted.

    Attributes:
        handle: what is to be undone.
        attempts: made so far.
        reason: why the last one did not do.
        next_s: when the next one is due, on the monotonic clock.
    """

    handle: Handle
    attempts: int = 0
    reason: str = "not tried yet"
    next_s: float = 0.0


class Mender:
    """Undoes handles until each is proven and noted.

    Args:
        journal: of this machine.
        injectors: by name.
    """

    def __init__(self, journal: Journal, injectors: Mapping[str, Injector]) -> None:
        """Have nothing to do yet."""
        self._journal = journal
        self._injectors = injectors
        self._news = threading.Condition()
        self._waiting: dict[str, _Resisting] = {}
        self._over = False

    def start(self) -> None:
        """Work in a daemon thread."""
        threading.Thread(target=self._work, name="refute-mender", daemon=True).start()

    def take(self, handle: Handle) -> None:
        """Take over a handle; it is tried at once, in turn."""
        with self._news:
            self._waiting.setdefault(handle.id, _Resisting(handle)).next_s = 0.0
            self._news.notify_all()

    def take_orphans(self, mine: set[str]) -> None:
        """Take over every journalled handle that is live and that nobody looks after.

        Args:
            mine: ids of those that somebody does.

        Raises:
            RefuteError: the journal cannot be read (`JOURNAL-…`).
        """
        for entry in reversed(self._journal.live()):
            if entry.handle.rollback == "journalled" and entry.handle.id not in mine:
                self.take(entry.handle)

    def wait_empty(self, timeout_s: float) -> bool:
        """Wait until nothing resists any more; return False where something still does."""
        with self._news:
            return self._news.wait_for(lambda: not self._waiting, timeout_s)

    def resisting(self) -> list[dict[str, Any]]:
        """Return a JSON object for each handle that is not proven to be gone."""
        with self._news:
            return [{"handle": name, "attempts": one.attempts, "reason": one.reason} for name, one in self._waiting.items()]

    def stop(self) -> None:
        """End the thread."""
        with self._news:
            self._over = True
            self._news.notify_all()

    def _work(self) -> None:
        while (one := self._next()) is not None:
            self._attempt(one)

    def _attempt(self, one: _Resisting) -> None:
        reason = undo(self._injectors, one.handle) or note_undone(self._journal, one.handle)
        with self._news:
            one.attempts, one.reason = one.attempts + 1, reason
            one.next_s = time.monotonic() + min(_LONGEST_S, _FIRST_S * 2 ** min(one.attempts, 10))
            if not reason:
                del self._waiting[one.handle.id]
            self._news.notify_all()

    def _next(self) -> _Resisting | None:
        """Wait for the next one that is due; None once it is over."""
        with self._news:
            while not self._over:
                now_s = time.monotonic()
                first = min(self._waiting.values(), key=lambda one: one.next_s, default=None)
                if first is not None and first.next_s <= now_s:
                    return first
                self._news.wait(None if first is None else first.next_s - now_s)
        return None
