"""Does for httpx and httpx2 what an exchange's script asks for, sync and async, in the library's own types."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from functools import cached_property, partial
from importlib import import_module
from operator import attrgetter
from types import ModuleType
from typing import Any

from refute.core.lease import Lease
from refute.injectors._calls import Reading
from refute.injectors.driver import ASK, Do, Head, Hold, Pump, Script, Send, limit_pause, unpacked
from refute.wire.codec import Codec, recognise_head
from refute.wire.exchange import Failure, Headers, Pause, Reply, Request
from refute.wire.request import RETRY_COUNT, attempt_number

_WHOLE_BODY = 2_048
_PART = 256

_FAILURES = {
    Failure.CONNECT: "ConnectError",
    Failure.RESET: "ReadError",
    Failure.READ_TIMEOUT: "ReadTimeout",
    Failure.CLOSED: "RemoteProtocolError",
}


class HttpxView:
    """A request of httpx or httpx2.

    Args:
        request: the library's request.
    """

    __slots__ = ("_request",)

    def __init__(self, request: Any) -> None:
        """Keep the request."""
        self._request = request

    def attempt(self) -> int:
        """See `View.attempt`."""
        return attempt_number(self._request.headers.get(RETRY_COUNT, ""))

    @property
    def read_timeout_s(self) -> float | None:
        """See `View.read_timeout_s`."""
        return read_timeout_s(self._request)

    def identity(self) -> int:
        """See `View.identity`."""
        return _identity_of(self._request)

    def codec(self) -> Codec:
        """See `View.codec`."""
        own = self._request
        return recognise_head(own.method, own.url.path, partial(own.headers.get, default=""))[0]

    def request(self) -> Request:
        """See `View.request`."""
        own = self._request
        return Request(own.method, str(own.url), _headers(own.headers), _body(own))


def _identity_of(request: Any) -> int:
    """Return what stays the same between the attempts of one logical call: its body, or where there is none its method and path."""
    try:
        body = request.content
    except RuntimeError:  # RequestNotRead: it is a stream of its own
        body = b""
    return _digest(body) if body else hash((request.method, request.url.raw_path))


def _identity_of_stream(stream: Any) -> int:
    return _digest(b"".join(stream)) if type(stream).__name__ == "ByteStream" else 0


def _digest(body: bytes) -> int:
    """Return the hash of a body; of a long one, of its length and four parts."""
    size = len(body)
    if size <= _WHOLE_BODY:
        return hash(body)
    third = size // 3
    return hash((size, body[:_PART], body[third : third + _PART], body[-third : _PART - third], body[-_PART:]))


READING = Reading(attrgetter("stream"), _identity_of_stream, _identity_of)
"""How to read a request of httpx or httpx2: its stream, which for a body in memory can be read again, is its trace."""


def read_timeout_s(request: Any) -> float | None:
    """Return the longest silence that the client bears, in seconds; None for any."""
    limit = request.extensions.get("timeout", {}).get("read")
    return float(limit) if limit is not None else None


class Adapter:
    """Carries scripts out with one library.

    Args:
        library: `httpx` or `httpx2`.

    """

    def __init__(self, library: ModuleType) -> None:
        """Make the stream classes that the library's clients accept."""
        self.library = library
        self._sync_stream = type("SteppedStream", (_SyncStream, library.SyncByteStream), {})
        self._async_stream = type("AsyncSteppedStream", (_AsyncStream, library.AsyncByteStream), {})

    def carry(self, script: Script, ask: Callable[[Any], Any], request: Any, lease: Lease) -> Any:
        """Carry out a script.

        Args:
            script: what to do.
            ask: sends the request on and returns the library's response.
            request: the library's request.
            lease: ends all waiting.

        Returns:
            The library's response.
        """
        exchange = _Exchange(self, request, lease)
        turn: Callable[[], Any] = partial(next, script)
        while True:
            try:
                command = turn()
            except StopIteration as end:
                result = end.value
                break
            try:
                turn = partial(script.send, exchange.done(command, ask))
            except BaseException as error:  # noqa: BLE001 - the script takes note and raises it again
                turn = partial(script.throw, error)
        return exchange.answer(result, self._sync_stream)

    async def carry_async(self, script: Script, ask: Callable[[Any], Awaitable[Any]], request: Any, lease: Lease) -> Any:
        """Do what `carry` does, without blocking the event loop."""
        exchange = _Exchange(self, request, lease)
        turn: Callable[[], Any] = partial(next, script)
        while True:
            try:
                command = turn()
            except StopIteration as end:
                result = end.value
                break
            try:
                turn = partial(script.send, await exchange.done_async(command, ask))
            except BaseException as error:  # noqa: BLE001 - the script takes note and raises it again
                turn = partial(script.throw, error)
        return exchange.answer(result, self._async_stream)

    @cached_property
    def sleep(self) -> Callable[[float], Awaitable[None]]:
        """The sleep of whatever event loop runs: the library's clients work on trio, too, and bring anyio for that."""
        sleep: Callable[[float], Awaitable[None]] = import_module("anyio").sleep
        return sleep

    def failure(self, kind: Failure, request: Any) -> Exception:
        """Return the library's own exception for a failure below HTTP."""
        error: Exception = getattr(self.library, _FAILURES[kind])(kind.value, request=request)
        return error

    def decoded(self, response: Any, raw: bytes) -> Reply:
        """Return a whole reply, its body decoded by the library's own decoders where they can."""
        body = raw
        if "content-encoding" in response.headers:
            with suppress(self.library.DecodingError):
                body = self.library.Response(response.status_code, headers=response.headers, content=raw).content
        return Reply(response.status_code, _headers(response.headers), body)


