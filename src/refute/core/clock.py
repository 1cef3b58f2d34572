"""The clock that leases run on: it counts time in suspension and never jumps."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

_CLOCK: int | None = getattr(time, "CLOCK_BOOTTIME", None)

lease_now_s: Callable[[], float] = time.monotonic if _CLOCK is None else partial(time.clock_gettime, _CLOCK)
"""Return seconds since an arbitrary start, counting suspension where the system can.

CLOCK_BOOTTIME on Linux; on macOS the monotonic clock, which there stops while asleep, so that a lease may outlive a nap by
its remaining seconds. Asked at each call that a fault may hit, so that nothing stands between it and the system's clock.
"""
