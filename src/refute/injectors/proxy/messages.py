"""Plays faults on JSON-RPC messages over stdio: one line a message, answers found by their ids."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from refute.core.context import UnitContext, current_unit
from refute.injectors._calls import Attempt
from refute.injectors.driver import ASK, Do, Head, Hold, Pump, Script, Send, script
from refute.injectors.proxy.hands import Armed
from refute.wire.codec import Codec, codec_named
from refute.wire.exchange import Failure, Reply, Request
from refute.wire.mcp import request_of_line
from refute.wire.shapes import mapping, string
from refute.wire.sse import read_json

_JSON = (("content-type", "application/json"),)
_CODEC = codec_named("mcp.stdio")

Ask = Callable[[bytes], Awaitable[Reply]]
"""Sends a message on, as a line, and waits for its answer."""


class SilenceError(Exception):
    """A fault has it that no answer ever comes."""


class LineView:
    """A client's message as the driver sees it.

    Args:
        line: the message.
        message: decoded.
    """

    read_timeout_s = None

    def __init__(self, line: bytes, message: dict[str, Any]) -> None:
        """Read nothing yet."""
        self.line = line
        self._message = message

    def attempt(self) -> int:
        """See `View.attempt`; MCP numbers no attempts."""
        return -1

    def identity(self) -> int:
        """See `View.identity`: what is asked, whatever the message's id and metadata."""
        params = {name: value for name, value in mapping(self._message.get("params")).items() if name != "_meta"}
        return hash(json.dumps([self._message.get("method"), params], sort_keys=True))

    def codec(self) -> Codec:
        """See `View.codec`."""
        return _CODEC

    def request(self) -> Request:
        """See `View.request`."""
        return request_of_line(self.line)


def asking(line: bytes) -> dict[str, Any] | None:
    """Return a line's message where it is a request that wants an answer, else None."""
    message = read_json(line)
    wants = isinstance(message, dict) and isinstance(message.get("method"), str) and isinstance(message.get("id"), str | int)
    return message if wants else None


def answering(line: bytes) -> str | int | None:
    """Return the id that a line answers, None where it answers nothing."""
    message = read_json(line)
    if not isinstance(message, dict) or "method" in message or not ("result" in message or "error" in message):
        return None
    identity = message.get("id")
    return identity if isinstance(identity, str | int) else None


def baggage_of(message: dict[str, Any]) -> str:
    """Return the W3C baggage that a message carries in its metadata, as OpenTelemetry's instrumentation of MCP puts it there."""
    return string(mapping(mapping(message.get("params")).get("_meta")).get("baggage"))


async def struck(aimed: list[Armed], unit: UnitContext | None, view: LineView, ask: Ask) -> bytes | None:
    """Return the line that answers a message under armed faults, the first nearest to the client; None for no answer at all.

    Args:
        aimed: what is armed.
        unit: that the message belongs to, None where it carries none.
        view: the message.
        ask: asks the server.
    """
    current_unit.set(unit)
    for armed in reversed(aimed):
        ask = partial(_met, armed, view, ask)
    try:
        reply = await ask(view.line)
    except SilenceError:
        return None
    return reply.body if reply.body.endswith(b"\n") else reply.body + b"\n"


async def _met(armed: Armed, view: LineView, ask: Ask, line: bytes) -> Reply:
    todo = script(armed.aim, view)
    if todo is None:
        return await ask(line)
    if not isinstance(todo, Attempt):
        return await _play(todo, armed, ask, line)
    try:
        reply = await ask(line)
    except BaseException:
        todo.ended(failed=True)
        raise
    todo.ended(failed="error" in mapping(read_json(reply.body)))
    return reply


async def _play(todo: Script, armed: Armed, ask: Ask, line: bytes) -> Reply:
    reply: Reply | None = None
    turn: Callable[[], Any] = partial(next, todo)
    while True:
        try:
            command = turn()
        except StopIteration as end:
            return await _ended(end.value, reply, partial(ask, line))
        try:
            reply, came = await _done(command, armed, ask, line, reply)
            turn = partial(todo.send, came)
        except BaseException as error:  # noqa: BLE001 - the script takes note and raises it again
            turn = partial(todo.throw, error)


async def _done(command: Hold | Send | Do, armed: Armed, ask: Ask, line: bytes, reply: Reply | None) -> tuple[Reply | None, Any]:
    if isinstance(command, Hold):
        return reply, not await armed.lease.wait_revoked_async(command.seconds)
    if command is ASK or isinstance(command, Send):
        reply = await ask(command.request.body + b"\n" if isinstance(command, Send) else line)
        return reply, Head(200, "application/json")
    return reply, reply


async def _ended(result: Reply | Failure | Pump | None, reply: Reply | None, ask: Callable[[], Awaitable[Reply]]) -> Reply:
    """Return what a script came to as an answer; a broken connection has no likeness here but that no answer comes."""
    if isinstance(result, Reply):
        return result
    if isinstance(result, Failure):
        raise SilenceError
    reply = reply or await ask()
    if isinstance(result, Pump):
        steps = [*result.feed(reply.body), *([] if result.done else result.finish())]
        result.passed()
        if any(isinstance(step, Failure) for step in steps):
            raise SilenceError
        return Reply(200, _JSON, b"".join(step for step in steps if isinstance(step, bytes)))
    return reply


def reply_of(line: bytes) -> Reply:
    """Return a server's line as a reply; where nothing changes it, the very same bytes go on."""
    return Reply(200, _JSON, line)
