"""The run's end of the link: arms, renews and disarms every process that has joined, and hears what they report."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Self, cast

from refute.core.arming import Handle, Landing
from refute.core.errors import EXIT_INCONCLUSIVE, Problem, RefuteError
from refute.core.link import ADDRESS_VARIABLE, MAX_LINE_BYTES, TOKEN_VARIABLE, Message, decode
from refute.core.system import Component
from refute.core.zone import NOWHERE, Zone
from refute.experiment.peer import Peer, Proof, all_of, peer_of

_HELLO_S = 5.0
_NEEDED = frozenset({"worker", "service"})
_WHAT = {"proxy": "a proxy", "service": "a process of the service"}


class Link:
    """Listens on a private Unix socket; use as an async context manager.

    Args:
        heard: called with every notice: (peer, message).
        zone: what no process that joins may touch, whatever it is asked to arm.
        providers: what the processes that join keep cohorts from.
    """

    def __init__(self, heard: Callable[[Peer, Message], None], zone: Zone = NOWHERE, providers: Sequence[Component] = ()) -> None:
        """Listen to nobody yet."""
        self._zone = zone
        self._providers = [component.to_json() for component in providers]
        self._heard = heard
        self._folder = Path(tempfile.mkdtemp(prefix="refute-"))  # mode 0700
        self._token = secrets.token_urlsafe(24)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._joined = asyncio.Condition()
        self._armed: tuple[list[Message], float] | None = None
        self.peers: list[Peer] = []

    @property
    def environment(self) -> dict[str, str]:
        """Variables that let a child process join."""
        return {ADDRESS_VARIABLE: str(self._folder / "link"), TOKEN_VARIABLE: self._token}

    async def __aenter__(self) -> Self:
        path = self._folder / "link"
        self._server = await asyncio.start_unix_server(self._serve, path, limit=MAX_LINE_BYTES)
        path.chmod(0o600)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    async def adopt(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, timeout_s: float) -> None:
        """Take a connection from a process of another host as if it had come to the socket, and wait until it has joined.

        Args:
            reader: of the connection; the process says hello next.
            writer: of the connection.
            host: name of that host.
            timeout_s: how long to wait, seconds.

        Raises:
            TimeoutError: it said no hello in time, or none with our token.
        """
        known = len(self.peers)
        self._begun(asyncio.create_task(self._serve(reader, writer, host)))
        async with asyncio.timeout(timeout_s), self._joined:
            await self._joined.wait_for(lambda: any(peer.host == host for peer in self.peers[known:]))

    async def joined(self, role: str, timeout_s: float, pid: int | None = None) -> Peer:
        """Wait for a process of that role, or for a certain one.

        Raises:
            TimeoutError: none came in time.
        """

        def found() -> Peer | None:
            return next((peer for peer in self.peers if peer.role == role and pid in {None, peer.pid}), None)

        async with asyncio.timeout(timeout_s), self._joined:
            await self._joined.wait_for(found)
        return cast("Peer", found())

    async def arm(self, handles: Sequence[Handle], ttl_s: float) -> None:
        """Apply all handles in every process, and in those that join later; where the worker refuses, all are disarmed again.

        Raises:
            RefuteError: the worker refused or is gone.
        """
        self.arm_joining(handles, ttl_s)
        try:
            await self._each(self._arm)
        except RefuteError:
            await self.disarm()
            raise

    def arm_joining(self, handles: Sequence[Handle], ttl_s: float) -> None:
        """Apply all handles in every process that joins from now on, before its first line."""
        self._armed = [handle.to_json() for handle in handles], ttl_s

    async def arm_live(self) -> None:
        """Apply in every process that is left what those that join later are armed with."""
        await asyncio.gather(*map(self._arm, self.live()))

    async def renew_live(self, ttl_s: float) -> None:
        """Extend the lease in the processes that are left; one that does not answer loses its lease by itself."""
        await asyncio.gather(*(self._renew(peer, ttl_s) for peer in self.live()), return_exceptions=True)

    async def renew(self, ttl_s: float) -> None:
        """Extend the lease wherever one runs.

        Raises:
            RefuteError: the worker is gone, or a lease had ended already (`LINK-LEASE`).
        """
        await self._each(lambda peer: self._renew(peer, ttl_s))

    async def disarm(self) -> Proof:
        """Remove everything everywhere, also where a link has closed since: a process can outlive its link.

        Returns:
            Whether each process that had been armed says that it is gone, has ended itself, or has certainly lost its lease.
        """
        self._armed = None
        return all_of(await asyncio.gather(*(peer.disarm() for peer in self.peers if peer.armed)))

    def landed(self, handle: Handle) -> Landing:
        """Return what all processes last said has landed of a handle, and why where one could not be armed."""
        return sum((peer.landings.get(handle.id, Landing()) + Landing(reason=peer.refused) for peer in self.peers), Landing())

    def live(self) -> list[Peer]:
        """Return the processes that are left."""
        return [peer for peer in self.peers if not peer.gone.is_set()]

    async def _each(self, act: Callable[[Peer], Awaitable[None]]) -> None:
        """Do something in every process at once; what fails is raised when all have answered."""
        live = self.live()
        if not any(peer.role in _NEEDED for peer in live):
            raise RefuteError(Problem("LINK-LOST", "no process is left to inject into"), exit_code=EXIT_INCONCLUSIVE)
        for failed in await asyncio.gather(*map(act, live), return_exceptions=True):
            if isinstance(failed, BaseException):
                raise failed

    async def _arm(self, peer: Peer) -> None:
        """Arm a process, once. One that the workload has started may refuse or die; the landing then says why."""
        async with peer.turn:
            if self._armed is not None and not peer.armed:
                await self._armed_with(peer, *self._armed)

    async def _armed_with(self, peer: Peer, handles: list[Message], ttl_s: float) -> None:
        peer.armed, peer.refused = True, ""
        try:
            mine = [handle for handle in handles if _concerns(peer, handle)]
            await peer.grant("arm", ttl_s, handles=mine, off_limits=self._zone.to_json())
        except RefuteError as error:
            if peer.role == "worker":
                raise
            what = _WHAT.get(peer.role, "a process that the workload started")
            peer.refused = f"{what} could not be armed: {error.problems[0].seen or error.problems[0].what}"

    async def _renew(self, peer: Peer, ttl_s: float) -> None:
        if not peer.armed:
            return
        try:
            answer = await peer.grant("renew", ttl_s, timeout_s=ttl_s if peer.role == "worker" else ttl_s / 3)
        except RefuteError:
            if peer.role == "worker":
                raise
            return  # it has died, or is busy and will say the next time that its lease has ended
        if not answer["ok"] and peer.armed:
            problem = Problem("LINK-LEASE", "a lease ended before it was renewed", seen=f"{peer.role} process {peer.pid}")
            raise RefuteError(problem, exit_code=EXIT_INCONCLUSIVE)

    async def _let_go(self, peer: Peer) -> None:
        """Arm a program that has joined and waits to start, as all others are armed; then let it start."""
        with contextlib.suppress(RefuteError):
            await self._arm(peer)
            await peer.ask("go", providers=self._providers)

    def _begun(self, task: asyncio.Task[None]) -> None:
        """Keep a task until it is done, and end it with the link."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str = "") -> None:
        task = asyncio.current_task()
        if task is not None:
            self._begun(task)
        peer: Peer | None = None
        try:
            peer = await self._welcome(reader, writer, host)
            if peer is not None and peer.role != "worker":
                self._begun(asyncio.create_task(self._let_go(peer)))
            while peer is not None and (line := await reader.readline()):
                message = decode(line)
                if message.get("id") is None:
                    peer.note_landings(message)
                    self._heard(peer, message)
                else:
                    peer.answered(message)
        except (OSError, ValueError, TimeoutError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # a garbled or broken end is a lost end, and a link that closes cancels this
        finally:
            if peer is not None:
                peer.lost()
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> Peer | None:
        async with asyncio.timeout(_HELLO_S):
            hello = decode(await reader.readline())
        if not secrets.compare_digest(str(hello.get("token", "")), self._token):
            return None
        peer = peer_of(hello, writer, host)
        async with self._joined:
            self.peers.append(peer)
            self._joined.notify_all()
        return peer


def _concerns(peer: Peer, handle: Message) -> bool:
    """Say whether a fault is to be armed in a process: one of a proxy's is in no other, one of a program's calls in no other program."""
    if peer.role == "proxy":
        return bool(handle["injector"] == "proxy")
    via = str(handle["data"].get("arming", {}).get("component", {}).get("via", ""))
    return not (via.startswith("exec ") and peer.role == "exec" and peer.serves) or via.removeprefix("exec ") in peer.serves
