"""One process at the other end of the link, and what proves that nothing is armed in it any more."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import struct
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from refute.core.arming import Landing
from refute.core.clock import lease_now_s
from refute.core.errors import EXIT_INCONCLUSIVE, Problem, RefuteError
from refute.core.link import Message, encode
from refute.core.process import ProcessIdentity, identity_of, is_running

_ANSWER_S = 10.0
_DISARM_S = 5.0
_MARGIN_S = 0.5  # between a lease's end on the agent's clock, which is ours, and our word that it has ended
_LOOK_S = 0.05
_WORD_S = 1.5  # an agent takes a second to see held calls off before it says whether the fault is gone


@dataclass(frozen=True, slots=True)
class Proof:
    """Whether a fault is gone from where it was armed.

    Attributes:
        proven: whether every process is accounted for; a `Proof` is true where it is.
        how: by what, in words; where it is not proven, what is missing.
        left: pids of processes of this host that it may still live in.
    """

    proven: bool
    how: str
    left: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        """Return `proven`."""
        return self.proven


def all_of(proofs: Iterable[tuple[Peer, str, str]]) -> Proof:
    """Add up what is known of each process.

    Args:
        proofs: (process, how it is proven or "", why it is not).
    """
    known = list(proofs)
    acknowledged = sum(1 for _, how, _ in known if how == _ACKNOWLEDGED)
    words = [f"{acknowledged} process{'es' if acknowledged != 1 else ''} acknowledged it"] if acknowledged else []
    words += [how for _, how, _ in known if how and how != _ACKNOWLEDGED]
    missing = [why for _, how, why in known if not how]
    left = tuple(peer.pid for peer, how, _ in known if not how and not peer.host)
    return Proof(not missing, "; ".join([*missing, *words]) or "no process had been armed", left)


_ACKNOWLEDGED = "acknowledged"


@dataclass(eq=False, slots=True)
class Peer:
    """One process at the other end.

    Attributes:
        role: what it said it is.
        process: which process it is; None where it had ended before that could be asked.
        pid: its process id.
        turn: held while it is being armed, so that whoever wants it armed waits until it is.
        gone: set once its link is closed; the process may live on.
        landings: what it last said has landed, by handle; it outlives the process.
        armed: whether it has been asked to arm, and is not proven to be disarmed since.
        refused: why it could not be armed the last time, or "".
        resists: whether it said, the last time that it answered, that the fault is still there.
        lease_end_s: when its lease has ended at the latest, on `lease_now_s`; infinite while an `arm` is unanswered.
        serves: base URLs that it stands before, where it is a proxy; the name of its program under `refute exec`.
        host: name of the host that it runs on, "" for this one; whether a process of another host is gone, nobody here can see.
    """

    role: str
    pid: int
    _writer: asyncio.StreamWriter
    process: ProcessIdentity | None = None
    _waiting: dict[int, asyncio.Future[Message]] = field(default_factory=dict)
    _last_id: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    landings: dict[str, Landing] = field(default_factory=dict)
    armed: bool = False
    refused: str = ""
    resists: bool = False
    lease_end_s: float = math.inf
    serves: tuple[str, ...] = ()
    host: str = ""

    @property
    def shown(self) -> str:
        """Which process it is, in words."""
        return f"{self.role} process {self.pid}{self._of}"

    @property
    def _of(self) -> str:
        return f" of {self.host}" if self.host else ""

    async def ask(self, op: str, timeout_s: float = _ANSWER_S, **fields: Any) -> Message:
        """Ask for something and wait for the answer.

        Args:
            op: operation.
            timeout_s: how long to wait, seconds.
            **fields: its arguments.

        Raises:
            RefuteError: it answered with problems, or not at all (`LINK-LOST`).
        """
        return self._checked(await self._exchange(op, timeout_s, fields))

    def tell(self, op: str, **fields: Any) -> None:
        """Ask for something and wait for no answer.

        Args:
            op: operation.
            **fields: its arguments.
        """
        if not self.gone.is_set():
            self._writer.write(encode({"id": 0, "op": op, **fields}))

    async def grant(self, op: str, ttl_s: float, timeout_s: float = _ANSWER_S, **fields: Any) -> Message:
        """Ask to arm or to renew, and keep account of when the lease ends at the latest.

        An `arm` that is not answered may be read at any later time. A `renew` that is not answered can only be taken up while the lease
        before it still runs, for an ended lease stays ended: it adds at most its own length.

        Args:
            op: `arm` or `renew`.
            ttl_s: length of the lease, seconds.
            timeout_s: how long to wait, seconds.
            **fields: further arguments.

        Raises:
            RefuteError: as `ask`.
        """
        self.lease_end_s = math.inf if op == "arm" else self.lease_end_s + ttl_s
        message = await self._exchange(op, timeout_s, {**fields, "ttl_s": ttl_s})
        self.lease_end_s = lease_now_s() + ttl_s
        return self._checked(message)

    async def disarm(self) -> tuple[Peer, str, str]:
        """Remove everything that is armed, and prove it by whatever comes first: its word, its end, or the end of its lease.

        Returns:
            (this, how it is proven or "", why it is not).
        """
        asked, outlived = asyncio.ensure_future(self._acknowledged()), asyncio.ensure_future(self._outlived())
        try:
            for answer in asyncio.as_completed([asked, outlived]):
                how = await answer
                if how:
                    self.armed = False
                    return self, how, ""
        finally:
            asked.cancel()
            outlived.cancel()
        state = "still finds the fault in place" if self.resists else "does not answer, and still runs"
        return self, "", f"the {self.shown} {state}"

    async def _acknowledged(self) -> str:
        """Return how it proves that everything is gone, "" where it does not answer or keeps saying that it is not."""
        until_s = lease_now_s() + _DISARM_S
        while (left_s := until_s - lease_now_s()) > 0:
            try:
                answer = await self.ask("disarm", timeout_s=left_s)
            except RefuteError:
                return ""
            self.resists = not all(answer["verified"].values())
            if not self.resists:
                return _ACKNOWLEDGED
            await asyncio.sleep(_LOOK_S)
        return ""

    async def _outlived(self) -> str:
        """Wait until the process is gone or its lease has ended; return which, "" where neither comes in time.

        The end of a lease proves nothing of a process that says itself that the fault is still there, so one that can speak is heard first.
        """
        start_s = lease_now_s()
        most_s = start_s + _DISARM_S
        if math.isfinite(self.lease_end_s):
            most_s = max(most_s, max(self.lease_end_s, start_s + _WORD_S) + 2 * _MARGIN_S)
        while (now_s := lease_now_s()) < most_s:
            if not self.host and (self.process is None or not is_running(self.process)):
                return f"process {self.pid} is gone"
            heard = self.gone.is_set() or now_s > start_s + _WORD_S
            if heard and now_s > self.lease_end_s + _MARGIN_S and not self.resists:
                return f"the lease of process {self.pid}{self._of} has ended"
            await asyncio.sleep(_LOOK_S)
        return ""

    async def _exchange(self, op: str, timeout_s: float, fields: Message) -> Message:
        self._last_id = number = self._last_id + 1
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            if self.gone.is_set():
                raise ConnectionError("its link is closed")
            self._writer.write(encode({"id": number, "op": op, **fields}))
            async with asyncio.timeout(timeout_s):
                return await answer
        except (OSError, TimeoutError) as error:
            why = "no answer in time" if isinstance(error, TimeoutError) else str(error)
            raise RefuteError(self._lost(f"{op}: {why}"), exit_code=EXIT_INCONCLUSIVE) from None
        finally:
            self._waiting.pop(number, None)

    def _checked(self, message: Message) -> Message:
        if not message.get("ok") and "problems" in message:
            raise RefuteError(*(Problem(**problem) for problem in message["problems"]), exit_code=EXIT_INCONCLUSIVE)
        self.note_landings(message)
        return message

    def note_landings(self, message: Message) -> None:
        """Remember what a message says has landed."""
        self.landings.update({handle: Landing.from_json(data) for handle, data in message.get("landings", {}).items()})

    def answered(self, message: Message) -> None:
        """Take an answer; one that nobody waits for is dropped."""
        answer = self._waiting.get(message["id"])
        if answer is not None and not answer.done():
            answer.set_result(message)

    def lost(self) -> None:
        """Fail whatever still waits: the link is closed."""
        self.gone.set()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(ConnectionError("its link is closed"))

    def _lost(self, why: str) -> Problem:
        return Problem("LINK-LOST", f"the {self.shown} does not answer", seen=why)


def peer_of(hello: Message, writer: asyncio.StreamWriter, host: str = "") -> Peer:
    """Return the process that said hello; which one of this host it is the system says, not the message.

    Args:
        hello: with its role, what it stands before, and its pid as it sees it.
        writer: of the connection.
        host: that it runs on, "" for this one.
    """
    pid = (not host and _connected_pid(writer.get_extra_info("socket"))) or int(hello.get("pid", 0))
    serves = tuple(map(str, hello["serves"])) if isinstance(hello.get("serves"), list) else ()
    return Peer(str(hello.get("role")), pid, writer, None if host else identity_of(pid), serves=serves, host=host)


def _connected_pid(connection: Any) -> int:
    """Return the pid of the process that opened a Unix connection, 0 where the system does not say."""
    with contextlib.suppress(OSError, struct.error):
        if sys.platform == "darwin":
            return int(connection.getsockopt(0, 2))  # SOL_LOCAL, LOCAL_PEERPID
        pid, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
        return int(pid)
    return 0