class _Exchange:
    """One exchange under way: upstream's response, and its body where that had to be read."""

    __slots__ = ("_adapter", "_lease", "_raw", "_request", "_response")

    def __init__(self, adapter: Adapter, request: Any, lease: Lease) -> None:
        self._adapter = adapter
        self._request = request
        self._lease = lease
        self._response: Any = None
        self._raw: bytes | None = None

    def done(self, command: Hold | Send | Do, ask: Callable[[Any], Any]) -> Any:
        """Do what the script asks for and return what came of it."""
        if isinstance(command, Hold):
            return not self._lease.wait_revoked(command.seconds)
        if command is ASK or isinstance(command, Send):
            self._response = ask(self._to_send(command))
            return _head(self._response)
        try:
            self._raw = b"".join(self._response.stream)
        finally:
            self._response.stream.close()
        return self._adapter.decoded(self._response, self._raw)

    async def done_async(self, command: Hold | Send | Do, ask: Callable[[Any], Awaitable[Any]]) -> Any:
        """Do what `done` does, without blocking the event loop."""
        if isinstance(command, Hold):
            return not await self._lease.wait_revoked_async(command.seconds, self._adapter.sleep)
        if command is ASK or isinstance(command, Send):
            self._response = await ask(self._to_send(command))
            return _head(self._response)
        try:
            self._raw = b"".join([chunk async for chunk in self._response.stream])
        finally:
            await self._response.stream.aclose()
        return self._adapter.decoded(self._response, self._raw)

    def _to_send(self, command: Send | Do) -> Any:
        self._raw = None
        if not isinstance(command, Send):
            return self._request
        request, own = command.request, self._request
        return self._adapter.library.Request(
            request.method, request.url, headers=list(request.headers), content=request.body, extensions=own.extensions
        )

    def answer(self, result: Any, stream: type) -> Any:
        """Return the script's result as the library's response, or raise it."""
        library, response = self._adapter.library, self._response
        if isinstance(result, Failure):
            raise self._adapter.failure(result, self._request)
        if isinstance(result, Reply):
            extensions = {} if response is None else response.extensions
            return library.Response(
                result.status, headers=list(result.headers), stream=library.ByteStream(result.body), extensions=extensions
            )
        if isinstance(result, Pump):
            body = stream(self._adapter, result, response, self._request, self._lease)
            headers = list(unpacked(_headers(response.headers)))
            return library.Response(response.status_code, headers=headers, stream=body, extensions=response.extensions)
        if self._raw is not None:
            response.stream = library.ByteStream(self._raw)
        return response


