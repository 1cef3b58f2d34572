"""Reads the intent deviation of a unit: what the agent did, held against what it was meant to do for that case."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from refute.core.deviation import Action, Deviation, Dimension, lateness, longest_thought_s, tool_deviation, weighted
from refute.core.intent import Indicator

Ask = Callable[..., Awaitable[Any]]
"""Calls a function of the user's with arguments, whether it is synchronous or not."""


@dataclass(frozen=True, slots=True)
class Trail:
    """What was recorded of one unit.

    Attributes:
        actions: calls of tools, in the order of their ends; times are seconds after the unit's start.
        took_s: from the unit's start to its end, seconds.
    """

    actions: tuple[Action, ...]
    took_s: float


def trail_of(actions: Iterable[Action], start_s: float, end_s: float) -> Trail:
    """Return what was recorded on a clock that began before the unit.

    Args:
        actions: with times on that clock.
        start_s: of the unit, on that clock.
        end_s: of the unit, on that clock.
    """
    shifted = (replace(one, start_s=one.start_s - start_s, end_s=one.end_s - start_s) for one in actions)
    return Trail(tuple(shifted), end_s - start_s)


Read = Callable[[Any, Any, Trail], Awaitable[Any]]
"""Reads one indicator of a unit: case, answer, what was recorded."""


def readers_of(
    indicators: Mapping[str, Indicator], calls: Mapping[str, Collection[str]], resolve: Callable[[str], Any], ask: Ask
) -> dict[str, Read]:
    """Return what reads each indicator that is not read off a clock.

    Args:
        indicators: by name.
        calls: names of the components that each component calls.
        resolve: returns the function that a reference names.
        ask: calls such a function.
    """
    found: dict[str, Read] = {}
    for name, indicator in indicators.items():
        if indicator.deviation is not None:
            found[name] = DeviationReader(indicator.deviation, calls.get(indicator.deviation.agent, ()), resolve, ask).read
        elif indicator.python:
            found[name] = partial(_told, ask, resolve(indicator.python))
    return found


async def _told(ask: Ask, function: Callable[..., Any], case: Any, answer: Any, _trail: Trail) -> Any:
    return await ask(function, case, answer)


class DeviationReader:
    """Reads one indicator.

    Args:
        stated: how.
        callees: components that the agent calls.
        resolve: returns the function that a reference names.
        ask: calls such a function.
    """

    def __init__(self, stated: Deviation, callees: Collection[str], resolve: Callable[[str], Any], ask: Ask) -> None:
        """Resolve the functions."""
        self._stated, self._callees, self._ask = stated, frozenset(callees), ask
        self._functions = {name: resolve(reference) for name, reference in stated.functions.items()}

    async def read(self, case: Any, answer: Any, trail: Trail) -> float:
        """Return the deviation of a unit.

        Args:
            case: what was asked.
            answer: what was answered.
            trail: what was recorded.

        Raises:
            Exception: whatever the user's functions raise, and TypeError or ValueError where they return what they must not.
        """
        actions = await self._actions(case, answer, trail)
        values: dict[Dimension, float] = {}
        if "tools" in self._functions:
            values["tools"] = tool_deviation(await self._ask(self._functions["tools"], case), [one.tool for one in actions])
        if "scope" in self._functions:
            values["scope"] = await self._outside(case, actions)
        if "completion" in self._functions:
            values["completion"] = await self._differ("completion", case, answer)
        if "escalation" in self._functions:
            values["escalation"] = await self._differ("escalation", case, answer)
        if self._stated.patience_s:
            values["latency"] = lateness(longest_thought_s(actions, trail.took_s), self._stated.patience_s)
        return weighted(values, self._stated.weights)

    async def _actions(self, case: Any, answer: Any, trail: Trail) -> list[Action]:
        if "actions" in self._functions:
            return list(await self._ask(self._functions["actions"], case, answer))
        if self._stated.actions == "spans":
            return list(trail.actions)
        mine = self._callees
        return [one for one in trail.actions if one.tool in mine and not mine.intersection(one.within)]

    async def _outside(self, case: Any, actions: Collection[Action]) -> float:
        """Return the share of calls that are outside what the case is about; 0 where there was none."""
        within = await asyncio.gather(*(self._ask(self._functions["scope"], case, one) for one in actions))
        return sum(not one for one in within) / len(actions) if actions else 0.0

    async def _differ(self, name: str, case: Any, answer: Any) -> float:
        said, true = await self._ask(self._functions[name], case, answer)
        return float(bool(said) is not bool(true))
