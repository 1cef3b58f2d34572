"""Breaks calls of aiohttp: as the innermost client middleware of each request, beneath its redirects and whatever else retries.

What a fault answers is given to the library as the bytes of a response, over a connection to nowhere, so that whatever it makes of them,
its own exceptions among it, is its own doing.
"""

from __future__ import annotations

import asyncio
import errno
import inspect
import os
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import cache, partial
from importlib import import_module
from types import ModuleType
from typing import Any

from refute.core.lease import Lease
from refute.injectors._calls import Identity
from refute.injectors.decoding import READABLE, Decoder
from refute.injectors.driver import Head, Pump, unpacked
from refute.injectors.transports.board import Board
from refute.injectors.transports.carrying import Flow, Result, carry_all_async
from refute.injectors.transports.hooks import Site
from refute.injectors.transports.plain_bytes import as_chunk, head_of, whole_of
from refute.injectors.transports.reading import Outgoing, digest
from refute.wire.codec import Codec, recognise_head
from refute.wire.exchange import FRAMING, Failure, Headers, Reply, Request, without
from refute.wire.request import RETRY_COUNT, attempt_number

_TIMED_OUT = "Timeout on reading data from socket"


def sites(board: Board) -> list[Site]:
    """Return what is to be hooked."""
    return [Site("aiohttp.client", "ClientSession", "_request", partial(_wrapper, board))]


def _wrapper(board: Board, _module: ModuleType, original: Any) -> Any:
    """Return what stands in for the method that every request goes through; None before aiohttp 3.12, which knows no middleware."""
    if "middlewares" not in inspect.signature(original).parameters:
        return None
    adapter = AiohttpAdapter()

    def _request(session: Any, method: str, url: Any, **options: Any) -> Any:
        outer = options.get("middlewares")
        outer = session._middlewares if outer is None else outer  # noqa: SLF001 - as the original does
        inner = partial(_passed, board, adapter, (session, options.get("timeout"), options.get("auto_decompress")))
        options["middlewares"] = (*outer, inner)
        return original(session, method, url, **options)

    return _request


async def _passed(board: Board, adapter: AiohttpAdapter, given: tuple[Any, Any, Any], request: Any, handler: Any) -> Any:
    """Pass a request on: the middleware."""
    asked = Asked(request, *given)
    aimed, unit = board.glance(asked, request.url)
    if unit is None and aimed:
        return await carry_all_async(adapter, aimed, lambda asked: handler(asked.own), asked, asyncio.sleep)
    try:
        response = await handler(request)
    except BaseException:
        if unit is not None:
            aimed[0].failed(unit, asked)
        raise
    if unit is not None and response.status >= 400:
        aimed[0].failed(unit, asked)
    return response


class Asked(Outgoing):
    """One request of aiohttp's.

    Args:
        own: the library's.
        session: the session that makes it.
        timeout: what the session was asked with.
        unpacks: what the session was asked with.
    """

    __slots__ = ("_session", "_timeout", "_unpacks", "own")

    def __init__(self, own: Any, session: Any, timeout: Any, unpacks: bool | None) -> None:
        """Keep them."""
        self.own, self._session, self._timeout, self._unpacks = own, session, timeout, unpacks

    @property
    def method(self) -> str:
        """Upper case."""
        return str(self.own.method)

    @property
    def url(self) -> Any:
        """With its parts."""
        return self.own.url

    @property
    def headers(self) -> Any:
        """Names in any case find them."""
        return self.own.headers

    def attempt(self) -> int:
        """See `View.attempt`."""
        return attempt_number(self.headers.get(RETRY_COUNT, ""))

    @property
    def connector(self) -> Any:
        """The session's connector."""
        return self._session.connector

    @property
    def unpacks(self) -> bool:
        """Whether the library undoes content codings by itself."""
        return bool(self._session.auto_decompress if self._unpacks is None else self._unpacks)

    @property
    def read_timeout_s(self) -> float | None:
        """See `View.read_timeout_s`; the limit of the whole call the library keeps by itself."""
        own = self._timeout
        limit = getattr(own if hasattr(own, "sock_read") else self._session.timeout, "sock_read", None)
        return float(limit) if limit else None

    @property
    def content(self) -> Any:
        """See `Outgoing.content`; a payload's public ways to it are coroutines."""
        return getattr(self.own._body, "_value", None)  # noqa: SLF001

    def unlike(self) -> Identity:
        """See `Outgoing.unlike`."""
        body = self.body()
        return digest(body) if body else hash((self.method, self.url.raw_path_qs))

    def codec(self) -> Codec:
        """See `View.codec`."""
        return recognise_head(self.method, self.url.path, partial(_field, self.headers))[0]

    def request(self) -> Request:
        """See `View.request`."""
        return Request(self.method, str(self.url), tuple(self.headers.items()), self.body())

    def body(self) -> bytes:
        """Return the body; b"" where it can be read only once."""
        value = self.content
        return bytes(value) if isinstance(value, bytes | bytearray | memoryview) else b""

    async def become(self, other: Request) -> None:
        """Make another request of it, to the same host."""
        own = self.own
        own.url = type(own.url)(other.url, encoded=True)
        own.chunked = own.compress = None
        await own.update_body(other.body)
        own.headers.clear()
        own.headers.extend(without(other.headers, *FRAMING))
        own.headers["Content-Length"] = str(len(other.body))


