"""Where units enter a service: reads the signed cohort of a request, and tells the load generator what the unit's calls met."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import time
from collections.abc import Mapping

from refute.core.cohort import Seal, TravellingUnit, report, report_address
from refute.core.context import Count, current_unit
from refute.core.link import ADDRESS_VARIABLE, TOKEN_VARIABLE

_PATIENCE_S = 1.0
_AGAIN_S = 0.002


class Ingress:
    """One process's way in.

    Args:
        link: address of the link.
        token: of the link.
        patience_s: how long a report may hold up the call that it is about, seconds.

    Attributes:
        seal: signs and knows cohorts.
    """

    def __init__(self, link: str, token: str, patience_s: float = _PATIENCE_S) -> None:
        """Open the way back; it needs no connection."""
        self.seal = Seal(token)
        self._address = report_address(link)
        self._patience_s = patience_s
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(patience_s)
        self._at_once = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._at_once.setblocking(False)

    def close(self) -> None:
        """Tell nothing more."""
        self._socket.close()
        self._at_once.close()

    def unit(self, baggage: str) -> TravellingUnit | None:
        """Return the unit that a request belongs to; None where it carries none, or a forged one.

        Args:
            baggage: the request's header, "" where it has none.
        """
        opened = self.seal.opened(baggage) if baggage else None
        if opened is None:
            return None
        within = current_unit.get()
        if isinstance(within, TravellingUnit) and (within.key, within.arm) == opened:
            return within  # the request has passed another entrance of this process
        signed = self.seal.baggage(*opened)
        return TravellingUnit(*opened, lambda count, component: self._tell(signed, count, component))

    def _tell(self, signed: str, count: Count, component: str) -> None:
        """Report a count before the call that it is about goes on, so that it arrives before the response can."""
        datagram = report(signed, count, component)
        until_s = time.monotonic() + self._patience_s
        with contextlib.suppress(OSError):  # nobody listens any more
            while not self._sent(datagram) and time.monotonic() < until_s:
                time.sleep(_AGAIN_S)

    def told(self, datagram: bytes) -> bool:
        """Send a report without waiting for anything; return False where there is no room for it just now."""
        try:
            self._at_once.sendto(datagram, self._address)
        except OSError as error:
            return error.errno not in {errno.EAGAIN, errno.ENOBUFS}  # else nobody listens any more
        return True

    def _sent(self, datagram: bytes) -> bool:
        """Send a report; return False where there is no room for it just now, for which macOS does not wait by itself."""
        try:
            self._socket.sendto(datagram, self._address)
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            return False
        return True


class _Here:
    """The way into this process."""

    ingress: Ingress | None = None
    sought = False


def current() -> Ingress | None:
    """Return the way into this process; None where it serves no run: none is in its environment, and it has joined none."""
    if not _Here.sought:
        _Here.ingress, _Here.sought = ingress(), True
    return _Here.ingress


def enter(environ: Mapping[str, str]) -> None:
    """Let units of the run in whose link an environment names."""
    _Here.ingress, _Here.sought = ingress(environ), True


def leave() -> None:
    """Let no more units in."""
    if _Here.ingress is not None:
        _Here.ingress.close()
    _Here.ingress = None


def ingress(environ: Mapping[str, str] = os.environ) -> Ingress | None:
    """Return the way in of this process; None where no link is in its environment."""
    link, token = environ.get(ADDRESS_VARIABLE), environ.get(TOKEN_VARIABLE)
    return Ingress(link, token) if link and token else None
