"""A lease within a lease: ends with it, or by itself when one fault of several under it is rolled back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from refute.core.clock import lease_now_s
from refute.core.lease import Lease

_POLL_S = 0.05


class Sublease(Lease):
    """Permission for one fault under a lease that may cover several.

    Args:
        lease: what it depends on; renewing that one renews this one, and revoking this one leaves that one alone.
    """

    __slots__ = ("_cut", "_lease", "_lock", "_waiting")

    def __init__(self, lease: Lease) -> None:
        """Start now, for as long as the lease lasts."""
        self._lease = lease
        self.root = lease.root
        self.over = False
        self._lock = threading.Lock()
        self._waiting = 0
        self._cut = 0
        self.now_s = lease_now_s
        self.granted_s = lease_now_s()

    def renew(self, ttl_s: float) -> bool:
        """See `Lease.renew`."""
        return not self.over and self._lease.renew(ttl_s)

    def revoke(self) -> None:
        """End this permission, and wake what sleeps on it within 50 ms."""
        self.over = True

    def cut_short(self) -> int:
        """Return how many waits the end of the permission has cut short, with those that it is about to."""
        with self._lock:
            return self._cut + self._waiting

    @property
    def holding(self) -> bool:
        """Say whether a call is still being held."""
        return self._waiting > 0

    def wait_revoked(self, timeout_s: float) -> bool:
        """See `Lease.wait_revoked`."""
        with self._counted() as cut:
            if ended := self._wait(timeout_s):
                cut()
            return ended

    async def wait_revoked_async(self, timeout_s: float, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> bool:
        """See `Lease.wait_revoked_async`."""
        with self._counted() as cut:
            if ended := await super().wait_revoked_async(timeout_s, sleep):
                cut()
            return ended

    def _wait(self, timeout_s: float) -> bool:
        until_s = lease_now_s() + timeout_s
        while (left_s := until_s - lease_now_s()) > 0:
            if self.over or self._lease.wait_revoked(min(left_s, _POLL_S)):
                return True
        return not self.lasts()

    @contextmanager
    def _counted(self) -> Iterator[Callable[[], None]]:
        """Count a wait while it lasts, and for good where it was cut short."""
        with self._lock:
            self._waiting += 1
        cut: list[int] = []
        try:
            yield lambda: cut.append(1)
        finally:
            with self._lock:
                self._waiting -= 1
                self._cut += len(cut)
