"""Open-loop load: units start when they are due, whatever has become of the earlier ones."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

from refute.core.audience import arm_of
from refute.core.context import UnitContext, current_unit, shielded
from refute.core.intent import Indicator
from refute.core.outcome import Outcome
from refute.experiment.cases import Unit
from refute.experiment.deviations import Trail, readers_of, trail_of
from refute.experiment.readings import Purse, number_of, worst
from refute.experiment.workload import Answerer, call, resolve

MEASURE_S = 10.0
"""Longest that the indicators of one unit may take together, in seconds; those that have not ended by then have no value."""
_BATCH_S = 0.1
_Raised = (Exception, SystemExit, asyncio.CancelledError)
_HEED_S = 0.2


@dataclass(frozen=True, slots=True)
class Load:
    """How one phase is driven.

    Attributes:
        units: how many are started at most.
        rate_per_s: units a second.
        cohort: share in treatment, until `Generator.widen` says otherwise.
        seed: same seed, same cohorts.
        timeout_s: after it a unit counts as failed.
    """

    units: int
    rate_per_s: float
    cohort: float
    seed: int
    timeout_s: float


class Generator:
    """Drives one phase and reports outcomes in batches.

    Args:
        answer: the workload.
        indicators: by name; latency needs no function.
        calls: names of the components that each component calls, for deviations.
        threads: where synchronous indicators run: none that a unit could fill.
        report: called with (units started so far, outcomes since the last call).
    """

    def __init__(
        self,
        answer: Answerer,
        indicators: Mapping[str, Indicator],
        threads: ThreadPoolExecutor,
        report: Callable[[int, list[Outcome]], Awaitable[None]],
        calls: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> None:
        """Resolve the indicators' functions."""
        self._answer = answer
        self._indicators = indicators
        self._readers = readers_of(indicators, calls, resolve, partial(_asked, threads))
        self._trailing = any(indicator.deviation is not None for indicator in indicators.values())
        self._latencies = [name for name, indicator in indicators.items() if indicator.kind == "latency"]
        self._purse = Purse({name: indicator.price for name, indicator in indicators.items() if indicator.price})
        self._report = report
        self._started = 0
        self._wider: list[tuple[int, float]] = []
        self._ended: list[Outcome] = []

    async def run(self, units: Iterator[Unit], load: Load, stop: asyncio.Event) -> None:
        """Start units until there are enough or `stop` is set, then wait for those under way.

        Args:
            units: endless.
            load: how.
            stop: set to start no more.
        """
        self._started, self._wider = 0, [(0, load.cohort)]
        reporter = asyncio.create_task(self._report_often())
        start = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(load.units):
                due = start + number / load.rate_per_s
                if await _set_before(stop, due):
                    break
                self._started += 1
                group.create_task(self._unit(next(units), load, start, due))
        reporter.cancel()
        await self._flush()

    def widen(self, first: int, share: float) -> bool:
        """Put a larger share of units into treatment from one on that has not started yet; return False where it has.

        Args:
            first: the unit's place in the order of intended start.
            share: of treatment, in [0, 1].
        """
        if first < self._started:
            return False
        self._wider.append((first, share))
        return True

    async def _unit(self, unit: Unit, load: Load, start: float, due: float) -> None:
        share = next(share for first, share in reversed(self._wider) if unit.index >= first)
        side = unit.side(load.seed, share)
        context = UnitContext(unit.key, arm_of(side))
        context.actions = [] if self._trailing else None
        current_unit.set(context)
        start_s = time.perf_counter()
        answer, error = await _answered(self._answer(unit.case), due + load.timeout_s)
        end_s = time.perf_counter()
        latency_s = load.timeout_s if error == "timeout" else end_s - due
        recorded, context.actions = context.actions or (), None
        values, cost = await self._measure(unit, answer, error, latency_s, trail_of(recorded, start_s, end_s))
        outcome = Outcome(
            unit.key, unit.cluster, side, unit.journey, unit.index, due - start, latency_s,
            values, context.eligible(), context.hits(), error, cost, context.drawn(),
        )  # fmt: skip
        self._ended.append(outcome)

    async def _measure(
        self, unit: Unit, answer: Any, error: str, latency_s: float, trail: Trail
    ) -> tuple[dict[str, float | None], dict[str, float]]:
        """Evaluate the indicators outside the armed scope; a failed unit is bad in each of them, and what it cost is not known."""
        shielded.set(True)
        current_unit.set(None)
        read = dict.fromkeys(self._readers) if error else await self._evaluated(unit, answer, trail)
        costs = {name for name in read if self._indicators[name].kind == "cost"}
        known = {name: value for name, value in read.items() if name in costs and value is not None}
        values: dict[str, float | None] = {name: value for name, value in read.items() if name not in known}
        if error:
            values = {name: worst(self._indicators[name].kind) for name in read if name not in costs}
        return values | dict.fromkeys(self._latencies, latency_s), known | self._purse.spend(known)

    async def _evaluated(self, unit: Unit, answer: Any, trail: Trail) -> dict[str, float | None]:
        """Ask each indicator; one that raises, takes too long, or gives no number in its range could not be evaluated: None."""
        values: dict[str, float | None] = dict.fromkeys(self._readers)
        limit = asyncio.timeout(MEASURE_S)
        with contextlib.suppress(TimeoutError):
            async with limit:
                for name, read in self._readers.items():
                    try:
                        values[name] = number_of(await read(unit.case, answer, trail), self._indicators[name].kind)
                    except _Raised as raised:
                        _unless_cancelled(raised)
        return values

    async def _report_often(self) -> None:
        while True:
            await asyncio.sleep(_BATCH_S)
            await self._flush()

    async def _flush(self) -> None:
        ended, self._ended = self._ended, []
        await self._report(self._started, ended)


async def _asked(threads: ThreadPoolExecutor, function: Callable[..., Any], *arguments: Any) -> Any:
    return await call(function, threads, *arguments)


async def _answered(answering: Awaitable[Any], until_s: float) -> tuple[Any, str]:
    """Return an answer, or why there is none.

    Nobody waits for code that does not heed its cancellation at the time limit: the unit has failed by then, whatever becomes of it.
    """
    task = asyncio.ensure_future(_caught(answering))
    done, _ = await asyncio.wait([task], timeout=max(0.001, until_s - time.perf_counter()))
    if done:
        return task.result()
    task.cancel()
    await asyncio.wait([task], timeout=_HEED_S)  # what it has seen is counted as it ends
    return None, "timeout"


async def _caught(answering: Awaitable[Any]) -> tuple[Any, str]:
    try:
        return await answering, ""
    except _Raised as raised:  # whatever the system raises is its outcome
        _unless_cancelled(raised)
        return None, type(raised).__name__


async def _set_before(stop: asyncio.Event, due: float) -> bool:
    """Wait until a unit is due; return True where it must not start any more."""
    wait_s = due - time.perf_counter()
    if wait_s <= 0:
        await asyncio.sleep(0)
        return stop.is_set()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(wait_s):
            await stop.wait()
    return stop.is_set()


def _unless_cancelled(raised: BaseException) -> None:
    """Raise a cancellation that was meant for this task, not one that the called code let out."""
    task = asyncio.current_task()
    if isinstance(raised, asyncio.CancelledError) and task is not None and task.cancelling():
        raise raised
