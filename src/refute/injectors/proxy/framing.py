"""Where an HTTP/1.1 message ends, and what its head says, without changing a byte: RFC 9112, sections 2 to 7.

A relay that gives every byte on as it came needs to know the ends of messages, and no parser tells: those at hand hand out what a
message means and keep its bytes. What is ambiguous is refused, so that nobody behind can read a message otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

MAX_HEAD_BYTES = 64 * 1024
_MAX_LINE_BYTES = 4 * 1024
_MAX_TRAILER_BYTES = 16 * 1024

_FIELDS = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\r\n\x00]*\r\n)*\r\n")
_REQUEST = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([!-~\x80-\xff]+) HTTP/1\.([01])")
_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n\x00]*)?")
_DIGITS = re.compile(rb"[0-9]{1,18}")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n\x00]*)?\r\n")


class MalformedError(ValueError):
    """The bytes are no HTTP/1.1 message, or an ambiguous one."""


@dataclass(slots=True)
class Head:
    """The first line and the fields of a message.

    Attributes:
        lines: as they came, without their ends; the first is the start line.
        names: lower-case names of the fields, in order: `names[i]` belongs to `lines[i + 1]`.
        minor: of the version: 1 for HTTP/1.1.
    """

    lines: list[bytes]
    names: list[bytes]
    minor: int

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of all fields of a lower-case name."""
        return [self.lines[place + 1].partition(b":")[2].strip(b" \t") for place, known in enumerate(self.names) if known == name]

    def value(self, name: str) -> str:
        """Return the first value of a lower-case name, "" where there is none."""
        found = self.values(name.encode("latin-1"))
        return found[0].decode("latin-1") if found else ""

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return all fields as text."""
        pairs = (line.partition(b":") for line in self.lines[1:])
        return tuple((name.decode("latin-1"), value.strip(b" \t").decode("latin-1")) for name, _, value in pairs)

    def to_bytes(self) -> bytes:
        """Return it as it goes over the wire."""
        return b"\r\n".join([*self.lines, b"", b""])

    def closes(self) -> bool:
        """Say whether the connection ends after this message by its sender's wish."""
        tokens = {token.strip().lower() for value in self.values(b"connection") for token in value.split(b",")}
        return b"close" in tokens or (self.minor == 0 and b"keep-alive" not in tokens)


@dataclass(slots=True)
class RequestHead(Head):
    """The head of a request.

    Attributes:
        method: as sent.
        target: as sent.
    """

    method: str
    target: str


@dataclass(slots=True)
class ReplyHead(Head):
    """The head of a response.

    Attributes:
        status: three digits.
    """

    status: int


def read_request(raw: bytes) -> RequestHead:
    """Read the head of a request, up to and with its blank line.

    Raises:
        MalformedError: it is none.
    """
    lines, names = _split(raw)
    found = _REQUEST.fullmatch(lines[0])
    if found is None:
        raise MalformedError("no request line")
    method, target, minor = found.groups()
    return RequestHead(lines, names, int(minor), method.decode("latin-1"), target.decode("latin-1"))


def read_reply(raw: bytes) -> ReplyHead:
    """Read the head of a response, up to and with its blank line.

    Raises:
        MalformedError: it is none.
    """
    lines, names = _split(raw)
    found = _STATUS.fullmatch(lines[0])
    if found is None:
        raise MalformedError("no status line")
    return ReplyHead(lines, names, int(found[1]), int(found[2]))


def _split(raw: bytes) -> tuple[list[bytes], list[bytes]]:
    first, _, fields = raw.partition(b"\r\n")
    if _FIELDS.fullmatch(fields) is None:
        raise MalformedError("no header field")
    lines = fields[:-4].split(b"\r\n") if len(fields) > 2 else []
    return [first, *lines], [line.partition(b":")[0].lower() for line in lines]


class Body(Protocol):
    """Finds the end of one body. `done` says that it has been reached."""

    done: bool

    def feed(self, data: bytes, content: Callable[[bytes], object] | None = None) -> int:
        """Take the next bytes.

        Args:
            data: what came.
            content: given the content in them, without framing.

        Returns:
            How many of them belong to the body.

        Raises:
            MalformedError: they cannot.
        """
        ...

    def ended(self) -> bool:
        """Take the end of the connection; say whether that ends the body as it should."""
        ...


