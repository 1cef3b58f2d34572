"""Breaks calls of urllib3, and so of what stands on it (requests, botocore): beneath its retries, above its connections.

What a fault answers is given to the library as the bytes of a response, through a socket that is none, so that whatever it makes of them,
its own exceptions among it, is its own doing.
"""

from __future__ import annotations

import errno
import http.client
import inspect
import io
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from refute.core.lease import Lease
from refute.injectors._calls import Identity
from refute.injectors.driver import Head, Pump, unpacked
from refute.injectors.transports.board import Board
from refute.injectors.transports.carrying import Flow, Result, carry_all
from refute.injectors.transports.hooks import Site
from refute.injectors.transports.plain_bytes import as_chunk, head_of, whole_of
from refute.injectors.transports.reading import Outgoing, digest
from refute.wire.codec import Codec, recognise_head
from refute.wire.exchange import Failure, Headers, Reply, Request
from refute.wire.request import RETRY_COUNT, attempt_number

NEEDED = {"conn", "method", "url", "body", "headers", "timeout", "response_conn", "preload_content", "decode_content"}


def sites(board: Board) -> list[Site]:
    """Return what is to be hooked."""
    return [Site("urllib3.connectionpool", "HTTPConnectionPool", "_make_request", partial(_wrapper, board))]


def _wrapper(board: Board, _module: ModuleType, original: Any) -> Any:
    """Return what stands in for the method that makes one attempt; None before urllib3 2, which has another one."""
    parameters = inspect.signature(original).parameters
    if not parameters.keys() >= NEEDED:
        return None
    adapter, names = Urllib3Adapter(), tuple(parameters)[4:]

    def _make_request(pool: Any, conn: Any, method: str, url: str, *more: Any, **options: Any) -> Any:
        if more:
            options.update(zip(names, more, strict=False))
        request = Attempted(pool, conn, method, url, options)
        aimed, unit = board.glance(request, (pool, url))
        if unit is None and aimed:
            response = carry_all(adapter, aimed, partial(_asked, original), request)
            return _given(response, request)
        try:
            response = original(pool, conn, method, url, **options)
        except BaseException:
            if unit is not None:
                aimed[0].failed(unit, request)
            raise
        if unit is not None and response.status >= 400:
            aimed[0].failed(unit, request)
        return response

    return _make_request


class Place(NamedTuple):
    """Where a request goes."""

    scheme: str
    host: str
    port: int | None
    path: str
    query: str


class Attempted(Outgoing):
    """One attempt of urllib3's.

    Args:
        pool: its connection pool.
        conn: its connection, which need not be open.
        method: upper case.
        target: path and query; through a proxy a whole URL.
        options: further arguments of the attempt, by name.
    """

    __slots__ = ("conn", "method", "options", "pool", "target")

    def __init__(self, pool: Any, conn: Any, method: str, target: str, options: dict[str, Any]) -> None:
        """Keep them."""
        self.pool, self.conn, self.method, self.target, self.options = pool, conn, method, target, options

    @property
    def url(self) -> Place:
        """Where it goes."""
        if self.target[:1] == "/":
            path, _, query = self.target.partition("?")
            return Place(self.pool.scheme, self.pool.host, self.pool.port, path, query)
        parts = urlsplit(self.target)
        return Place(parts.scheme, parts.hostname or "", parts.port, parts.path, parts.query)

    @property
    def headers(self) -> _Fields:
        """The headers; names in any case find them."""
        return _Fields(self.options.get("headers") or self.pool.headers)

    def attempt(self) -> int:
        """See `View.attempt`."""
        return attempt_number(self.headers.get(RETRY_COUNT))

    @property
    def read_timeout_s(self) -> float | None:
        """See `View.read_timeout_s`."""
        limit = self.pool._get_timeout(self.options.get("timeout")).read_timeout  # noqa: SLF001 - as the original asks it
        return float(limit) if isinstance(limit, int | float) else None

    @property
    def content(self) -> Any:
        """See `Outgoing.content`."""
        return self.options.get("body")

    def unlike(self) -> Identity:
        """See `Outgoing.unlike`."""
        body = self.body()
        return digest(body) if body else hash((self.method, self.target))

    def codec(self) -> Codec:
        """See `View.codec`."""
        return recognise_head(self.method, self.url.path, self.headers.get)[0]

    def request(self) -> Request:
        """See `View.request`."""
        scheme, host, port, path, query = self.url
        authority = f"[{host}]" if ":" in host else host
        url = f"{scheme}://{authority}{f':{port}' if port else ''}{path}{f'?{query}' if query else ''}"
        return Request(self.method, url, self.headers.all(), self.body())

    def body(self) -> bytes:
        """Return the body; b"" where it can be read only once."""
        body = self.options.get("body")
        if isinstance(body, str):
            return body.encode()
        if isinstance(body, bytes | bytearray | memoryview):
            return bytes(body)
        if isinstance(body, io.IOBase) and body.seekable():
            place = body.tell()
            content = body.read()
            body.seek(place)
            return content.encode() if isinstance(content, str) else bytes(content)
        return b""

    def instead(self, other: Request) -> Attempted:
        """Return the attempt with another request in its place, to the same host."""
        parts = urlsplit(other.url)
        target = f"{parts.path}{f'?{parts.query}' if parts.query else ''}" if self.target[:1] == "/" else other.url
        changed = {"body": other.body, "headers": dict(other.headers), "chunked": False}
        return Attempted(self.pool, self.conn, other.method, target, self.options | changed)


