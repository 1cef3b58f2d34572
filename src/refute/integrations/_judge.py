"""Reads a run's indicators of live traffic, in the service, outside the armed scope, and never in the way of a request."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import queue
import threading
from collections.abc import Awaitable, Callable, Sequence
from importlib import import_module
from typing import Any

from refute.core.context import shielded
from refute.core.errors import refuse
from refute.core.intent import Indicator
from refute.experiment.deviations import Trail, readers_of
from refute.experiment.readings import Purse, number_of, worst

Read = tuple[dict[str, float | None], dict[str, float]]
"""Values, and what the unit cost."""

_WAITING = 1000


class Judge:
    """Reads units one after the other in a thread of its own; what finds no room there is not evaluated.

    Args:
        indicators: of the intent.

    Raises:
        RefuteError: a function cannot be imported here (`OBSERVE-INDICATOR`).
    """

    def __init__(self, indicators: Sequence[Indicator]) -> None:
        """Import the functions."""
        self._indicators = {indicator.name: indicator for indicator in indicators}
        self._readers = readers_of(self._indicators, {}, _resolved, _asked)
        self._latencies = [indicator.name for indicator in indicators if indicator.kind == "latency"]
        self._purse = Purse({indicator.name: indicator.price for indicator in indicators if indicator.price})
        self._waiting: queue.Queue[Callable[[], object] | None] = queue.Queue(_WAITING)
        if self._readers:
            threading.Thread(target=self._work, name="refute-judge", daemon=True).start()

    @property
    def reads_bodies(self) -> bool:
        """Whether there are functions, which read what is asked and answered."""
        return bool(self._readers)

    def ask(self, error: str, latency_s: float, case: Any, answer: Any, done: Callable[[Read], object]) -> None:
        """Read the indicators of a unit and hand them on; a failed unit is bad in each of them, and what it cost is not known.

        Args:
            error: what went wrong, or "".
            latency_s: from its start to its end, seconds.
            case: what was asked.
            answer: what was answered.
            done: takes the values.
        """
        if error or not self._readers:
            failed = {name: worst(self._indicators[name].kind) if error else None for name in self._readers}
            done(self._made(failed, latency_s, failed=bool(error)))
            return
        try:
            self._waiting.put_nowait(lambda: done(self._made(self._values(case, answer, latency_s), latency_s)))
        except queue.Full:
            done(self._made(dict.fromkeys(self._readers), latency_s))

    def close(self) -> None:
        """Read no more."""
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(None)

    def _work(self) -> None:
        shielded.set(True)
        while (read := self._waiting.get()) is not None:
            read()

    def _values(self, case: Any, answer: Any, latency_s: float) -> dict[str, float | None]:
        values: dict[str, float | None] = dict.fromkeys(self._readers)
        for name, read in self._readers.items():
            with contextlib.suppress(Exception, SystemExit):  # whatever a user's function raises: it could not be evaluated
                values[name] = number_of(asyncio.run(_awaited(read(case, answer, Trail((), latency_s)))), self._indicators[name].kind)
        return values

    def _made(self, read: dict[str, float | None], latency_s: float, *, failed: bool = False) -> Read:
        costs = {name for name in read if self._indicators[name].kind == "cost"}
        known = {} if failed else {name: value for name, value in read.items() if name in costs and value is not None}
        values = {name: value for name, value in read.items() if name not in (costs if failed else known)}
        return values | dict.fromkeys(self._latencies, latency_s), known | self._purse.spend(known)


async def _awaited(result: Awaitable[Any]) -> Any:
    return await result


async def _asked(function: Callable[..., Any], *arguments: Any) -> Any:
    result = function(*arguments)
    return await result if inspect.isawaitable(result) else result


def _resolved(reference: str) -> Callable[..., Any]:
    module, _, path = reference.partition(":")
    try:
        found: Any = import_module(module)
        for name in path.split("."):
            found = getattr(found, name)
    except Exception as error:
        seen = f"{reference}: {type(error).__name__}: {error}"
        raise refuse("OBSERVE-INDICATOR", "an indicator cannot be evaluated in the service", seen=seen) from error
    function: Callable[..., Any] = found
    return function
