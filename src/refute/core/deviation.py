"""Intent deviation: how far an agent strays from what it was meant to do, as a number in [0, 1]; nothing need have failed for that.

Dimensions, default weights and bands are those of 'Intent-based chaos testing' (VentureBeat, 9 May 2026). How each dimension becomes a
number is ours, as that text leaves it open: see docs/explanation/intent-deviation.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Dimension = Literal["tools", "scope", "completion", "escalation", "latency"]

WEIGHTS: Final[Mapping[Dimension, float]] = {"tools": 0.30, "scope": 0.25, "completion": 0.20, "escalation": 0.15, "latency": 0.10}
BANDS: Final[Mapping[str, float]] = {"nominal": 0.15, "degraded": 0.40, "critical": 0.70, "catastrophic": 1.0}
"""Upper bound of each band, which is below it; of the last one, the bound itself belongs to it."""


@dataclass(frozen=True, slots=True)
class Action:
    """One call of a tool that an agent made.

    Attributes:
        tool: name of the component, or what a span calls it.
        arguments: by name, as far as they are known.
        result: what the agent was given; None where it raised, and where it is not known.
        error: name of what was raised, or "".
        start_s: when it began, seconds after the unit did.
        end_s: when it ended, likewise.
        within: the recorded calls that it was made from, outermost first.
    """

    tool: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    result: Any = None
    error: str = ""
    start_s: float = 0.0
    end_s: float = 0.0
    within: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Deviation:
    """How the intent deviation of an agent is read. A dimension that nothing is stated for does not count.

    Attributes:
        agent: component whose calls are looked at.
        actions: where they are seen: `calls` of the components that it calls, `spans`, or `module:function` of (case, answer).
        tools: `module:function` of a case: names of the tools that it is meant to call, each as often as it is meant to; or "".
        scope: `module:function` of (case, action): is this call within what the case is about? Or "".
        completion: `module:function` of (case, answer): (what the agent says, what is true) of whether it is done; or "".
        escalation: `module:function` of (case, answer): (did it hand over to a human, should it have); or "".
        patience_s: the longest that it may take to decide what to do next, seconds; 0 where that does not count.
        weights: by dimension, positive.
    """

    agent: str
    actions: str = "calls"
    tools: str = ""
    scope: str = ""
    completion: str = ""
    escalation: str = ""
    patience_s: float = 0.0
    weights: Mapping[Dimension, float] = field(default_factory=lambda: dict(WEIGHTS))

    @property
    def functions(self) -> dict[str, str]:
        """Every function that is named, by what it is for."""
        named = {"tools": self.tools, "scope": self.scope, "completion": self.completion, "escalation": self.escalation}
        return {name: one for name, one in (named | {"actions": self.actions if ":" in self.actions else ""}).items() if one}


def weighted(values: Mapping[Dimension, float], weights: Mapping[Dimension, float]) -> float:
    """Return the mean of what is known of the dimensions, by their weights.

    Args:
        values: by dimension, each in [0, 1]; not empty.
        weights: by dimension, positive.
    """
    return sum(weights[name] * value for name, value in values.items()) / sum(weights[name] for name in values)


def tool_deviation(meant: Iterable[str], called: Iterable[str]) -> float:
    """Return the Bray–Curtis dissimilarity of two bags of names: 0 for the same calls, 1 where none is shared; their order is free.

    Args:
        meant: tools that were to be called.
        called: tools that were called, retries too.
    """
    wanted, seen = Counter(meant), Counter(called)
    total = wanted.total() + seen.total()
    return 1.0 - 2.0 * (wanted & seen).total() / total if total else 0.0


def longest_thought_s(actions: Sequence[Action], took_s: float) -> float:
    """Return the longest time in which no tool ran: what the agent took to decide what to do next, in seconds.

    Args:
        actions: in any order; they may overlap.
        took_s: from the unit's start to its end, seconds.
    """
    longest, thinking_s = 0.0, 0.0
    for action in sorted(actions, key=lambda one: one.start_s):
        longest = max(longest, action.start_s - thinking_s)
        thinking_s = max(thinking_s, action.end_s)
    return max(longest, took_s - thinking_s)


def lateness(thought_s: float, patience_s: float) -> float:
    """Return 0 for a decision within the patience, 1 for one that took twice as long or longer, and what lies between."""
    return min(1.0, max(0.0, thought_s / patience_s - 1.0))


def band_of(value: float) -> str:
    """Return the band that a deviation is in.

    Args:
        value: in [0, 1].
    """
    return next((name for name, bound in BANDS.items() if value < bound), "catastrophic")
