"""What is armed in this process, as its transports look it up at each call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from refute.core.arming import Arming
from refute.core.context import UnitContext
from refute.core.lease import Lease
from refute.faults.catalogue import catalogue
from refute.injectors._memory import Memory
from refute.injectors.driver import Aim
from refute.injectors.routes import Routes
from refute.injectors.sublease import Sublease
from refute.injectors.switch import Switch
from refute.injectors.target import Target
from refute.injectors.transports.reading import READING


class Armed:
    """One fault at work.

    Args:
        arming: what is armed.
        lease: for how long.

    Attributes:
        aim: the fault, and who decides.
        lease: its own.
        target: which requests it is for.
        missed: see `Switch.missed`; never a unit where the draw does not settle it.
        failed: see `Switch.failed`.
    """

    __slots__ = ("_glance", "aim", "failed", "lease", "missed", "target")

    def __init__(self, arming: Arming, lease: Lease) -> None:
        """Start with nothing seen."""
        self.target = Target(arming.component)
        self.lease = Sublease(lease)
        fault, switch = catalogue()[arming.fault], Switch(arming, self.lease, reading=READING)
        self.aim = Aim(fault, arming.magnitude, switch, arming.component.stand_in, Memory(fault.remembers))
        by_draw_alone = arming.draw == "call" and not arming.turn and fault.awaits is None and fault.matches_exchange is None
        self._glance = switch.missed if by_draw_alone else _cannot_tell
        self.missed: Callable[[Any], UnitContext | None] = self._after_reading if switch.curious else self._glance
        self.failed = switch.failed

    def _after_reading(self, request: Any) -> UnitContext | None:
        """Leave calls to the slow way until enough replies were read for the model that they name."""
        if self.aim.switch.curious:
            return None
        self.missed = self._glance
        return self._glance(request)


def _cannot_tell(_request: Any) -> None:
    """Stand in for `Switch.missed` where the draw does not settle it."""


class Board:
    """What is armed now.

    Attributes:
        routes: what finds it; another whenever something is armed or disarmed.
    """

    __slots__ = ("routes",)

    def __init__(self) -> None:
        """Start with nothing armed."""
        self.routes: Routes[Armed] = Routes()

    def glance(self, request: Any, url: Any) -> tuple[tuple[Armed, ...], UnitContext | None]:
        """Return what is armed for a request, and its unit where it is settled, and counted, that it is not hit (see `Switch.missed`)."""
        routes = self.routes
        before, method, aimed = routes.last
        if url != before or method != request.method:
            aimed = routes.find(request, url)
        return aimed, aimed[0].missed(request) if len(aimed) == 1 else None
