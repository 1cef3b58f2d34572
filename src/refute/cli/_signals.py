"""What SIGINT, SIGTERM and SIGHUP do: the first one ends what the verb does, in order; later ones are ignored: nobody interrupts that."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from refute.core.errors import EXIT_INTERRUPTED

_SIGNALS = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))


class _Regime:
    """What the process does when it is told to end."""

    def __init__(self) -> None:
        self.came = False
        self.cancel: Callable[[], None] | None = None

    def hear(self, _number: int, _frame: FrameType | None) -> None:
        """Raise `KeyboardInterrupt` in what simply runs; have what looks after a fault cancelled instead."""
        if self.came:
            return
        self.came = True
        if self.cancel is None:
            raise KeyboardInterrupt
        self.cancel()


_regime = _Regime()


@contextmanager
def heeded(*, to_the_last: bool) -> Iterator[None]:
    """Heed them alike for a verb's whole life; where SIGHUP is ignored, as under nohup, it stays so.

    Args:
        to_the_last: ignore them from then on, so that none takes the exit code away while the process exits; else they are as they were.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = [number for number in _SIGNALS if number == signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN]
    before = [signal.signal(number, _regime.hear) for number in heard]
    try:
        yield
    finally:
        for number, handler in zip(heard, before, strict=True):
            signal.signal(number, signal.SIG_IGN if to_the_last else handler)
        _regime.came, _regime.cancel = False, None


def until_signal(work: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Run work to its end; the first signal cancels it, so that everything is rolled back, later ones are ignored.

    From here on a signal never raises: what follows the work, such as closing the ledger, is short and goes to its end.

    Args:
        work: returns the exit code, and says what came of it where it is cancelled; where it does not, the exit code is 130.
    """
    import asyncio  # `refute --help` does without

    async def watched() -> int:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(work())

        def cancel() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(task.cancel)

        _regime.cancel = cancel
        if _regime.came:
            cancel()  # after the work's first steps, so that it can say what came of it
        try:
            return await task
        except asyncio.CancelledError:
            return EXIT_INTERRUPTED

    _regime.cancel = _remember
    return asyncio.run(watched())


def _remember() -> None:
    """Do nothing yet: the work looks whether a signal came when it starts."""
