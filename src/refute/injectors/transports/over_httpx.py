"""Breaks calls of httpx and httpx2, sync and async, in the library's own types."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from functools import partial
from importlib import import_module
from operator import attrgetter
from types import ModuleType
from typing import Any

from refute.core.lease import Lease
from refute.injectors.driver import Head, Pump, unpacked
from refute.injectors.transports.board import Board
from refute.injectors.transports.carrying import Flow, Result, carry_all, carry_all_async
from refute.injectors.transports.hooks import Site
from refute.injectors.transports.reading import identity
from refute.wire.codec import Codec, recognise_head
from refute.wire.exchange import Failure, Headers, Reply, Request
from refute.wire.request import RETRY_COUNT, attempt_number

_FAILURES = {
    Failure.CONNECT: "ConnectError",
    Failure.RESET: "ReadError",
    Failure.READ_TIMEOUT: "ReadTimeout",
    Failure.CLOSED: "RemoteProtocolError",
}


def sites(board: Board) -> list[Site]:
    """Return what is to be hooked."""
    sync, coroutine = partial(_wrapper, board), partial(_async_wrapper, board)
    return [
        site
        for library in ("httpx", "httpx2")
        for site in (
            Site(library, "HTTPTransport", "handle_request", sync),
            Site(library, "AsyncHTTPTransport", "handle_async_request", coroutine),
        )
    ]


def url_of(library: ModuleType) -> Callable[[Any], Any]:
    """Return the function that gets a request's URL, as something that is compared quickly.

    That is the tuple of its parts, where the library keeps one as it does today; else its own URL.
    """
    try:
        parts = tuple(library.URL("http://user@host:1/path?query")._uri_reference)  # noqa: SLF001 - tried, and done without
    except (AttributeError, TypeError):
        return attrgetter("url")
    return attrgetter("url" if parts[:6] != ("http", "user", "host", 1, "/path", "query") else "url._uri_reference")


def _wrapper(board: Board, library: ModuleType, original: Any) -> Any:
    """Return what stands in for a transport's method: no layer of its own around a call that is not hit."""
    adapter, where = HttpxAdapter(library, _Exchange), url_of(library)

    def handle_request(transport: Any, request: Any) -> Any:
        routes, url = board.routes, where(request)
        before, method, aimed = routes.last
        if url != before or method != request.method:
            aimed = routes.find(request, url)
        unit = aimed[0].missed(request) if len(aimed) == 1 else None
        if unit is None:
            return carry_all(adapter, aimed, partial(original, transport), request)
        try:
            response = original(transport, request)
        except BaseException:
            aimed[0].failed(unit, request)
            raise
        if response.status_code >= 400:
            aimed[0].failed(unit, request)
        return response

    return handle_request


def _async_wrapper(board: Board, library: ModuleType, original: Any) -> Any:
    adapter, where = HttpxAdapter(library, _AsyncExchange), url_of(library)

    async def handle_async_request(transport: Any, request: Any) -> Any:
        routes, url = board.routes, where(request)
        before, method, aimed = routes.last
        if url != before or method != request.method:
            aimed = routes.find(request, url)
        unit = aimed[0].missed(request) if len(aimed) == 1 else None
        if unit is None:
            return await carry_all_async(adapter, aimed, partial(original, transport), request, adapter.sleep)
        try:
            response = await original(transport, request)
        except BaseException:
            aimed[0].failed(unit, request)
            raise
        if response.status_code >= 400:
            aimed[0].failed(unit, request)
        return response

    return handle_async_request


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
        limit = self._request.extensions.get("timeout", {}).get("read")
        return float(limit) if limit is not None else None

    def identity(self) -> str | int:
        """See `View.identity`."""
        return identity(self._request)

    def codec(self) -> Codec:
        """See `View.codec`."""
        own = self._request
        return recognise_head(own.method, own.url.path, partial(own.headers.get, default=""))[0]

    def request(self) -> Request:
        """See `View.request`."""
        own = self._request
        return Request(own.method, str(own.url), _headers(own.headers), _body(own))


