"""One HTTP exchange without I/O: requests, replies, failures, and what a fault does to them.

A fault decides on a `Strike`; adapters (an in-process hook, a proxy; sync or async) carry it out. So that each fault is
written once, a strike says what happens in words that every adapter can honour.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol
from urllib.parse import urlsplit

Headers = tuple[tuple[str, str], ...]

FRAMING = ("content-length", "content-encoding", "transfer-encoding")
"""Headers that say how a body is packed: they must go where a body is rewritten."""


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request, its body whole.

    Attributes:
        method: upper case.
        url: absolute.
        headers: in order, names as sent.
        body: raw bytes.
    """

    method: str
    url: str
    headers: Headers = ()
    body: bytes = b""

    @property
    def path(self) -> str:
        """Return the URL's path."""
        return urlsplit(self.url).path

    def header(self, name: str) -> str:
        """Return the first header of that name, in any case, or ""."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), "")


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP response, its body whole.

    Attributes:
        status: status code.
        headers: in order.
        body: raw bytes.
    """

    status: int
    headers: Headers = ()
    body: bytes = b""


def replace_body(reply: Reply, body: bytes) -> Reply:
    """Return the reply with another body, plain and of the right length.

    Args:
        reply: any reply; its body must be decoded already where it was compressed.
        body: the new body.
    """
    return Reply(reply.status, (*without(reply.headers, *FRAMING), ("content-length", str(len(body)))), body)


def without(headers: Headers, *names: str) -> Headers:
    """Return the headers but those of these lower-case names."""
    return tuple((name, value) for name, value in headers if name.lower() not in names)


class Failure(Enum):
    """What breaks below HTTP; each adapter raises or does its transport's own thing."""

    CONNECT = "connection refused"
    RESET = "connection reset"
    READ_TIMEOUT = "no byte until the client's read time-out"
    CLOSED = "closed in the middle of the body"


@dataclass(frozen=True, slots=True)
class Pause:
    """A gap in a stream, in seconds; it ends with the lease."""

    seconds: float


Step = bytes | Pause | Failure
"""What a stream is made of for an adapter: bytes to pass on, a gap, or its end by failure."""


class StreamRewriter(Protocol):
    """Rewrites a streamed body on its way: bytes in as they come, steps out as they go."""

    def feed(self, chunk: bytes) -> list[Step]:
        """Take the next bytes from upstream and return what to pass on now."""
        ...

    def finish(self) -> list[Step]:
        """Take the end of the upstream body and return what is left to pass on."""
        ...

    def release(self) -> bytes:
        """Give up in the middle, as the lease has ended: return what was taken in and not passed on, untouched."""
        ...

    @property
    def done(self) -> bool:
        """True once nothing more may be passed on: the adapter ends the body there and closes upstream."""
        ...

    @property
    def struck(self) -> bool:
        """True once the steps returned so far differ from what came in, or came late."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """What a request means, recognised by a codec.

    Attributes:
        protocol: codec's name, such as `openai.chat`; `http` where nothing more is known.
        operation: `chat`, `embeddings`, …; `request` for plain HTTP.
        stream: whether the client asked for a stream.
        model: model asked for, or "".
        attempt: 0 for the first try of a logical call, 1 for its first retry, …, where the client says so; else -1.
        request: the request itself.
        stand_in: name of another model at the same endpoint that a fault may ask instead, or "".
        earlier: data of what was really answered to other requests while armed, for faults that remember.
        first: data of what was really answered to this very request first while armed, in a tuple; empty where it has not been yet.
    """

    protocol: str
    operation: str
    stream: bool
    model: str
    attempt: int
    request: Request
    stand_in: str = ""
    earlier: tuple[Any, ...] = ()
    first: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Strike:
    """What a fault does to one exchange; fields left at their defaults change nothing.

    Attributes:
        hold_s: silence before anything else, in seconds; ends with the lease, or by the client's own read time-out.
        instead: answer or fail without asking upstream.
        request: sent in the place of the client's.
        twice: send the request once more, and throw the first reply away.
        rewrite_reply: changes a whole reply that came from upstream; the very same reply where there is nothing to change.
        rewrite_stream: makes a rewriter for a streamed reply that came from upstream, or, where there is no `rewrite_reply`,
            for the bytes of any.
        gather: read a streamed reply to its end, and treat it as a whole one.
        effect: what this does, as counted in the landing (`status 429`, `delay`, `stream cut`).
    """

    effect: str
    hold_s: float = 0.0
    instead: Reply | Failure | None = None
    request: Request | None = None
    twice: bool = False
    rewrite_reply: Callable[[Reply], Reply] | None = None
    rewrite_stream: Callable[[], StreamRewriter] | None = None
    gather: bool = False


@dataclass(frozen=True, slots=True)
class ConnectionStrike:
    """What a fault does to the bytes of one connection, whatever they mean.

    Attributes:
        effect: what this does, as counted in the landing.
        late_s: how late each piece from upstream is, in seconds.
        bytes_per_s: how many bytes a second pass, each way; 0 for any.
        reset: break the connection off as soon as anything comes over it.
        silent: pass nothing on, and keep what comes until the lease ends.
    """

    effect: str
    late_s: float = 0.0
    bytes_per_s: float = 0.0
    reset: bool = False
    silent: bool = False


@dataclass(frozen=True, slots=True)
class PythonCall:
    """A call of a named Python function.

    Attributes:
        name: `module:function`.
        args: positional arguments.
        kwargs: keyword arguments.
        earlier: what the same function really answered to other arguments while armed, for faults that remember.
        first: what it really answered to these very arguments first while armed, in a tuple; empty where it has not yet.
        stand_in: `module:function` of what a fault may call in its place, or "".
    """

    name: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    earlier: tuple[Any, ...] = ()
    first: tuple[Any, ...] = ()
    stand_in: str = ""


class Unchanged(Enum):
    """What a rewrite returns where it found nothing to change: the call goes through and is not counted as hit."""

    UNCHANGED = "nothing to change"


UNCHANGED = Unchanged.UNCHANGED


@dataclass(frozen=True, slots=True)
class PythonStrike:
    """What a fault does to one call of a function.

    Attributes:
        effect: what this does, as counted in the landing.
        hold_s: wait before the call, in seconds; ends with the lease.
        instead: makes what is returned without calling.
        arguments: passed on in the place of the caller's: positional, by keyword.
        twice: call once more, and throw the first result away.
        raises: raised instead of calling (`call_first` False) or after the function did its work (`call_first` True).
        call_first: call the function before raising.
        hold_after_s: wait after the call and before raising or returning.
        rewrite: changes the function's result, without touching the original; `UNCHANGED` where it cannot.
    """

    effect: str
    hold_s: float = 0.0
    instead: Callable[[], Any] | None = None
    arguments: tuple[tuple[Any, ...], dict[str, Any]] | None = None
    twice: bool = False
    raises: BaseException | None = None
    call_first: bool = False
    hold_after_s: float = 0.0
    rewrite: Callable[[Any], Any] | None = None
