"""Lets the runs of other hosts reach this host's guardian: over TLS, with certificates on both sides, a process a caller.

The guardian itself stays what it is. A caller's process is to it what a run of this host is: when the connection breaks it ends, the
kernel closes its end, and the guardian removes what it had applied; when nothing arrives any more, the lease ends.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from refute.core.errors import Problem, refuse
from refute.safety._caller import Caller
from refute.safety._lines import Lines
from refute.safety._post import Post
from refute.safety.identity import Identity, names_of
from refute.safety.journal import Journal
from refute.safety.summon import summon

MOST_CALLERS = 64
_HANDSHAKE_S = 5.0
_FAREWELL_S = 1.0
_TICK_MS = 200
_MOST_BYTES = 1 << 20
_KEEPALIVE = (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 10_000))


@dataclass(frozen=True, slots=True)
class Host:
    """What callers reach.

    Attributes:
        post: of this host's guardian.
        journal: of this host.
        admitted: names of certificates that may come in.
    """

    post: Post
    journal: Journal
    admitted: frozenset[str]


class Listener:
    """Listens until told to end; use as a context manager.

    Args:
        address: host and port; port 0 is any free one.
        identity: of this host.
        host: what callers reach.
        tell: prints a line.

    Raises:
        RefuteError: it cannot listen there (`GUARDIAN-LISTEN`), or has no certificate (`TLS-…`).
    """

    def __init__(self, address: tuple[str, int], identity: Identity, host: Host, tell: Callable[[str], None]) -> None:
        """Listen."""
        self._context = identity.server()
        self._host = host
        self._tell = tell
        self._callers: set[int] = set()
        self._told = False
        try:
            family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
            self._socket = socket.create_server(address, family=family, backlog=16)
        except OSError as error:
            seen = f"{address[0]}:{address[1]}: {error.strerror or error}"
            raise refuse("GUARDIAN-LISTEN", "the guardian cannot listen there", seen=seen, allowed="--listen HOST:PORT") from None

    @property
    def port(self) -> int:
        """The TCP port at which it listens."""
        return int(self._socket.getsockname()[1])

    def end(self, *_signal: object) -> None:
        """Have it let everybody go and end."""
        self._told = True

    def serve(self) -> None:
        """Have the guardian remove what an earlier boot has left; then serve callers until told to end.

        Raises:
            RefuteError: there can be no guardian here (`GUARDIAN-…`, `JOURNAL-…`).
        """
        summon(self._host.post)
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        try:
            while not self._told:
                ready = poll.poll(_TICK_MS)
                self._reap()
                if ready:
                    self._welcome()
        finally:
            self._socket.close()
            for pid in self._callers:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)

    def _reap(self) -> None:
        self._callers = {pid for pid in self._callers if os.waitpid(pid, os.WNOHANG) == (0, 0)}

    def _welcome(self) -> None:
        try:
            connection, address = self._socket.accept()
        except OSError:
            return  # it has gone again
        with connection:
            if len(self._callers) >= MOST_CALLERS:
                self._tell(f"{address[0]}: sent away, {MOST_CALLERS} are being served")
                return
            if pid := os.fork():
                self._callers.add(pid)
                return
            code = 1
            try:
                for number in (signal.SIGTERM, signal.SIGINT):
                    signal.signal(number, signal.SIG_DFL)
                self._socket.close()
                self._attend(connection, str(address[0]))
                code = 0
            finally:
                os._exit(code)

    def _attend(self, connection: socket.socket, address: str) -> None:
        """Serve one caller to the end of its connection; whoever is not known gets one message, or none."""
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            if (number := getattr(socket, option, None)) is not None:
                connection.setsockopt(socket.IPPROTO_TCP, number, value)
        port, raw = int(connection.getsockname()[1]), connection.dup()
        secured = self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        try:
            secured.settimeout(_HANDSHAKE_S)
            secured.do_handshake()
        except (OSError, ValueError) as error:
            self._tell(f"{address}: refused before it said a word: {(isinstance(error, ssl.SSLError) and error.reason) or error}")
            _hear_out(raw)
            return
        raw.close()
        names = names_of(secured.getpeercert())
        who = next(iter(sorted(names & self._host.admitted)), "")
        if not who:
            self._tell(f"{address}: refused: {', '.join(sorted(names)) or 'a certificate without a name'} is not admitted")
            _send_away(Lines(secured, _MOST_BYTES), names)
            return
        self._tell(f"{address}: {who} is served by process {os.getpid()}")
        Caller(Lines(secured, _MOST_BYTES), who, self._host.post, self._host.journal, port).serve()
        self._tell(f"{address}: {who} has gone")


def _hear_out(raw: socket.socket) -> None:
    """Let the other end read why it was refused: closing with something unread would take the reason back."""
    until_s = time.monotonic() + _FAREWELL_S
    with suppress(OSError):
        raw.shutdown(socket.SHUT_WR)
        raw.settimeout(_FAREWELL_S)
        while time.monotonic() < until_s and raw.recv(65536):
            pass


def _send_away(lines: Lines, names: frozenset[str]) -> None:
    """Answer the first thing that a stranger asks with why nothing is answered."""
    problem = Problem(
        "GUARDIAN-STRANGER", "the guardian does not admit this certificate", seen=", ".join(sorted(names)) or "no name in it",
        next="have whoever runs it add the name: refute guardian --admit NAME",
    )  # fmt: skip
    with suppress(OSError, ValueError):
        asked = lines.receive(_HANDSHAKE_S)
        lines.send({"id": asked.get("id"), "ok": False, "problems": [problem.to_json()]}, _HANDSHAKE_S)
