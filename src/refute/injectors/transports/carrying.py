"""Carries out what an exchange's script asks for, over any client library, sync and async."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from typing import Any, Protocol

from refute.core.lease import Lease
from refute.injectors._calls import Attempt
from refute.injectors.driver import Do, Head, Hold, Pump, Script, Send, View, limit_pause, script
from refute.injectors.transports.board import Armed
from refute.wire.exchange import Failure, Pause, Reply, Request, Step

Result = Reply | Failure | Pump | None
Sleep = Callable[[float], Awaitable[None]]


class Exchange(Protocol):
    """One exchange under way in a library's own types."""

    def ask(self, instead: Request | None) -> Head:
        """Send the caller's request on, or another in its place; return the head of what upstream replied."""
        ...

    def read(self) -> Reply:
        """Read upstream's reply to its end, and decode it."""
        ...

    def answer(self, result: Result) -> Any:
        """Return the script's result as the library's response, or raise it; None is what upstream replied, untouched."""
        ...


class AsyncExchange(Protocol):
    """Does what an `Exchange` does, without blocking the event loop."""

    async def ask(self, instead: Request | None) -> Head:
        """See `Exchange.ask`."""
        ...

    async def read(self) -> Reply:
        """See `Exchange.read`."""
        ...

    async def answer(self, result: Result) -> Any:
        """See `Exchange.answer`."""
        ...


class Adapter(Protocol):
    """One client library."""

    def view(self, request: Any) -> View:
        """Return a request as scripts see it."""
        ...

    def exchange(self, ask: Callable[[Any], Any], request: Any, lease: Lease) -> Any:
        """Return an exchange: an `AsyncExchange` where what sends its request is a coroutine function."""
        ...

    def failed(self, response: Any) -> bool:
        """Say whether a response tells of an error."""
        ...


def carry_all(adapter: Adapter, aimed: tuple[Armed, ...], ask: Callable[[Any], Any], request: Any) -> Any:
    """Carry out what several faults do to one exchange, the first to be armed nearest to the caller; where there is none, ask."""
    for armed in reversed(aimed):
        ask = partial(_carry, adapter, armed, ask)
    return ask(request)


async def carry_all_async(adapter: Adapter, aimed: tuple[Armed, ...], ask: Callable[[Any], Any], request: Any, sleep: Sleep) -> Any:
    """Do what `carry_all` does without blocking the event loop.

    Args:
        adapter: of the library.
        aimed: what is armed for the request.
        ask: sends the request on.
        request: the library's.
        sleep: the event loop's.
    """
    for armed in reversed(aimed):
        ask = partial(_carry_async, adapter, armed, ask, sleep)
    return await ask(request)


def _carry(adapter: Adapter, armed: Armed, ask: Callable[[Any], Any], request: Any) -> Any:
    todo = script(armed.aim, adapter.view(request))
    if todo is None:
        return ask(request)
    if not isinstance(todo, Attempt):
        return _played(todo, adapter.exchange(ask, request, armed.lease), armed.lease)
    try:
        response = ask(request)
    except BaseException:
        todo.ended(failed=True)
        raise
    todo.ended(failed=adapter.failed(response))
    return response


async def _carry_async(adapter: Adapter, armed: Armed, ask: Callable[[Any], Any], sleep: Sleep, request: Any) -> Any:
    todo = script(armed.aim, adapter.view(request))
    if todo is None:
        return await ask(request)
    if not isinstance(todo, Attempt):
        return await _played_async(todo, adapter.exchange(ask, request, armed.lease), armed.lease, sleep)
    try:
        response = await ask(request)
    except BaseException:
        todo.ended(failed=True)
        raise
    todo.ended(failed=adapter.failed(response))
    return response


def _played(script: Script, exchange: Exchange, lease: Lease) -> Any:
    turn: Callable[[], Any] = partial(next, script)
    while True:
        try:
            command = turn()
        except StopIteration as end:
            return exchange.answer(end.value)
        try:
            turn = partial(script.send, _done(command, exchange, lease))
        except BaseException as error:  # noqa: BLE001 - the script takes note and raises it again
            turn = partial(script.throw, error)