def _field(headers: Any, name: str) -> str:
    return str(headers.get(name, ""))


class AiohttpAdapter:
    """Makes exchanges of aiohttp."""

    def view(self, request: Asked) -> Asked:
        """See `Adapter.view`."""
        return request

    def exchange(self, ask: Callable[[Any], Any], request: Asked, lease: Lease) -> _Exchange:
        """See `Adapter.exchange`."""
        return _Exchange(ask, request, lease)

    def failed(self, response: Any) -> bool:
        """See `Adapter.failed`."""
        return bool(response.status >= 400)


class _Exchange:
    """See `AsyncExchange`."""

    __slots__ = ("_ask", "_lease", "_raw", "_request", "_response")

    def __init__(self, ask: Callable[[Any], Any], request: Asked, lease: Lease) -> None:
        self._ask, self._request, self._lease = ask, request, lease
        self._response: Any = None
        self._raw: bytes | None = None

    async def ask(self, instead: Request | None) -> Head:
        self._raw = None
        if instead is not None:
            await self._request.become(instead)
        self._response = await self._ask(self._request)
        return Head(self._response.status, self._response.headers.get("content-type", ""))

    async def read(self) -> Reply:
        response = self._response
        self._raw = body = b"".join([piece async for piece in response.content.iter_any()])
        if (coding := self._coding()) in READABLE:
            with suppress(ValueError):
                body = b"".join(Decoder(coding).feed(body))
        return Reply(response.status, _headers(response), body)

    async def answer(self, result: Result) -> Any:
        if isinstance(result, Failure):
            raise _failure(self._request, result)
        if isinstance(result, Reply):
            return await _made(self._request, whole_of(result))
        if isinstance(result, Pump) and self._coding() in READABLE:
            return await self._pumped(result)
        return self._response if self._raw is None else await self._once_more(self._raw)

    def _coding(self) -> str:
        """Return the content coding that is still to be undone."""
        return "" if self._request.unpacks else str(self._response.headers.get("content-encoding", "")).lower()

    async def _once_more(self, content: bytes) -> Any:
        """Return upstream's response as it was before it was read."""
        response = self._response
        reply = Reply(response.status, without(_headers(response), *FRAMING), content)
        again = await _made(self._request, whole_of(reply))
        again._headers, again._raw_headers = response.headers, response.raw_headers  # noqa: SLF001 - they are no arguments
        return again

    async def _pumped(self, pump: Pump) -> Any:
        """Return a response whose body comes through a pump, piece by piece."""
        response = self._response

        async def close() -> None:
            response.close()

        made = await _made(self._request, head_of(response.status, unpacked(_headers(response)), chunked=True))
        flow = Flow(pump, self._lease, self._request.read_timeout_s, _BrokenError)
        source = flow.through_async(_pieces(response, Decoder(self._coding())), close, asyncio.sleep)
        made._connection.feed(source, made.content, response.close)  # noqa: SLF001 - it is the one that was made for it
        return made


async def _pieces(response: Any, decoder: Decoder) -> AsyncIterator[bytes]:
    """Yield a body, decoded, as it comes."""
    async for packed in response.content.iter_any():
        for piece in decoder.feed(packed):
            yield piece


