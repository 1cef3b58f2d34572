"""Where text goes: survives a reader that left, a terminal that was closed, and an encoding that lacks our characters."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from queue import SimpleQueue
from typing import TextIO

# One character for one, so that columns stay in line.
_PAIRS = "━= ╸- ─- │| ╭+ ╮+ ╰+ ╯+ ├| ┤| ┆: ╷| ╵| █# ●o ○. ◆o ■# ✔+ ✘x ∅0 ·. →> –- —- …. ×x “\" ”\" ‘' ’' ≤< ≥> ±~ §S"
_ASCII = str.maketrans({pair[0]: pair[1] for pair in _PAIRS.split(" ")} | {"\u202f": " ", "\u00a0": " "})


class Sink:
    """A text stream that never raises at its writer.

    Args:
        stream: text stream, such as standard output.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.encoding = getattr(stream, "encoding", None) or "utf-8"
        self._unicode = self.encoding.lower().replace("-", "").startswith("utf")
        self.gone = False

    def isatty(self) -> bool:
        """Whether a person is looking."""
        with suppress(ValueError):
            return bool(self._stream.isatty())
        return False

    def fileno(self) -> int:
        """Return the file descriptor, from which the width of a terminal is read."""
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Write text, in ASCII where the encoding has no more; in vain once the reader is gone."""
        if not self.gone:
            self._attempt(text)
        return len(text)

    def flush(self) -> None:
        """Hand on what was written."""
        if not self.gone:
            self._attempt("")

    def _attempt(self, text: str) -> None:
        if not self._unicode:
            text = text.translate(_ASCII)
        with suppress(ValueError, LookupError):  # lone surrogates; an encoding unknown here
            text = text.encode(self.encoding, "replace").decode(self.encoding)
        try:
            if text:
                self._stream.write(text)
            else:
                self._stream.flush()
        except OSError:  # a reader that left, a terminal that was closed, a disk that is full
            self._leave()
        except ValueError:  # closed
            self.gone = True

    def _leave(self) -> None:
        """Let what is still buffered drain into nothing, or the interpreter would complain as it exits."""
        self.gone = True
        with suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def close(self) -> None:
        """Return once everything is handed on."""
        self.flush()


class Behind(Sink):
    """A sink that writes in a thread of its own, so that a reader who pauses (a full pipe, Ctrl-S) holds up no run.

    Args:
        stream: text stream with a file descriptor.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._waiting: SimpleQueue[str | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def write(self, text: str) -> int:
        """Have text written, in order; in vain once the reader is gone."""
        if text:
            self._put(text)
        return len(text)

    def flush(self) -> None:
        """Have what was written handed on."""
        self._put("")

    def close(self) -> None:
        """Wait until everything is handed on; a reader who pauses is waited for."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join()
            self._thread = None

    def _put(self, text: str) -> None:
        if self.gone:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._hand_on, name="refute-display", daemon=True)
            self._thread.start()
        self._waiting.put(text)

    def _hand_on(self) -> None:
        while (text := self._waiting.get()) is not None:
            if not self.gone:
                self._attempt(text)


def sink_for(stream: TextIO) -> Sink:
    """Return the sink for a stream: one that nobody can hold up where there is a reader who could."""
    try:
        stream.fileno()
    except (OSError, ValueError, AttributeError):
        return Sink(stream)
    return Behind(stream)
