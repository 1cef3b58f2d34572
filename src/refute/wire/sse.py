"""Server-sent events: split a byte stream into events without changing a byte, read one, write one."""

from __future__ import annotations

import json
import re
from typing import Any

_BLANK_LINE = re.compile(rb"(?:\r\n|\r(?!\n)|\n)(?:\r\n|\r|\n)")
_LINE_END = re.compile(rb"\r\n|\r|\n")
_LOOK_BACK = 3


class SseSplitter:
    """Cuts a stream into events as its bytes come. The events and the rest, joined, are what was fed.

    An event is given out as soon as its blank line is there. Where that line ends in CR and an LF follows with the
    next bytes, the LF opens the next event's bytes; readers skip it.
    """

    __slots__ = ("_buffer", "_scanned")

    def __init__(self) -> None:
        """Start with nothing."""
        self._buffer = b""
        self._scanned = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take the next bytes.

        Args:
            chunk: any bytes, cut anywhere.

        Returns:
            The events completed by them, each with its blank line.
        """
        buffer = self._buffer + chunk
        blocks, start, scan = [], 0, max(0, self._scanned - _LOOK_BACK)
        while (end := _BLANK_LINE.search(buffer, scan)) is not None:
            blocks.append(buffer[start : end.end()])
            start = scan = end.end()
        self._buffer = buffer[start:]
        self._scanned = len(self._buffer)
        return blocks

    def rest(self) -> bytes:
        """Return the bytes of an event not complete yet, and forget them."""
        rest, self._buffer, self._scanned = self._buffer, b"", 0
        return rest


def read_event(block: bytes) -> tuple[str, str]:
    """Return an event's name ("" where it has none) and its data.

    Args:
        block: from `SseSplitter.feed`.
    """
    name, data = "", []
    for line in _LINE_END.split(block):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode(errors="replace")
    return name, b"\n".join(data).decode(errors="replace")


def read_json(data: str | bytes) -> Any:
    """Return the decoded JSON, or None where it is none, or is nested more deeply than anything that means something."""
    try:
        return json.loads(data) if data else None
    except (ValueError, RecursionError):
        return None


def write_event(data: Any, name: str = "") -> bytes:
    """Return an event's bytes.

    Args:
        data: JSON to encode compactly, as providers do.
        name: the event's name, "" for none.
    """
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {compact(data)}\n\n".encode()


def compact(data: Any) -> str:
    """Return JSON without spaces, in UTF-8 rather than escapes; halves of surrogate pairs, which UTF-8 cannot hold, stay escapes."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(data, separators=(",", ":"))
    return text