class HttpxAdapter:
    """Makes exchanges of one library.

    Args:
        library: `httpx` or `httpx2`.
        kind: class of the exchanges.
    """

    def __init__(self, library: ModuleType, kind: type) -> None:
        """Make the stream classes that the library's clients accept."""
        self.library = library
        self._kind = kind
        self.stream = type("PumpedStream", (_SyncStream, library.SyncByteStream), {})
        self.async_stream = type("AsyncPumpedStream", (_AsyncStream, library.AsyncByteStream), {})

    def view(self, request: Any) -> HttpxView:
        """See `Adapter.view`."""
        return HttpxView(request)

    def exchange(self, ask: Callable[[Any], Any], request: Any, lease: Lease) -> Any:
        """See `Adapter.exchange`."""
        return self._kind(self, ask, request, lease)

    def failed(self, response: Any) -> bool:
        """See `Adapter.failed`."""
        return bool(response.status_code >= 400)

    async def sleep(self, seconds: float) -> None:
        """Sleep on whatever event loop runs: the library's clients work on trio, too, and bring anyio for that."""
        await import_module("anyio").sleep(seconds)

    def failure(self, request: Any, kind: Failure) -> Exception:
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


class _Base:
    """One exchange under way: upstream's response, and its body where that had to be read."""

    __slots__ = ("_adapter", "_ask", "_lease", "_raw", "_request", "_response")

    def __init__(self, adapter: HttpxAdapter, ask: Callable[[Any], Any], request: Any, lease: Lease) -> None:
        self._adapter = adapter
        self._ask = ask
        self._request = request
        self._lease = lease
        self._response: Any = None
        self._raw: bytes | None = None

    def _to_send(self, instead: Request | None) -> Any:
        self._raw = None
        if instead is None:
            return self._request
        return self._adapter.library.Request(
            instead.method, instead.url, headers=list(instead.headers), content=instead.body, extensions=self._request.extensions
        )

    def _answer(self, result: Result, stream: type) -> Any:
        library, response = self._adapter.library, self._response
        if isinstance(result, Failure):
            raise self._adapter.failure(self._request, result)
        if isinstance(result, Reply):
            extensions = {} if response is None else response.extensions
            return library.Response(
                result.status, headers=list(result.headers), stream=library.ByteStream(result.body), extensions=extensions
            )
        if isinstance(result, Pump):
            flow = Flow(result, self._lease, HttpxView(self._request).read_timeout_s, partial(self._adapter.failure, self._request))
            headers = list(unpacked(_headers(response.headers)))
            return library.Response(
                response.status_code, headers=headers, stream=stream(flow, response, self._adapter), extensions=response.extensions
            )
        if self._raw is not None:
            response.stream = library.ByteStream(self._raw)
        return response


class _Exchange(_Base):
    __slots__ = ()

    def ask(self, instead: Request | None) -> Head:
        self._response = self._ask(self._to_send(instead))
        return _head(self._response)

    def read(self) -> Reply:
        try:
            self._raw = b"".join(self._response.stream)
        finally:
            self._response.stream.close()
        return self._adapter.decoded(self._response, self._raw)

    def answer(self, result: Result) -> Any:
        return self._answer(result, self._adapter.stream)


class _AsyncExchange(_Base):
    __slots__ = ()

    async def ask(self, instead: Request | None) -> Head:
        self._response = await self._ask(self._to_send(instead))
        return _head(self._response)

    async def read(self) -> Reply:
        try:
            self._raw = b"".join([chunk async for chunk in self._response.stream])
        finally:
            await self._response.stream.aclose()
        return self._adapter.decoded(self._response, self._raw)

    async def answer(self, result: Result) -> Any:
        return self._answer(result, self._adapter.async_stream)


class _Stream:
    """What the sync and the async stream have in common."""

    def __init__(self, flow: Flow, response: Any, adapter: HttpxAdapter) -> None:
        self._flow = flow
        self._response = response
        self._adapter = adapter
        self._packed = "content-encoding" in response.headers


class _SyncStream(_Stream):
    """Yields what the pump passes on."""

    def __iter__(self) -> Iterator[bytes]:
        source = self._response.iter_bytes() if self._packed else iter(self._response.stream)
        return self._flow.through(source, self._response.close)

    def close(self) -> None:
        self._response.close()


class _AsyncStream(_Stream):
    """Does what the sync stream does, without blocking the event loop."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        source = self._response.aiter_bytes() if self._packed else aiter(self._response.stream)
        return self._flow.through_async(source, self._response.aclose, self._adapter.sleep)

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
