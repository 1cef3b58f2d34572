"""What the checks look at, and how they name what they find."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from refute.core.criterion import Criterion
from refute.core.errors import Problem
from refute.core.intent import Intent
from refute.faults.spec import Fault
from refute.intent.document import Document, Steps
from refute.intent.shape import BeliefShape, IntentShape, WhenShape

Role = Literal["belief", "steady state", "stop condition"]


@dataclass(frozen=True, slots=True)
class Subject:
    """An intent under check.

    Attributes:
        intent: as built.
        shape: as written; beliefs keep their order and their duplicates there.
        document: where everything stands.
        faults: the catalogue, by name.
    """

    intent: Intent
    shape: IntentShape
    document: Document
    faults: Mapping[str, Fault]

    def beliefs(self) -> Iterator[tuple[Steps, BeliefShape]]:
        """Yield each belief with the way to it."""
        for number, belief in enumerate(self.shape.beliefs):
            yield ("beliefs", number), belief

    def faulted(self) -> Iterator[tuple[Steps, BeliefShape, WhenShape]]:
        """Yield each fault of each belief with the way to it."""
        for steps, belief in self.beliefs():
            here: Steps = (*steps, "when")
            for number, when in enumerate(belief.faults):
                yield here if isinstance(belief.when, WhenShape) else (*here, number), belief, when

    def criteria(self) -> Iterator[tuple[Steps, Criterion, Role]]:
        """Yield each criterion with the way to it and what it is for."""
        for number, criterion in enumerate(self.shape.steady_state.holds):
            yield ("steady_state", "holds", number), criterion, "steady state"
        for number, criterion in enumerate(self.shape.stop_when):
            yield ("stop_when", number), criterion, "stop condition"
        for name, about in self.shape.environments.items():
            for number, criterion in enumerate(about.stop_when):
                yield ("environments", name, "stop_when", number), criterion, "stop condition"
        for steps, belief in self.beliefs():
            yield (*steps, "then"), belief.then, "belief"

    def problem(self, code: str, what: str, steps: Steps, seen: str = "", **fields: str) -> Problem:
        """Return a problem at the place where a value stands."""
        return self.document.problem(code, what, steps, seen, **fields)
