"""The clock that leases run on: it counts time in suspension and never jumps."""

from __future__ import annotations

import time

_CLOCK = getattr(time, "CLOCK_BOOTTIME", None)


def lease_now_s() -> float:
    """Return seconds since an arbitrary start, counting suspension where the system can.

    CLOCK_BOOTTIME on Linux; on macOS the monotonic clock, which there stops while asleep, so that a lease
    may outlive a nap by its remaining seconds.
    """
    return time.clock_gettime(_CLOCK) if _CLOCK is not None else time.monotonic()
