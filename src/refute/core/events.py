"""A run is a stream of events; terminal, report, ledger and every other output only consume it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

EventKind = Literal[
    "intent",  # a validated intent file: {digest, path, system, intent}
    "plan",  # {proposals: [...], refusals: [...]}
    "campaign",  # one with a budget begins, goes on, waits, or ends: what it may spend, and why
    "experiment",  # what is about to run, and what it will cost
    "forecast",  # locked before anything is applied
    "phase",  # {experiment, phase: check | baseline | inject | recover, units, seconds}
    "ramp",  # more units see the fault from now on, or why not
    "progress",  # a few times a second: counts by arm, evidence so far
    "outcomes",  # batches of units
    "training",  # one training run: its loss by step, what struck it, how it came back
    "evidence_point",  # one look at the evidence, for plots
    "stop",  # a stop condition fired
    "landing",  # proof that the fault arrived
    "rollback",  # proof that it is gone
    "verdict",  # by belief, from this run's data alone
    "blast",  # what was harmed, beside what was predicted
    "learned",  # by belief: confidence before and after, bits
    "next",  # what to test next, with reasons
    "prediction",  # what a person expects of one belief's next run
    "acceptance",  # somebody lives with a refuted belief for now: who, why, until when
    "problem",  # something that the user should know; carries a Problem
    "summary",  # last line of a run
]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. What each kind carries: docs/reference/events.md.

    Attributes:
        kind: one of `EventKind`.
        data: JSON object.
        at: seconds since the epoch.
    """

    kind: EventKind
    data: dict[str, Any] = field(default_factory=dict)
    at: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return one line of JSON Lines as an object, `event` first."""
        return {"event": self.kind, "at": round(self.at, 3), **self.data}


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event as it is kept.

    Attributes:
        seq: position, from 1, without gaps.
        digest: SHA-256 over the previous digest and this record, in hexadecimal.
        previous: digest of the record before it.
        record: what `Event.to_json` returned.
    """

    seq: int
    digest: str
    previous: str
    record: dict[str, Any]


class Recorder(Protocol):
    """Where events are kept."""

    def append(self, event: Event, *, durable: bool = True) -> str:
        """Keep an event and return its digest.

        Args:
            event: what happened.
            durable: return only once it would survive a power cut; otherwise it survives the end of this process,
                and a power cut once a durable one follows.

        Raises:
            RefuteError: it could not be kept; nothing may be injected then.
        """
        ...

    def events(self, after: int = 0, kinds: Collection[str] = ()) -> Iterator[Recorded]:
        """Return what is kept, oldest first.

        Args:
            after: position after which to start.
            kinds: kinds to return, none for all.
        """
        ...