class _Fields:
    """Headers in any mapping, found by lower-case name."""

    __slots__ = ("_own",)

    def __init__(self, own: Any) -> None:
        self._own = own

    def all(self) -> Headers:
        return tuple((_text(name), _text(value)) for name, value in (self._own or {}).items())

    def get(self, name: str, default: str = "") -> str:
        return next((value for key, value in self.all() if key.lower() == name), default)


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


class Urllib3Adapter:
    """Makes exchanges of urllib3."""

    def view(self, request: Attempted) -> Attempted:
        """See `Adapter.view`."""
        return request

    def exchange(self, ask: Callable[[Any], Any], request: Attempted, lease: Lease) -> _Exchange:
        """See `Adapter.exchange`."""
        return _Exchange(ask, request, lease)

    def failed(self, response: Any) -> bool:
        """See `Adapter.failed`."""
        return bool(response.status >= 400)


def _asked(original: Any, request: Attempted) -> Any:
    """Send a request on; its response is not read yet, and does not give its connection back."""
    options = request.options | {"preload_content": False, "response_conn": None}
    return original(request.pool, request.conn, request.method, request.target, **options)


def _given(response: Any, request: Attempted) -> Any:
    """Give a response to the pool as the original would have: bound to its connection, read already where that was asked for."""
    options = request.options
    response.retries = options.get("retries")
    response._connection, response._pool = options.get("response_conn"), request.pool  # noqa: SLF001 - as the original does
    if options.get("preload_content", True):
        _ = response.data
    return response