async def _played_async(script: Script, exchange: AsyncExchange, lease: Lease, sleep: Sleep) -> Any:
    turn: Callable[[], Any] = partial(next, script)
    while True:
        try:
            command = turn()
        except StopIteration as end:
            result = end.value
            break
        try:
            turn = partial(script.send, await _done_async(command, exchange, lease, sleep))
        except BaseException as error:  # noqa: BLE001 - the script takes note and raises it again
            turn = partial(script.throw, error)
    return await exchange.answer(result)


def _done(command: Hold | Send | Do, exchange: Exchange, lease: Lease) -> Any:
    if isinstance(command, Hold):
        return not lease.wait_revoked(command.seconds)
    if isinstance(command, Send):
        return exchange.ask(command.request)
    return exchange.ask(None) if command is Do.ASK else exchange.read()


async def _done_async(command: Hold | Send | Do, exchange: AsyncExchange, lease: Lease, sleep: Sleep) -> Any:
    if isinstance(command, Hold):
        return not await lease.wait_revoked_async(command.seconds, sleep)
    if isinstance(command, Send):
        return await exchange.ask(command.request)
    return await (exchange.ask(None) if command is Do.ASK else exchange.read())


class Flow:
    """A streamed body on its way through a pump.

    Args:
        pump: passes it on.
        lease: ends all waiting.
        limit_s: longest silence that the client bears, seconds; None for any.
        fail: makes the exception that ends the stream.
    """

    __slots__ = ("_fail", "_lease", "_limit_s", "_pump")

    def __init__(self, pump: Pump, lease: Lease, limit_s: float | None, fail: Callable[[Failure], Exception]) -> None:
        """Pass on nothing yet."""
        self._pump, self._lease, self._limit_s, self._fail = pump, lease, limit_s, fail

    def through(self, source: Iterator[bytes], close: Callable[[], Any]) -> Iterator[bytes]:
        """Yield what the pump passes on, and sleep where it says so.

        Args:
            source: upstream's body, decoded.
            close: lets go of upstream.
        """
        for chunk in source:
            yield from self._steps(self._pump.feed(chunk), close)
            if self._pump.done:
                close()
                return
        yield from self._steps(self._pump.finish(), close)

    async def through_async(self, source: AsyncIterator[bytes], close: Callable[[], Awaitable[Any]], sleep: Sleep) -> AsyncIterator[bytes]:
        """Do what `through` does without blocking the event loop."""
        async for chunk in source:
            async for piece in self._steps_async(self._pump.feed(chunk), close, sleep):
                yield piece
            if self._pump.done:
                await close()
                return
        async for piece in self._steps_async(self._pump.finish(), close, sleep):
            yield piece

    def _steps(self, steps: list[Step], close: Callable[[], Any]) -> Iterator[bytes]:
        last = len(steps) - 1
        for place, step in enumerate(steps):
            if isinstance(step, Pause):
                pause, runs_out = limit_pause(step, self._limit_s)
                whole = self._pump.waited(whole=not self._lease.wait_revoked(pause.seconds))
                if whole and runs_out:
                    close()
                    raise self._ended(Failure.READ_TIMEOUT)
            elif isinstance(step, Failure):
                close()
                raise self._ended(step)
            elif step:
                if place == last:
                    self._pump.passed()  # a reader that takes it may never come back for more
                yield step
        self._pump.passed()

    async def _steps_async(self, steps: list[Step], close: Callable[[], Awaitable[Any]], sleep: Sleep) -> AsyncIterator[bytes]:
        last = len(steps) - 1
        for place, step in enumerate(steps):
            if isinstance(step, Pause):
                pause, runs_out = limit_pause(step, self._limit_s)
                whole = await self._slept(pause.seconds, sleep)
                if whole and runs_out:
                    await close()
                    raise self._ended(Failure.READ_TIMEOUT)
            elif isinstance(step, Failure):
                await close()
                raise self._ended(step)
            elif step:
                if place == last:
                    self._pump.passed()  # a reader that takes it may never come back for more
                yield step
        self._pump.passed()

    async def _slept(self, seconds: float, sleep: Sleep) -> bool:
        try:
            whole = not await self._lease.wait_revoked_async(seconds, sleep)
        except BaseException:
            self._pump.passed()  # the caller would not wait any longer: it felt the gap
            raise
        return self._pump.waited(whole=whole)

    def _ended(self, kind: Failure) -> Exception:
        """Return the exception that ends the stream, its strike delivered; upstream must be closed, as it is when it fails by itself."""
        self._pump.passed()
        return self._fail(kind)
