"""Shows a run while it happens: a calm picture on a terminal, plain lines elsewhere, JSON Lines for programs."""

from __future__ import annotations

import json
import os
from typing import Literal, Protocol, TextIO

from refute.core.events import Event
from refute.insight.plain import PlainDisplay
from refute.insight.sink import Sink, sink_for

Mode = Literal["auto", "plain", "json"]


class Display(Protocol):
    """Shows events as they come. It never raises: a run must not fail because nobody can look."""

    def see(self, event: Event) -> None:
        """Show one event."""
        ...

    def close(self) -> None:
        """Leave the stream as it was found."""
        ...


class JsonDisplay:
    """One JSON object a line, in ASCII; the last line is the run's summary.

    Args:
        sink: where lines go.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def see(self, event: Event) -> None:
        """Write one line."""
        self._sink.write(json.dumps(event.to_json(), default=str) + "\n")
        self._sink.flush()

    def close(self) -> None:
        """Hand on what was written."""
        self._sink.flush()


class _Guarded:
    """Keeps a run going where an event cannot be shown: what is armed must be rolled back whatever the picture looks like."""

    def __init__(self, inner: Display, sink: Sink) -> None:
        self._inner = inner
        self._sink = sink

    def see(self, event: Event) -> None:
        try:
            self._inner.see(event)
        except Exception as error:  # noqa: BLE001 - whatever it is, the run goes on
            self._sink.write(f"cannot show {event.kind}: {type(error).__name__}: {error}\n")

    def close(self) -> None:
        self._inner.close()
        self._sink.close()


def display(mode: Mode, stream: TextIO) -> Display:
    """Return what shows a run on a stream.

    Args:
        mode: `auto` draws on a terminal and writes plain lines elsewhere; `plain` and `json` are what they say.
        stream: text stream, such as standard output.
    """
    sink = sink_for(stream)
    return _Guarded(_display(mode, sink), sink)


def _display(mode: Mode, sink: Sink) -> Display:
    if mode == "json":
        return JsonDisplay(sink)
    if mode == "auto" and sink.isatty() and os.environ.get("TERM") != "dumb":
        from refute.insight.drawn import DrawnDisplay

        return DrawnDisplay(sink)
    return PlainDisplay(sink)
