"""The injected process's end of the link: arms under a lease, disarms when it ends, whatever became of the other end.

It runs in a thread of its own, so that it works in synchronous and asynchronous programs alike, and when the program is busy.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from refute.core.arming import Handle, Injector, permitted
from refute.core.clock import lease_now_s
from refute.core.errors import Problem, RefuteError
from refute.core.lease import Lease
from refute.core.link import ADDRESS_VARIABLE, MAX_LINE_BYTES, TOKEN_VARIABLE, Message, decode, encode
from refute.core.zone import Zone

Handler = Callable[[Message], Message]
_TICK_S = 0.05
_VERIFY_S = 1.0


class Agent:
    """Serves one link.

    Args:
        connection: connected stream socket.
        injectors: hands by name.
        handlers: what else may be asked, by operation.
        on_end: called once when the other end is gone and everything is disarmed.

    Attributes:
        turn: held while messages are answered; who holds it knows that the agent's thread holds no other lock.
    """

    def __init__(
        self,
        connection: socket.socket,
        injectors: Mapping[str, Injector],
        handlers: Mapping[str, Handler] | None = None,
        on_end: Callable[[], None] | None = None,
    ) -> None:
        """Serve nothing yet."""
        self._connection = connection
        self._injectors = injectors
        self._handlers = {"arm": self._arm, "renew": self._renew, "disarm": self._disarm, **(handlers or {})}
        self._on_end = on_end
        self._send_lock = threading.Lock()
        self.turn = threading.RLock()
        self._handles: list[Handle] = []
        self._lease: Lease | None = None

    def start(self) -> threading.Thread:
        """Serve in a daemon thread and return it."""
        thread = threading.Thread(target=self.serve, name="refute-agent", daemon=True)
        thread.start()
        return thread

    def serve(self) -> None:
        """Serve until the other end is gone; nothing stays armed then."""
        poll = select.poll()
        poll.register(self._connection, select.POLLIN)
        pending = b""
        try:
            while (chunk := self._receive(poll)) != b"":
                *lines, pending = (pending + (chunk or b"")).split(b"\n")
                if len(pending) > MAX_LINE_BYTES:
                    break
                with self.turn:
                    for line in lines:
                        self._answer(decode(line))
                    self._roll_back_if_ended()
        except (OSError, ValueError):
            pass  # a broken or garbled link ends the permission like a closed one
        finally:
            self._end()

    def send(self, message: Message) -> bool:
        """Send a notice; return False where the other end is gone."""
        try:
            with self._send_lock:
                self._connection.sendall(encode(message))
        except OSError:
            return False
        return True

    def _receive(self, poll: select.poll) -> bytes | None:
        return self._connection.recv(65536) if poll.poll(_TICK_S * 1000) else None

    def forget(self) -> None:
        """Remove what a parent had armed and let go of its link, in a process that was forked from it."""
        self._roll_back()
        self._handles.clear()
        self._connection.close()

    def _answer(self, message: Message) -> None:
        handler = self._handlers.get(message.get("op", ""), _unknown)
        try:
            answer = {"ok": True, **handler(message)}
        except RefuteError as error:
            answer = {"ok": False, "problems": [problem.to_json() for problem in error.problems]}
        except Exception as error:  # noqa: BLE001 - whatever a hand does, the other end must hear of it
            problem = Problem("LINK-FAILED", "an injector failed", seen=f"{type(error).__name__}: {error}")
            answer = {"ok": False, "problems": [problem.to_json()]}
        self.send({"id": message.get("id"), **answer})

    def _arm(self, message: Message) -> Message:
        if self._handles:
            raise RefuteError(Problem("LINK-ARMED", "this process is armed already", next="refute abort"))
        lease = Lease(message["ttl_s"], zone=Zone.from_json(message.get("off_limits", ())))
        self._lease = lease
        try:
            for data in message["handles"]:
                handle = Handle.from_json(data)
                permitted(handle, lease)
                injector = self._injectors[handle.injector]
                self._handles.append(handle)
                injector.apply(handle, lease)
        except BaseException:
            self._remove()  # several faults are armed together or not at all; the handles stay known, to be proven gone
            raise
        return {}

    def _renew(self, message: Message) -> Message:
        renewed = self._lease is not None and self._lease.renew(message["ttl_s"])
        return {"ok": renewed, "landings": self.landings()}

    def _disarm(self, _message: Message) -> Message:
        """Remove everything and prove it; what cannot be proven stays known, so that it can be asked again."""
        self._roll_back()
        verified = self._verified()
        landings = self.landings()
        self._handles = [handle for handle in self._handles if not verified[handle.id]]
        return {"landings": landings, "verified": verified}

    def landings(self) -> dict[str, Any]:
        """Return what has landed so far, as JSON, by handle."""
        return {handle.id: self._injectors[handle.injector].landed(handle).to_json() for handle in self._handles}

    def armed(self) -> list[str]:
        """Return the ids of the handles that are not proven to be gone from here."""
        return [handle.id for handle in list(self._handles) if not self._gone(handle)]

    def _roll_back(self) -> None:
        if self._lease is not None:
            self._lease.revoke()
        self._remove()

    def _remove(self) -> None:
        for handle in self._handles:
            # one that fails must not keep the others armed; unproven is what it then is
            with contextlib.suppress(Exception):
                self._injectors[handle.injector].rollback(handle)

    def _verified(self) -> dict[str, bool]:
        """Say of each handle whether it is gone; calls that were held need a moment to get away."""
        until_s = lease_now_s() + _VERIFY_S
        while not all((proofs := {handle.id: self._gone(handle) for handle in self._handles}).values()) and lease_now_s() < until_s:
            time.sleep(_TICK_S / 5)
        return proofs

    def _gone(self, handle: Handle) -> bool:
        try:
            return self._injectors[handle.injector].verify(handle)
        except Exception:  # noqa: BLE001 - what cannot be proven is not gone
            return False

    def _roll_back_if_ended(self) -> None:
        if self._lease is not None and self._lease.remaining_s() <= 0:
            self._roll_back()

    def _end(self) -> None:
        self._roll_back()
        self._connection.close()
        if self._on_end is not None:
            self._on_end()


def _unknown(message: Message) -> Message:
    raise RefuteError(Problem("LINK-OP", "the link was asked for something unknown", seen=str(message.get("op"))))


def connect(role: str, environ: Mapping[str, str] = os.environ, serves: Sequence[str] = ()) -> socket.socket:
    """Open the link that the environment names and say hello.

    Args:
        role: what this process is: `worker`, `exec`, `proxy`, `service`.
        environ: where the address and the token stand.
        serves: base URLs that it stands before, or the service's name.

    Returns:
        The connected socket.

    Raises:
        OSError: nobody listens there.
        KeyError: the environment names no link.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(environ[ADDRESS_VARIABLE])
    hello = {"op": "hello", "token": environ[TOKEN_VARIABLE], "role": role, "pid": os.getpid(), "serves": list(serves)}
    connection.sendall(encode(hello))
    return connection
