"""How streamed bodies are cut into events: server-sent events, or one JSON text a line."""

from __future__ import annotations

from typing import Protocol

from refute.wire.sse import SseSplitter

SSE, NDJSON = "text/event-stream", "application/x-ndjson"
_STREAMED = (SSE, NDJSON, "application/jsonl", "application/stream+json")


class Splitter(Protocol):
    """Cuts a byte stream into events as its bytes come. The events and the rest, joined, are what was fed."""

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take the next bytes and return the events that they complete."""
        ...

    def rest(self) -> bytes:
        """Return the bytes of an event not complete yet, and forget them."""
        ...


class LineSplitter:
    """Cuts at each LF: NDJSON over HTTP, and the messages of MCP over stdio."""

    __slots__ = ("_pieces",)

    def __init__(self) -> None:
        """Start with nothing."""
        self._pieces: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """See `Splitter.feed`."""
        if b"\n" not in chunk:
            self._pieces.append(chunk)
            return []
        *lines, rest = (b"".join(self._pieces) + chunk).split(b"\n")
        self._pieces = [rest] if rest else []
        return [line + b"\n" for line in lines]

    def rest(self) -> bytes:
        """See `Splitter.rest`."""
        rest, self._pieces = b"".join(self._pieces), []
        return rest


class SniffingSplitter:
    """Cuts into lines where the first byte that says something begins a JSON text, else into server-sent events."""

    __slots__ = ("_chosen",)

    def __init__(self) -> None:
        """Start undecided."""
        self._chosen: Splitter | None = None

    def feed(self, chunk: bytes) -> list[bytes]:
        """See `Splitter.feed`."""
        if self._chosen is None:
            if not (begun := chunk.lstrip()):
                return [chunk] if chunk else []
            self._chosen = LineSplitter() if begun[:1] in {b"{", b"["} else SseSplitter()
        return self._chosen.feed(chunk)

    def rest(self) -> bytes:
        """See `Splitter.rest`."""
        return b"" if self._chosen is None else self._chosen.rest()


def is_stream(content_type: str) -> bool:
    """Say whether a reply of this media type comes event by event."""
    return content_type.partition(";")[0].strip().lower() in _STREAMED


def broken(block: bytes) -> bytes:
    """Return an event that breaks off in the middle of its data and is ended all the same."""
    body = block.rstrip(b"\r\n")
    return body[: len(body) - max(1, len(body) // 3)] + block[len(body) :]


def undecodable(block: bytes) -> bytes:
    """Return an event with a byte in it that UTF-8 never holds, inside a text where it has one."""
    place = block.rfind(b'"') if b'"' in block else len(block.rstrip(b"\r\n"))
    return block[:place] + b"\xff\xfe" + block[place:]
