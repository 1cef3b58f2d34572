"""What became of one unit. Versioned: other tools read and write it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from refute.core.audience import Side

OUTCOME_VERSION = 1
SPEND = "spend"
"""Name under which an outcome's `cost` holds money."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One unit's outcome. It holds no prompt and no answer.

    Attributes:
        unit: key, `case/occurrence[/session]`; one outcome a key.
        cluster: what repeats share: the case's id, the conversation's, or a pseudonym of the user by whom cohorts are drawn.
        arm: `treatment`, `control`, or `outside` where the blast radius keeps the unit out of both.
        journey: user journey, "" where there is none.
        index: position in the order of intended start, from 0, over the phase.
        start_s: intended start, seconds from the phase's start.
        latency_s: from the intended start to the end, seconds; the time limit where it was reached.
        values: number by indicator; None where it could not be evaluated.
        eligible: calls that the armed fault could hit, by component.
        hits: calls that it hit, by component.
        drawn: calls whose draw came up, by component; in control these are spared.
        error: class name of the exception that the workload raised, "timeout", or "".
        cost: number by `cost` indicator where it is known; money under `spend` where prices are stated.
    """

    unit: str
    cluster: str
    arm: Side
    journey: str
    index: int
    start_s: float
    latency_s: float
    values: dict[str, float | None] = field(default_factory=dict)
    eligible: dict[str, int] = field(default_factory=dict)
    hits: dict[str, int] = field(default_factory=dict)
    error: str = ""
    cost: dict[str, float] = field(default_factory=dict)
    drawn: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Outcome:
        """Return the outcome that `to_json` wrote."""
        return cls(**data)


@dataclass(frozen=True, slots=True)
class Slot:
    """One unit that has started.

    Attributes:
        arm: its cohort, known before it starts.
        journey: user journey, or "".
        outcome: None while it is under way.
        share: probability with which it was put into treatment, in [0, 1].
        subject: pseudonym of the user whose units share an arm; "" where the unit stands for itself.
        step: of a ramp, from 0.
    """

    arm: Side
    journey: str
    outcome: Outcome | None
    share: float = 0.5
    subject: str = ""
    step: int = 0
