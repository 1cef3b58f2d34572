"""Stands in for an MCP server's command: the server is its child, and everything passes between the pipes, faults and all."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Self

from refute.core.context import UnitContext, current_unit
from refute.core.errors import refuse
from refute.injectors.agent import Agent, connect
from refute.injectors.ingress import ingress
from refute.injectors.proxy.hands import INJECTOR, Armed, BaseUrl, ProxyInjector, Units
from refute.injectors.proxy.lines import Lines
from refute.injectors.proxy.messages import LineView, answering, asking, baggage_of, reply_of, struck
from refute.wire.exchange import Reply

ROLE = "proxy"
_CHUNK = 65536
_PATIENCE_S = 5.0
_HEAD_START_S = 0.001
_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StdioProxy:
    """One server and its client; use as an async context manager, which starts the server.

    Args:
        name: under which runs know it: a component's endpoint is `stdio://NAME`.
        command: the server's.
        hands: what is armed in it.
    """

    def __init__(self, name: str, command: Sequence[str], hands: ProxyInjector = INJECTOR) -> None:
        """Start nothing yet."""
        self.url = f"stdio://{name}"
        self._command = list(command)
        self._hands = hands
        self._units: Units | None = None
        self._agent: Agent | None = None
        self._server: asyncio.subprocess.Process | None = None
        self._waiting: dict[str | int, asyncio.Future[Reply]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._out: asyncio.StreamWriter | None = None
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        try:
            self._server = await asyncio.create_subprocess_exec(
                *self._command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=_CHUNK
            )
        except OSError as error:
            seen = f"{self._command[0]}: {error.strerror or error}"
            raise refuse("PROXY-STDIO-START", "the server's command could not be started", where="--", seen=seen) from None
        self._hands.stand_at(BaseUrl.of(self.url))
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self._hands.stand_at()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._end_server()

    @property
    def serves(self) -> tuple[str, ...]:
        """The URL under which runs may know it."""
        return (self.url,)

    def join(self, environ: Mapping[str, str]) -> str:
        """Join the link that an environment names, and leave it when its other end does; return why not, or ""."""
        if self._agent is not None:
            return "it serves another run"
        try:
            connection = connect(ROLE, environ, self.serves)
        except (OSError, KeyError) as error:
            return f"its link cannot be reached: {error}"
        self._units = Units(found) if (found := ingress(environ)) is not None else None
        self._agent = Agent(connection, {INJECTOR.name: self._hands}, {"go": lambda _message: {}}, self._leave)
        self._agent.start()
        return ""

    def armed(self) -> list[str]:
        """Return the ids of the handles that are armed in it now."""
        return self._hands.armed()

    async def serve(self) -> int:
        """Pass everything on until the server has ended, or the client is gone.

        Returns:
            The server's exit code; 128 and the signal's number where one ended it.
        """
        server, loop = self._served, asyncio.get_running_loop()
        for number in _PASSED_ON:
            loop.add_signal_handler(number, self._signal, number)
        coming, self._out = await _own_pipes()
        upward = asyncio.ensure_future(self._upward(coming))
        try:
            await self._downward()
        except OSError:
            await self._end_server()  # nobody reads what it says any more
        finally:
            upward.cancel()
            await asyncio.gather(upward, return_exceptions=True)
        code = await server.wait()
        return code if code >= 0 else 128 - code

    @property
    def _served(self) -> asyncio.subprocess.Process:
        assert self._server is not None
        return self._server

    async def _upward(self, coming: asyncio.StreamReader) -> None:
        """Pass on what the client says; close the server's input when the client does."""
        lines, to = Lines(), self._served.stdin
        assert to is not None
        with contextlib.suppress(OSError):
            while chunk := await coming.read(_CHUNK):
                for piece, whole in lines.feed(chunk, whole=bool(self._aimed())):
                    if not (whole and await self._strike(piece)):
                        to.write(piece)
                await to.drain()
            to.write(lines.rest())
            await to.drain()
        to.close()

    async def _downward(self) -> None:
        """Pass on what the server says, but for answers that a fault waits for."""
        lines, coming = Lines(), self._served.stdout
        assert coming is not None
        while chunk := await coming.read(_CHUNK):
            for piece, whole in lines.feed(chunk, whole=bool(self._waiting)):
                waiting = self._waiting.pop(identity, None) if whole and (identity := answering(piece)) is not None else None
                if waiting is None or waiting.done():
                    await self._say(piece)
                else:
                    waiting.set_result(reply_of(piece))
        await self._say(lines.rest())

    def _aimed(self) -> tuple[Armed, ...]:
        return self._hands.aimed_at_connections()

    async def _strike(self, line: bytes) -> bool:
        """Let armed faults have a message; return whether it is on its way, so that nobody else need send it."""
        message = asking(line)
        if message is None:
            return False
        unit = self._units.of(baggage_of(message)) if self._units is not None else None
        token = current_unit.set(unit)
        aimed = [armed for armed in self._aimed() if armed.aim.switch.unit_of_call() is not None]
        current_unit.reset(token)
        if not aimed:
            return False
        begun = asyncio.Event()
        task = asyncio.ensure_future(self._answer(aimed, unit, LineView(line, message), message["id"], begun))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        waiting = asyncio.ensure_future(begun.wait())  # what comes after it must not overtake it unless it is held
        await asyncio.wait({task, waiting}, timeout=_HEAD_START_S, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        return True

    async def _answer(
        self, aimed: list[Armed], unit: UnitContext | None, view: LineView, identity: str | int, begun: asyncio.Event
    ) -> None:
        async def ask(line: bytes) -> Reply:
            answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
            self._waiting[identity] = answer
            to = self._served.stdin
            assert to is not None
            to.write(line)
            begun.set()
            await to.drain()
            return await answer

        with contextlib.suppress(OSError):  # one end is gone, which the directions notice for themselves
            line = await struck(aimed, unit, view, ask)
            if line is not None:
                await self._say(line)

    async def _say(self, data: bytes) -> None:
        """Write to the client, one message after the other, no faster than it reads."""
        if not data:
            return
        assert self._out is not None
        async with self._turn:
            self._out.write(data)
            await self._out.drain()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._served.send_signal(number)

    async def _end_server(self) -> None:
        """Have the server end: asked first, then not any more."""
        server = self._server
        if server is None or server.returncode is not None:
            return
        for end in (server.terminate, server.kill):
            with contextlib.suppress(ProcessLookupError):
                end()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE_S):
                    await server.wait()
                    return

    def _leave(self) -> None:
        self._units = None
        self._agent = None


def stdio_proxy(name: str, command: Sequence[str]) -> StdioProxy:
    """Return a proxy that will stand in for a server.

    Raises:
        RefuteError: the name is none (`PROXY-STDIO-NAME`).
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,62}", name):
        raise refuse(
            "PROXY-STDIO-NAME",
            "the server's name is none",
            where="--stdio",
            seen=name,
            allowed="lower-case letters, digits, dots and dashes",
        )
    return StdioProxy(name, command)


async def _own_pipes() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return this process's standard input and output.

    Raises:
        RefuteError: they are files, of which no client reads or writes the other end (`PROXY-STDIO-PIPES`).
    """
    loop = asyncio.get_running_loop()
    coming = asyncio.StreamReader(_CHUNK)
    try:
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(coming), _unbuffered(sys.stdin))
        transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, _unbuffered(sys.stdout))
    except ValueError as error:
        raise refuse("PROXY-STDIO-PIPES", "an MCP client speaks over pipes", seen=str(error)) from None
    return coming, asyncio.StreamWriter(transport, protocol, None, loop)


def _unbuffered(stream: Any) -> Any:
    return os.fdopen(os.dup(stream.fileno()), "rb" if stream is sys.stdin else "wb", buffering=0)
