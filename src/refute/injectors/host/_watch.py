"""Looks at a component again and again while a fault lasts, beside the guardian's work, so that a slow look delays no rollback."""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Callable

from refute.core.arming import Handle, Landing
from refute.core.lease import Lease

Look = Callable[[], tuple[dict[str, float], str]]
"""Returns what was measured, and why nothing was."""

_EVERY_S = 0.5
_FIRST_S = 1.0


class Watch:
    """The looks of all handles of one injector."""

    def __init__(self) -> None:
        """Watch nothing yet."""
        self._watched: dict[str, _Watched] = {}

    def begin(self, handle: Handle, lease: Lease, look: Look) -> None:
        """Look at once, and then twice a second for as long as the lease lasts."""
        watched = self._watched[handle.id] = _Watched(lease, look)
        threading.Thread(target=watched.work, name="refute-watch", daemon=True).start()

    def landed(self, handle: Handle) -> Landing:
        """Return what the looks have come to."""
        watched = self._watched.get(handle.id)
        return Landing(reason="never applied in this process") if watched is None else watched.landing()


class _Watched:
    def __init__(self, lease: Lease, look: Look) -> None:
        self._lease = lease
        self._look = look
        self._first = threading.Event()
        self._landing = Landing(reason="no look has ended yet")

    def work(self) -> None:
        while self._lease.remaining_s() > 0:
            effect, reason = self._look()
            if self._lease.remaining_s() > 0:  # what ended after the fault did says nothing of it
                old = self._landing
                self._landing = Landing(old.eligible + 1, old.injected + bool(effect), effect=effect or old.effect, reason=reason)
                self._first.set()
            self._lease.wait_revoked(_EVERY_S)
        self._first.set()

    def landing(self) -> Landing:
        if self._lease.remaining_s() > 0:
            self._first.wait(_FIRST_S)
        return self._landing


def connect_s(address: tuple[str, int], limit_s: float) -> tuple[float, str]:
    """Open a connection and return how long that took, and `opened`, `refused`, `late` or what else went wrong.

    Args:
        address: host and port.
        limit_s: how long to wait, seconds.
    """
    start = time.monotonic()
    try:
        socket.create_connection(address, limit_s).close()
        how = "opened"
    except TimeoutError:
        how = "late"
    except OSError as error:
        how = "refused" if error.errno in {errno.ECONNREFUSED, errno.ECONNRESET} else str(error)
    return time.monotonic() - start, how
