"""Plays a fault's script on one exchange: what the driver asks for, done on two sockets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from refute.core.context import current_unit
from refute.injectors._calls import Attempt
from refute.injectors.driver import ASK, Do, Head, Hold, Pump, Script, Send, script
from refute.injectors.proxy.answers import Answer, FailureError, FromUpstream, UnreadableError, content_type
from refute.injectors.proxy.hands import Armed
from refute.injectors.proxy.held import HeldRequest
from refute.injectors.proxy.relay import Leg
from refute.injectors.proxy.spoilt import Made, stream
from refute.wire.exchange import Failure, Reply, Request

Ask = Callable[[Request | None], Awaitable[Answer]]
"""Sends the client's request on, or another in its place."""


async def struck(armed: Armed, ask: Ask, view: HeldRequest, leg: Leg, other: Request | None = None) -> Answer:
    """Return what a request is answered with under one armed fault.

    Args:
        armed: the fault.
        ask: asks upstream, or the next fault.
        view: the request.
        leg: the connection to upstream.
        other: what a fault further out sends on in the place of the client's request.

    Raises:
        FailureError: the fault breaks the connection.
    """
    todo = script(armed.aim, view)
    if todo is None:
        return await ask(other)
    if not isinstance(todo, Attempt):
        return await _Play(armed, partial(_instead, ask, other), leg).run(todo)
    try:
        answer = await ask(other)
    except BaseException:
        todo.ended(failed=True)
        raise
    todo.ended(failed=answer.status >= 400)
    return answer


async def _instead(ask: Ask, other: Request | None, mine: Request | None) -> Answer:
    """Send on what a fault further in wants, else what one further out does."""
    return await ask(mine or other)


class _Play:
    """One script under way."""

    def __init__(self, armed: Armed, ask: Ask, leg: Leg) -> None:
        self._armed = armed
        self._ask = ask
        self._leg = leg
        self._answer: Answer | None = None

    async def run(self, todo: Script) -> Answer:
        """Play it to its end."""
        turn: Callable[[], Any] = partial(next, todo)
        while True:
            try:
                command = turn()
            except StopIteration as end:
                return self._ended(end.value) or await self._ask(None)
            except UnreadableError as error:
                self._armed.missed(str(error))
                return self._upstreams()
            try:
                turn = partial(todo.send, await self._done(command))
            except BaseException as error:  # noqa: BLE001 - the script takes note and raises it again
                turn = partial(todo.throw, error)

    async def _done(self, command: Hold | Send | Do) -> Any:
        if isinstance(command, Hold):
            return not await self._armed.lease.wait_revoked_async(command.seconds)
        if command is ASK or isinstance(command, Send):
            self._answer = await self._ask(command.request if isinstance(command, Send) else None)
            return Head(self._answer.status, content_type(self._answer))
        return await self._upstreams().whole()

    def _ended(self, result: Reply | Failure | Pump | None) -> Answer | None:
        """Return the script's result as an answer; None where upstream is yet to be asked."""
        if isinstance(result, Failure):
            raise FailureError(result, self._armed.lease)
        if isinstance(result, Reply):
            return Made(result, self._leg)
        if isinstance(result, Pump):
            return self._stream(result)
        return self._answer

    def _stream(self, pump: Pump) -> Answer:
        answer = self._upstreams()
        if isinstance(answer, FromUpstream) and not answer.readable():
            self._armed.missed("streams were encoded in a way that cannot be read")
            return answer
        unit = current_unit.get()
        return stream(answer, pump, self._armed.lease, self._leg, may_strike=unit is None or unit.arm == "treatment")

    def _upstreams(self) -> Answer:
        assert self._answer is not None
        return self._answer
