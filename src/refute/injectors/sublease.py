"""A lease within a lease: ends with it, or by itself when one fault of several under it is rolled back."""

from __future__ import annotations

from refute.core.clock import lease_now_s
from refute.core.lease import Lease

_POLL_S = 0.05


class Sublease(Lease):
    """Permission for one fault under a lease that may cover several.

    Args:
        lease: what it depends on; renewing that one renews this one, and revoking this one leaves that one alone.
    """

    __slots__ = ("_lease", "_over")

    def __init__(self, lease: Lease) -> None:
        """Start now, for as long as the lease lasts."""
        self._lease = lease
        self._over = False
        self._now_s = lease_now_s
        self.granted_s = lease_now_s()

    def remaining_s(self) -> float:
        """See `Lease.remaining_s`."""
        return 0.0 if self._over else self._lease.remaining_s()

    def renew(self, ttl_s: float) -> bool:
        """See `Lease.renew`."""
        return not self._over and self._lease.renew(ttl_s)

    def revoke(self) -> None:
        """End this permission, and wake what sleeps on it within 50 ms."""
        self._over = True

    def wait_revoked(self, timeout_s: float) -> bool:
        """See `Lease.wait_revoked`."""
        until_s = lease_now_s() + timeout_s
        while (left_s := until_s - lease_now_s()) > 0:
            if self._over or self._lease.wait_revoked(min(left_s, _POLL_S)):
                return True
        return self.remaining_s() <= 0
