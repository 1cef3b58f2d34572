"""What a campaign keeps in its ledger and shows: first kept, then shown, and each problem told once."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from refute.core.errors import RefuteError
from refute.core.events import Event, EventKind
from refute.experiment.telling import TOLD_ANYWAY
from refute.ledger import Ledger

DURABLE = {"intent", "campaign", "experiment", "forecast", "landing", "rollback", "verdict", "learned", "summary", "stop", "ramp", "blast"}
KEPT = DURABLE | {"phase", "outcomes", "training", "evidence_point", "problem", "plan", "next"}

See = Callable[[Event], None]


@dataclass(slots=True)
class Record:
    """The ledger, and whoever looks on.

    Attributes:
        ledger: where everything is kept.
        see: every event is shown here after it has been kept.
        clock: seconds since the epoch.
    """

    ledger: Ledger
    see: See
    clock: Callable[[], float] = time.time
    _told: set[str] = field(default_factory=set)

    def kept(self, *kinds: EventKind) -> Iterator[Mapping[str, Any]]:
        """Return what the ledger keeps of some kinds, oldest first."""
        return (kept.record for kept in self.ledger.events(kinds=kinds))

    def tell(self, kind: EventKind, **data: Any) -> None:
        """Keep something that happens now, and show it.

        Raises:
            RefuteError: it cannot be kept.
        """
        self.take(Event(kind, data, self.clock()))

    def problems(self, error: RefuteError) -> None:
        """Show problems, each once, whether or not they can be kept."""
        for problem in error.problems:
            if problem.what not in self._told:
                with contextlib.suppress(RefuteError):
                    self.tell("problem", **problem.to_json())

    def take(self, event: Event) -> None:
        """Keep an event, then show it; what must be seen is shown where it cannot be kept, too.

        Raises:
            RefuteError: it cannot be kept.
        """
        if event.kind == "problem":
            self._told.add(event.data["what"])
        try:
            if event.kind in KEPT:
                self.ledger.append(event, durable=event.kind in DURABLE)
        except RefuteError:
            if event.kind in TOLD_ANYWAY:
                self.see(event)
            raise
        self.see(event)
