"""Messages over a connected socket, one a line, each waited for no longer than it may take."""

from __future__ import annotations

import socket
import time
from typing import Any

from refute.core.link import MAX_LINE_BYTES, Message, decode, encode


class Lines:
    """One connection.

    Args:
        connection: connected stream socket, with or without TLS.
        most_bytes: longest line that is taken.

    Attributes:
        connection: as given.
    """

    def __init__(self, connection: socket.socket, most_bytes: int = MAX_LINE_BYTES) -> None:
        """Read nothing yet."""
        self.connection = connection
        self._most = most_bytes
        self._pending = b""

    def ask(self, op: str, timeout_s: float, **fields: Any) -> Message:
        """Ask for something and return the answer.

        Args:
            op: operation.
            timeout_s: how long both may take together, seconds.
            **fields: arguments.

        Raises:
            OSError: nobody is there any more, or no answer came in time.
            ValueError: the answer is garbled.
        """
        self.send({"id": 1, "op": op, **fields}, timeout_s)
        return self.receive(timeout_s)

    def send(self, message: Message, timeout_s: float) -> None:
        """Send a message.

        Raises:
            OSError: it could not be sent in time.
        """
        self.connection.settimeout(timeout_s)
        self.connection.sendall(encode(message))

    def receive(self, timeout_s: float | None) -> Message:
        """Return the next message.

        Args:
            timeout_s: how long the whole of it may take, seconds; None for ever.

        Raises:
            OSError: the other end is gone, or nothing whole came in time.
            ValueError: it is garbled, or too long.
        """
        until_s = None if timeout_s is None else time.monotonic() + timeout_s
        while b"\n" not in self._pending:
            if len(self._pending) > self._most:
                raise ValueError("line too long")
            left_s = None if until_s is None else until_s - time.monotonic()
            if left_s is not None and left_s <= 0:
                raise TimeoutError("no whole message in time")
            self.connection.settimeout(left_s)
            if not (chunk := self.connection.recv(65536)):
                raise ConnectionError("closed without an answer")
            self._pending += chunk
        line, _, self._pending = self._pending.partition(b"\n")
        return decode(line)