class _Exchange:
    """See `Exchange`."""

    __slots__ = ("_ask", "_lease", "_raw", "_request", "_response")

    def __init__(self, ask: Callable[[Any], Any], request: Attempted, lease: Lease) -> None:
        self._ask, self._request, self._lease = ask, request, lease
        self._response: Any = None
        self._raw: bytes | None = None

    def ask(self, instead: Request | None) -> Head:
        self._raw = None
        self._response = self._ask(self._request if instead is None else self._request.instead(instead))
        return Head(self._response.status, self._response.headers.get("content-type", ""))

    def read(self) -> Reply:
        response = self._response
        self._raw = raw = response.read(decode_content=False)
        headers = _headers(response)
        body = self._decoded(Reply(response.status, headers, raw)) if "content-encoding" in response.headers else raw
        return Reply(response.status, headers, body)

    def answer(self, result: Result) -> Any:
        response = self._response
        if isinstance(result, Failure):
            raise _failure(self._request, result)
        if isinstance(result, Pump):
            return self._pumped(result)
        if isinstance(result, Reply):
            return _made(self._request, iter([whole_of(result)]))
        if self._raw is None:
            return response
        return _made(self._request, iter([whole_of(Reply(response.status, _headers(response), self._raw))]))

    def _decoded(self, reply: Reply) -> bytes:
        """Return a body decoded by the library's own decoders where they can."""
        from urllib3.exceptions import DecodeError

        try:
            body: bytes = _made(self._request, iter([whole_of(reply)])).read(decode_content=True)
        except DecodeError:
            return reply.body
        return body

    def _pumped(self, pump: Pump) -> Any:
        """Return a response whose body comes through a pump, piece by piece."""
        response, conn = self._response, self._request.conn
        read = False

        def close() -> None:
            if not read:
                response.close()
                conn.close()  # what is left unread in it belongs to nobody

        def pieces() -> Iterator[bytes]:
            nonlocal read
            flow = Flow(pump, self._lease, self._request.read_timeout_s, _broken)
            yield head_of(response.status, unpacked(_headers(response)), chunked=True)
            with suppress(_ClosedError):
                for piece in flow.through(_pieces(response), close):
                    yield as_chunk(piece)
                read = True
                yield as_chunk(b"")

        return _made(self._request, pieces(), close)


def _pieces(response: Any) -> Iterator[bytes]:
    """Yield a body, decoded, as it comes."""
    if response.chunked:
        yield from response.read_chunked(decode_content=True)
    else:
        while piece := response.read1(decode_content=True):
            yield piece


def _headers(response: Any) -> Headers:
    return tuple(response.headers.iteritems())


class _ClosedError(Exception):
    """The body is to end here, in the middle."""


def _broken(kind: Failure) -> Exception:
    """Return what a socket raises that breaks in this way; the library makes its own exception of it."""
    if kind is Failure.CLOSED:
        return _ClosedError()
    if kind is Failure.READ_TIMEOUT:
        return TimeoutError("timed out")
    return ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))


def _failure(request: Attempted, kind: Failure) -> Exception:
    """Return what the original raises where an attempt fails before a response has come."""
    from urllib3.exceptions import NewConnectionError, ReadTimeoutError

    if kind is Failure.CONNECT:
        refused = ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        return NewConnectionError(request.conn, f"Failed to establish a new connection: {refused}")
    if kind is Failure.READ_TIMEOUT:
        return ReadTimeoutError(request.pool, request.target, f"Read timed out. (read timeout={request.read_timeout_s})")
    if kind is Failure.CLOSED:
        return http.client.RemoteDisconnected("Remote end closed connection without response")
    return _broken(kind)


def _made(request: Attempted, pieces: Iterator[bytes], close: Callable[[], None] | None = None) -> Any:
    """Return the library's response to bytes, read from nowhere but here; bound to no connection yet."""
    from urllib3 import HTTPHeaderDict
    from urllib3.response import HTTPResponse

    own = http.client.HTTPResponse(_Socket(_Source(pieces, close)), method=request.method)  # type: ignore[arg-type]
    own.begin()
    options = request.options
    return HTTPResponse(
        body=own, headers=HTTPHeaderDict(own.msg.items()), status=own.status, version=own.version, reason=own.reason,
        preload_content=False, decode_content=options.get("decode_content", True), original_response=own,
        enforce_content_length=options.get("enforce_content_length", True), request_method=request.method, request_url=request.target,
    )  # fmt: skip


class _Source(io.RawIOBase):
    """Reads what a generator yields, one piece at a time, never more than there is.

    Args:
        pieces: what is read.
        on_close: called when the reader has had enough.
    """

    def __init__(self, pieces: Iterator[bytes], on_close: Callable[[], None] | None) -> None:
        super().__init__()
        self._pieces, self._on_close = pieces, on_close
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = memoryview(piece)
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size

    def close(self) -> None:
        if not self.closed and self._on_close is not None:
            self._on_close()
        super().close()


class _Socket:
    """All that `http.client` asks of a socket whose response it reads."""

    def __init__(self, source: _Source) -> None:
        self._source = source

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self._source)
