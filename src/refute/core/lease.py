"""Permission to inject that expires by itself unless renewed."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from refute.core.clock import lease_now_s
from refute.core.errors import refuse
from refute.core.system import Component
from refute.core.zone import NOWHERE, Zone, keep_out

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

MAX_TTL_S = 30.0


class Lease:
    """A revocable, expiring permission, read at each call and waited on by injected sleeps.

    Durations travel, deadlines do not: a lease is granted and renewed for seconds from now, on this process's
    own clock.

    Args:
        ttl_s: seconds until it expires, over 0 and at most `MAX_TTL_S`.
        now_s: clock, injected by tests.
        zone: what it does not permit to touch.

    Attributes:
        granted_s: when it began, on `now_s`.
        deadline_s: when it expires unless renewed.
        over: whether it was revoked.
        now_s: its clock.
        root: the lease that expires: itself, unless it is a lease within another.

    Raises:
        RefuteError: the duration is out of range (`LEASE-TTL`).
    """

    __slots__ = ("_revoked", "deadline_s", "granted_s", "now_s", "over", "root", "zone")

    def __init__(self, ttl_s: float, now_s: Callable[[], float] = lease_now_s, zone: Zone = NOWHERE) -> None:
        """Start the lease now."""
        self.zone = zone
        self.now_s = now_s
        self.root: Lease = self
        self.over = False
        self._revoked = threading.Event()
        self.granted_s = now_s()
        self.deadline_s = self.granted_s + _checked_ttl(ttl_s)

    def permits(self, component: Component, *, whole: bool = False) -> None:
        """Make sure that a fault of a component is within the permission: every injector asks before it applies one.

        Args:
            component: the target.
            whole: whether it is struck as a whole, or in single calls.

        Raises:
            RefuteError: it is off limits, under this or another name (`BLAST-NEVER`).
        """
        keep_out(component, self.root.zone, whole=whole)

    def lasts(self) -> bool:
        """Say whether it is neither revoked nor expired."""
        root = self.root
        return not self.over and not root.over and root.deadline_s > root.now_s()

    def remaining_s(self) -> float:
        """Return the seconds left; 0 once it is revoked or has expired."""
        return max(0.0, self.root.deadline_s - self.root.now_s()) if self.lasts() else 0.0

    def renew(self, ttl_s: float) -> bool:
        """Extend the lease to `ttl_s` seconds from now.

        Args:
            ttl_s: seconds from now.

        Returns:
            False where it had already ended: an ended lease stays ended.
        """
        ttl_s = _checked_ttl(ttl_s)
        if not self.lasts():
            self.revoke()
            return False
        self.deadline_s = self.now_s() + ttl_s
        return not self.over

    def revoke(self) -> None:
        """End the lease at once and wake everything that sleeps on it."""
        self.over = True
        self._revoked.set()

    def wait_revoked(self, timeout_s: float) -> bool:
        """Sleep until the lease ends, `timeout_s` at most.

        Args:
            timeout_s: longest sleep in seconds.

        Returns:
            True where the lease ended, False where the whole time passed.
        """
        until_s = self.now_s() + timeout_s
        while (left_s := until_s - self.now_s()) > 0:
            if self._revoked.wait(min(left_s, self.remaining_s())) or not self.lasts():
                return True
        return False

    async def wait_revoked_async(self, timeout_s: float, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> bool:
        """Do what `wait_revoked` does without blocking the event loop; polls every 50 ms.

        Args:
            timeout_s: longest sleep in seconds.
            sleep: the event loop's, where that may be another than asyncio's.
        """
        until_s = self.now_s() + timeout_s
        while (left_s := until_s - self.now_s()) > 0:
            if (remaining_s := self.remaining_s()) <= 0:
                return True
            await sleep(min(left_s, remaining_s, 0.05))
        return not self.lasts()


def _checked_ttl(ttl_s: float) -> float:
    if not 0 < ttl_s <= MAX_TTL_S:
        raise refuse("LEASE-TTL", "a lease lasts a few seconds", seen=f"{ttl_s:g} s", allowed=f"over 0 s, at most {MAX_TTL_S:g} s")
    return ttl_s