def _headers(response: Any) -> Headers:
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in response.raw_headers)


def _failure(request: Asked, kind: Failure) -> Exception:
    """Return what the library raises where a request fails before a response has come."""
    library, own = import_module("aiohttp"), request.own
    error: Exception
    if kind is Failure.CONNECT:
        refused = ConnectionRefusedError(errno.ECONNREFUSED, f"Connect call failed {(own.url.host, own.url.port)}")
        error = library.ClientConnectorError(own.connection_key, refused)
    elif kind is Failure.READ_TIMEOUT:
        error = library.SocketTimeoutError(_TIMED_OUT)
    elif kind is Failure.CLOSED:
        error = library.ServerDisconnectedError()
    else:
        error = library.ClientOSError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
    return error


async def _made(request: Asked, data: bytes) -> Any:
    """Return the library's response to bytes; more of them can be fed to its connection.

    Args:
        request: what is answered; nothing of it is sent.
        data: a whole response, or its head.
    """
    own, loop = request.own, asyncio.get_running_loop()
    protocol = import_module("aiohttp.client_proto").ResponseHandler(loop)
    protocol.connection_made(_Nowhere())
    protocol.set_response_params(timer=own._timer, skip_payload=own.method == "HEAD", read_until_eof=True, auto_decompress=request.unpacks)  # noqa: SLF001
    connection = _connections()(request.connector, own.connection_key, protocol, loop)
    body, own._body = own._body, None  # noqa: SLF001 - it may be a stream, which is not to be consumed for nobody
    try:
        response = await own.send(connection)
        protocol.data_received(data)
        return await response.start(connection)
    except BaseException:
        connection.close()
        raise
    finally:
        own._body = body  # noqa: SLF001


@cache
def _connections() -> type:
    """Return the class of connections that were made, of the library's own type."""
    return type("MadeConnection", (_Made, import_module("aiohttp.connector").Connection), {})


class _Made:
    """A connection to nowhere, that belongs to no pool."""

    _protocol: Any
    _notify_release: Callable[[], None]
    _feeding: asyncio.Task[None] | None = None

    def feed(self, source: AsyncIterator[bytes], content: Any, close: Callable[[], Any]) -> None:
        """Let a body come over it.

        Args:
            source: the body.
            content: the library's reader of it.
            close: lets go of where it comes from.
        """
        self._feeding = asyncio.create_task(self._fed(self._protocol, source, content, close))

    def close(self) -> None:
        """See aiohttp's `Connection.close`."""
        self._notify_release()
        if self._protocol is not None:
            self._protocol.close()
            self._protocol = None
        if self._feeding is not None and not self._feeding.done():
            self._feeding.cancel()

    release = close

    async def _fed(self, protocol: Any, source: AsyncIterator[bytes], content: Any, close: Callable[[], Any]) -> None:
        room = protocol.transport.room
        try:
            async for piece in source:
                await room.wait()
                protocol.data_received(as_chunk(piece))
            protocol.data_received(as_chunk(b""))
        except _BrokenError as broken:
            _break(protocol, content, broken.kind)
        except Exception as error:  # noqa: BLE001 - upstream has broken off, and that is what the reader is to see
            content.set_exception(error)
        finally:
            close()


class _BrokenError(Exception):
    """A fault ends the body here, in the middle."""

    def __init__(self, kind: Failure) -> None:
        super().__init__(kind.value)
        self.kind = kind


def _break(protocol: Any, content: Any, kind: Failure) -> None:
    """End a body as a connection does that breaks in this way."""
    if kind is Failure.READ_TIMEOUT:
        content.set_exception(import_module("aiohttp").SocketTimeoutError(_TIMED_OUT))
    else:
        reset = None if kind is Failure.CLOSED else ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        protocol.connection_lost(reset)


class _Nowhere(asyncio.Transport):
    """Takes whatever is written; `room` is set while its reader wants more."""

    def __init__(self) -> None:
        super().__init__()
        self.room = asyncio.Event()
        self.room.set()
        self._closing = False

    def write(self, _data: Any) -> None:
        return

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True
        self.room.set()

    def abort(self) -> None:
        self.close()

    def pause_reading(self) -> None:
        self.room.clear()

    def resume_reading(self) -> None:
        self.room.set()