class Sized:
    """A body of so many bytes.

    Args:
        length: bytes.

    Attributes:
        left: bytes still to come.
    """

    __slots__ = ("done", "left")

    def __init__(self, length: int) -> None:
        """Await them all."""
        self.left = length
        self.done = length == 0

    def feed(self, data: bytes, content: Callable[[bytes], object] | None = None) -> int:
        """See `Body.feed`."""
        used = min(self.left, len(data))
        self.left -= used
        self.done = self.left == 0
        if content is not None and used:
            content(data[:used])
        return used

    def ended(self) -> bool:
        """See `Body.ended`."""
        return self.done


class UntilClose:
    """A body that ends with the connection."""

    __slots__ = ("done",)

    def __init__(self) -> None:
        """Await the end."""
        self.done = False

    def feed(self, data: bytes, content: Callable[[bytes], object] | None = None) -> int:
        """See `Body.feed`."""
        if content is not None and data:
            content(data)
        return len(data)

    def ended(self) -> bool:
        """See `Body.ended`."""
        self.done = True
        return True


class Chunked:
    """A body in chunks."""

    __slots__ = ("_left", "_line", "_read", "_trailers", "done")

    def __init__(self) -> None:
        """Await the first chunk's size."""
        self.done = False
        self._left = 0
        self._line = b""
        self._trailers = 0
        self._read: Callable[[bytes], None] = self._size

    def feed(self, data: bytes, content: Callable[[bytes], object] | None = None) -> int:
        """See `Body.feed`."""
        place = 0
        while place < len(data) and not self.done:
            if self._left:
                piece = data[place : place + self._left]
                if content is not None:
                    content(piece)
                self._left -= len(piece)
                place += len(piece)
                continue
            end = data.find(b"\n", place) + 1
            line = self._line + data[place : end or len(data)]
            if len(line) > _MAX_LINE_BYTES:
                raise MalformedError("a line between chunks is too long")
            self._line = b"" if end else line
            place = end or len(data)
            if end:
                self._read(line)
        return place

    def ended(self) -> bool:
        """See `Body.ended`."""
        return self.done

    def _size(self, line: bytes) -> None:
        found = _CHUNK.fullmatch(line)
        if found is None:
            raise MalformedError("no chunk size")
        self._left = int(found[1], 16)
        self._read = self._after if self._left else self._trailer

    def _after(self, line: bytes) -> None:
        if line != b"\r\n":
            raise MalformedError("a chunk is longer than it says")
        self._read = self._size

    def _trailer(self, line: bytes) -> None:
        self._trailers += len(line)
        if not line.endswith(b"\r\n") or self._trailers > _MAX_TRAILER_BYTES:
            raise MalformedError("no trailer")
        self.done = line == b"\r\n"


def body_of_request(head: RequestHead) -> Body:
    """Return what finds the end of a request's body (RFC 9112, 6.3).

    Raises:
        MalformedError: its length is ambiguous.
    """
    codings, lengths = head.values(b"transfer-encoding"), head.values(b"content-length")
    if codings:
        if lengths or head.minor == 0 or [coding.lower() for coding in codings] != [b"chunked"]:
            raise MalformedError("the length of the body is ambiguous")
        return Chunked()
    if len(lengths) > 1:
        raise MalformedError("the length of the body is said twice")
    return Sized(_length(lengths) if lengths else 0)


def body_of_reply(head: ReplyHead, method: str) -> Body:
    """Return what finds the end of a response's body (RFC 9112, 6.3); where that is unclear, the connection's end is it.

    Args:
        head: of the response.
        method: of the request.
    """
    if method == "HEAD" or head.status < 200 or head.status in {204, 304}:
        return Sized(0)
    codings = head.values(b"transfer-encoding")
    if codings:
        return Chunked() if codings[-1].lower().rpartition(b",")[2].strip() == b"chunked" else UntilClose()
    try:
        lengths = head.values(b"content-length")
        return Sized(_length(lengths)) if lengths else UntilClose()
    except MalformedError:
        return UntilClose()


def _length(lengths: Sequence[bytes]) -> int:
    if len(set(lengths)) > 1 or _DIGITS.fullmatch(lengths[0]) is None:
        raise MalformedError("the length of the body is ambiguous")
    return int(lengths[0])