class _Stepped:
    """What the sync and the async stream have in common."""

    def __init__(self, adapter: Adapter, pump: Pump, response: Any, request: Any, lease: Lease) -> None:
        self._adapter = adapter
        self._pump = pump
        self._response = response
        self._request = request
        self._lease = lease
        self._packed = "content-encoding" in response.headers

    def _ended(self, kind: Failure) -> Exception:
        """Return the exception that ends the stream, its strike delivered; upstream must be closed, as it is when it fails by itself."""
        self._pump.passed()
        return self._adapter.failure(kind, self._request)


class _SyncStream(_Stepped):
    """Yields what the pump passes on, and sleeps where it says so."""

    def __iter__(self) -> Iterator[bytes]:
        source = self._response.iter_bytes() if self._packed else self._response.stream
        for chunk in source:
            yield from self._steps(self._pump.feed(chunk))
            if self._pump.done:
                self._response.close()
                return
        yield from self._steps(self._pump.finish())

    def _steps(self, steps: list[Any]) -> Iterator[bytes]:
        whole, last = True, len(steps) - 1
        for place, step in enumerate(steps):
            if isinstance(step, Pause):
                pause, runs_out = limit_pause(step, read_timeout_s(self._request))
                whole = not self._lease.wait_revoked(pause.seconds)
                if whole:
                    self._pump.passed()
                if whole and runs_out:
                    self._response.close()
                    raise self._ended(Failure.READ_TIMEOUT)
            elif isinstance(step, Failure):
                self._response.close()
                raise self._ended(step)
            elif step:
                if whole and place == last:
                    self._pump.passed()  # a reader that takes it may never come back for more
                yield step
        if whole:
            self._pump.passed()

    def close(self) -> None:
        self._response.close()


class _AsyncStream(_Stepped):
    """Does what the sync stream does, without blocking the event loop."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        source = self._response.aiter_bytes() if self._packed else self._response.stream
        async for chunk in source:
            async for piece in self._steps(self._pump.feed(chunk)):
                yield piece
            if self._pump.done:
                await self._response.aclose()
                return
        async for piece in self._steps(self._pump.finish()):
            yield piece

    async def _steps(self, steps: list[Any]) -> AsyncIterator[bytes]:
        whole, last = True, len(steps) - 1
        for place, step in enumerate(steps):
            if isinstance(step, Pause):
                pause, runs_out = limit_pause(step, read_timeout_s(self._request))
                whole = await self._slept(pause.seconds)
                if whole and runs_out:
                    await self._response.aclose()
                    raise self._ended(Failure.READ_TIMEOUT)
            elif isinstance(step, Failure):
                await self._response.aclose()
                raise self._ended(step)
            elif step:
                if whole and place == last:
                    self._pump.passed()  # a reader that takes it may never come back for more
                yield step
        if whole:
            self._pump.passed()

    async def _slept(self, seconds: float) -> bool:
        try:
            whole = not await self._lease.wait_revoked_async(seconds, self._adapter.sleep)
        except BaseException:
            self._pump.passed()  # the caller would not wait any longer: it felt the gap
            raise
        if whole:
            self._pump.passed()
        return whole

    async def aclose(self) -> None:
        await self._response.aclose()


def _head(response: Any) -> Head:
    return Head(response.status_code, response.headers.get("content-type", ""))


def _headers(headers: Any) -> Headers:
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers.raw)


def _body(request: Any) -> bytes:
    """Return a request's body, b"" where it is a stream of its own."""
    try:
        content: bytes = request.content
    except RuntimeError:  # RequestNotRead
        return b""
    return content
