"""Takes the reports of services under load: which calls of a unit could be hit, and which were, while the unit is under way.

A service sends its report before the call that it is about goes on, and a Unix datagram is there as soon as it is sent. Reading
whatever has come after a response has ended, or a time limit has, therefore misses nothing that happened before.
"""

from __future__ import annotations

import os
import select
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from refute.core.cohort import MAX_REPORT_BYTES, Seal, read_report, report_address
from refute.core.context import UnitContext
from refute.core.link import ADDRESS_VARIABLE, TOKEN_VARIABLE


class Tally:
    """Adds what services report to the units under way.

    Args:
        environ: names the link next to which it listens; the socket goes when the link's folder goes.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        """Listen."""
        self.seal = Seal(environ[TOKEN_VARIABLE])
        self._lock = threading.Lock()
        self._under_way: dict[str, UnitContext] = {}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(report_address(environ[ADDRESS_VARIABLE]))
        self._socket.setblocking(False)
        threading.Thread(target=self._listen, name="refute-tally", daemon=True).start()

    @contextmanager
    def counting(self, unit: UnitContext) -> Iterator[None]:
        """Add what is reported of a unit to it; at the end everything that has come is in."""
        with self._lock:
            self._under_way[unit.key] = unit
        try:
            yield
        finally:
            self._read_all()
            with self._lock:
                del self._under_way[unit.key]

    def _listen(self) -> None:
        """Read all the time: a full socket would make services wait."""
        while True:
            select.select([self._socket], [], [])
            self._read_all()

    def _read_all(self) -> None:
        with self._lock:
            while True:
                try:
                    datagram = self._socket.recv(MAX_REPORT_BYTES)
                except BlockingIOError:
                    return
                self._add(datagram)

    def _add(self, datagram: bytes) -> None:
        read = read_report(datagram, self.seal)
        unit = self._under_way.get(read[0]) if read is not None else None
        if read is None or unit is None:
            return
        _, count, component = read
        {"eligible": unit.saw_eligible, "drawn": unit.saw_drawn, "hit": unit.saw_hit}[count](component)
