"""What the guardian does for one run: applies its faults under a lease, and removes them when it ends, whoever ended it."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Callable, Mapping
from typing import Any

from refute.core.arming import Handle, Injector, permitted
from refute.core.errors import Problem, RefuteError, refuse
from refute.core.lease import Lease
from refute.core.link import MAX_LINE_BYTES, Message, decode, encode
from refute.core.process import ProcessIdentity
from refute.core.zone import Zone
from refute.injectors.host.trespass import trespass
from refute.safety._mender import Mender
from refute.safety.journal import Journal
from refute.safety.recover import note_undone, undo

_TICK_MS = 50

Handler = Callable[[Message], Message]


class Ward:
    """Serves one connection; nothing that it has armed stays when that closes, or when the lease ends.

    Args:
        connection: connected stream socket.
        journal: makes the journal of a runner.
        injectors: hands by name.
        mender: takes what cannot be removed at once.
        handlers: what else may be asked, by operation.
    """

    def __init__(
        self,
        connection: socket.socket,
        journal: Callable[[ProcessIdentity], Journal],
        injectors: Mapping[str, Injector],
        mender: Mender,
        handlers: Mapping[str, Handler],
    ) -> None:
        """Arm nothing yet."""
        self._connection = connection
        self._journal_of = journal
        self._injectors = injectors
        self._mender = mender
        self._handlers = {"arm": self._arm, "renew": self._renew, "disarm": self._disarm, **handlers}
        self._handles: list[Handle] = []
        self._journal: Journal | None = None
        self._lease: Lease | None = None
        self._about: dict[str, Any] = {}

    def serve(self) -> None:
        """Serve until the other end is gone."""
        poll = select.poll()
        poll.register(self._connection, select.POLLIN)
        pending = b""
        try:
            while (chunk := self._connection.recv(65536) if poll.poll(_TICK_MS) else None) != b"":
                *lines, pending = (pending + (chunk or b"")).split(b"\n")
                if len(pending) > MAX_LINE_BYTES:
                    break
                for line in lines:
                    self._answer(decode(line))
                if self._lease is not None and self._lease.remaining_s() <= 0:
                    self._remove()
        except (OSError, ValueError):
            pass  # a broken or garbled connection ends the permission like a closed one
        finally:
            self._remove()
            self._connection.close()

    def revoke(self) -> None:
        """End the lease; what it allowed is removed within a moment."""
        if (lease := self._lease) is not None:
            lease.revoke()

    def live(self) -> set[str]:
        """Return the ids of the handles that it looks after."""
        return {handle.id for handle in list(self._handles)}

    def status(self) -> dict[str, Any]:
        """Return a JSON object for `refute doctor`."""
        lease = self._lease
        return self._about | {"handles": sorted(self.live()), "lease_s": lease.remaining_s() if lease is not None else 0.0}

    def _answer(self, message: Message) -> None:
        try:
            answer = {"ok": True, **self._handlers.get(message.get("op", ""), _unknown)(message)}
        except RefuteError as error:
            answer = {"ok": False, "problems": [problem.to_json() for problem in error.problems]}
        except Exception as error:  # noqa: BLE001 - whatever a hand does, the runner must hear of it
            problem = Problem("LINK-FAILED", "an injector failed", seen=f"{type(error).__name__}: {error}")
            answer = {"ok": False, "problems": [problem.to_json()]}
        self._connection.sendall(encode({"id": message.get("id"), **answer}))

    def _arm(self, message: Message) -> Message:
        """Write down, apply, write down; whatever fails, all of it is removed again."""
        if self._handles:
            raise RefuteError(Problem("LINK-ARMED", "this run has armed something already", next="refute abort"))
        runner = ProcessIdentity.from_json(message["runner"])
        self._journal, self._lease = self._journal_of(runner), Lease(message["ttl_s"], zone=Zone.from_json(message.get("off_limits", ())))
        self._about = {"experiment": message["experiment"], "runner": runner.pid, "by": message.get("by", "")}
        try:
            for data in message["handles"]:
                self._apply(Handle.from_json(data), message["experiment"], self._journal, self._lease)
        except BaseException:
            self._remove()
            raise
        return {}

    def _apply(self, handle: Handle, experiment: str, journal: Journal, lease: Lease) -> None:
        if handle.injector not in self._injectors:
            problem = Problem("GUARDIAN-INJECTOR", "the guardian does not know this injector", seen=handle.injector, next="refute doctor")
            raise RefuteError(problem)
        permitted(handle, lease)
        if name := trespass(handle, lease.zone):
            seen = f"what {handle.data['arming']['component']['name']} is here is {name}, which is off limits"
            raise refuse("BLAST-NEVER", f"no fault may touch {name}", seen=seen, next="see blast_radius.never")
        journal.advance(handle, "intended", experiment=experiment)
        self._handles.append(handle)
        self._injectors[handle.injector].apply(handle, lease)
        journal.advance(handle, "applied")

    def _renew(self, message: Message) -> Message:
        renewed = self._lease is not None and self._lease.renew(message["ttl_s"])
        return {"ok": renewed, "landings": self._landings() if renewed else {}}

    def _disarm(self, _message: Message) -> Message:
        landings = self._landings()
        return {"landings": landings, "verified": self._remove()}

    def _landings(self) -> dict[str, Any]:
        """Look at what is armed, as JSON by handle; one that cannot be looked at is left out."""
        found = {}
        for handle in self._handles:
            with contextlib.suppress(Exception):
                found[handle.id] = self._injectors[handle.injector].landed(handle).to_json()
        return found

    def _remove(self) -> dict[str, bool]:
        """Remove everything, the youngest first, and say of each whether it is provably gone; what resists goes to the mender."""
        self.revoke()
        verified = {}
        for handle in reversed(list(self._handles)):
            assert self._journal is not None
            verified[handle.id] = not undo(self._injectors, handle)
            if not verified[handle.id] or note_undone(self._journal, handle):
                self._mender.take(handle)
            self._handles.remove(handle)
        return verified


def _unknown(message: Message) -> Message:
    raise RefuteError(Problem("LINK-OP", "the guardian was asked for something unknown", seen=str(message.get("op"))))
