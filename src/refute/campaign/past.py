"""What the ledger says of campaigns: what they may spend, what they have spent, and what their runs came to.

A campaign keeps nothing in memory that it could not read here again: that is how one goes on after a crash, with what is left of its
budget, and with the choices that it would have made anyway.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from refute.core.criterion import CriterionError, parse_criterion
from refute.core.events import EventKind

Mode = Literal["budget", "watch"]
READ: tuple[EventKind, ...] = ("campaign", "experiment", "phase", "landing", "rollback", "verdict", "learned")
"""Kinds of events that say something of a campaign."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a campaign may spend.

    Attributes:
        seconds: of wall-clock time, in all of its sittings; inf for one that is never over.
        risk: share of the error budget that its runs may spoil, None for no bound of its own; see `loop.allowed_units`.
        risk_price: λ of the plan's score.
    """

    seconds: float
    risk: float | None
    risk_price: float

    def to_json(self) -> dict[str, float | None]:
        """Return the keys of a `campaign` event."""
        return {"budget_s": None if self.seconds == float("inf") else self.seconds, "risk": self.risk, "risk_price": self.risk_price}


@dataclass(slots=True)
class Ran:
    """One experiment of a campaign.

    Attributes:
        experiment: its id.
        at: when it was announced, in seconds since the epoch.
        random: whether it was drawn at random.
        expected: units that it was expected to spoil.
        beliefs: that it tests.
        words: verdicts by belief; empty where it came to none.
        seen: units of treatment that breached beyond what control lets expect, by belief.
        ways: what its indicators did: pairs of an indicator and a verdict on it.
    """

    experiment: str
    at: float
    random: bool
    expected: float
    beliefs: tuple[str, ...]
    words: dict[str, str] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)
    ways: set[tuple[str, str]] = field(default_factory=set)

    @property
    def spoiled(self) -> float:
        """Units that it spoiled; as many as were expected where it was cut short before anybody counted."""
        return max(self.seen.values()) if self.seen else self.expected

    @property
    def behaviour(self) -> frozenset[tuple[str, str]]:
        """How the system behaved, as far as runs on different beliefs can be compared."""
        return frozenset(self.ways)


@dataclass(slots=True)
class Past:
    """One campaign so far.

    Attributes:
        id: unique.
        mode: whether it ends with its budget, or goes on for ever.
        environment: where it runs.
        seed: of its first run; each next one adds 1.
        budget: what it may spend.
        ended: whether it came to its end; one that was cut short goes on.
        spent_s: time spent in all sittings.
        runs: its experiments, oldest first.
    """

    id: str
    mode: Mode
    environment: str
    seed: int
    budget: Budget
    ended: bool = False
    spent_s: float = 0.0
    runs: list[Ran] = field(default_factory=list)
    _since: float = 0.0
    _before: float = 0.0

    @property
    def finished(self) -> list[Ran]:
        """Its runs that came to a verdict."""
        return [run for run in self.runs if run.words]

    @property
    def spoiled(self) -> float:
        """Units that all of its runs spoiled."""
        return sum(run.spoiled for run in self.runs)

    def sit_down(self, at: float) -> None:
        """Begin another sitting."""
        self._since, self._before = at, self.spent_s

    def reach(self, at: float) -> None:
        """Note that the present sitting lasted until a moment at least."""
        self.spent_s = max(self.spent_s, self._before + at - self._since)


def pasts(events: Iterable[Mapping[str, Any]]) -> list[Past]:
    """Return all campaigns, oldest first.

    Args:
        events: of the ledger, oldest first; of `READ`.
    """
    found: dict[str, Past] = {}
    of: dict[str, tuple[Past, Ran]] = {}
    for event in events:
        if event["event"] == "campaign":
            _carry_on(found, event)
        elif event["event"] == "experiment" and event.get("campaign") in found:
            past = found[event["campaign"]]
            past.runs.append(_announced(event))
            past.reach(event["at"])
            of[event["experiment"]] = past, past.runs[-1]
        elif event.get("experiment") in of:
            past, run = of[event["experiment"]]
            past.reach(event["at"])
            if event["event"] == "verdict":
                run.words[event["belief"]] = event["verdict"]
                run.seen[event["belief"]] = _spoiled(event)
                run.ways.add((_indicator(event["then"]), event["verdict"]))
    return list(found.values())


def unfinished(campaigns: Iterable[Past], environment: str, mode: Mode) -> Past | None:
    """Return the last campaign of a mode if it was cut short, None where it came to its end or there is none.

    Args:
        campaigns: oldest first.
        environment: where it runs.
        mode: of it.
    """
    alike = [past for past in campaigns if (past.environment, past.mode) == (environment, mode)]
    return alike[-1] if alike and not alike[-1].ended else None


def new_campaign(mode: Mode, environment: str, seed: int, budget: Budget) -> Past:
    """Return a campaign that has not begun."""
    name = "c" + time.strftime("%Y%m%d-%H%M%S", time.gmtime()) + "-" + secrets.token_hex(2)
    return Past(name, mode, environment, seed, budget)


def _carry_on(found: dict[str, Past], event: Mapping[str, Any]) -> None:
    seconds = float("inf") if event["budget_s"] is None else event["budget_s"]
    budget = Budget(seconds, event["risk"], event["risk_price"])
    past = found.setdefault(event["campaign"], Past(event["campaign"], event["mode"], event["environment"], event["seed"], budget))
    past.budget, past.ended = budget, event["state"] == "ended"
    if event["state"] in {"started", "resumed"}:
        past.sit_down(event["at"])
    past.reach(event["at"])


def _announced(event: Mapping[str, Any]) -> Ran:
    proposal = event["proposal"]
    names = tuple(belief["id"] for belief in event["beliefs"])
    return Ran(event["experiment"], event["at"], proposal["random"], proposal["spoiled"], names)


def _indicator(then: str) -> str:
    try:
        return parse_criterion(then).indicator
    except CriterionError:
        return then


def _spoiled(verdict: Mapping[str, Any]) -> float:
    control = verdict["control"]
    usual = control["breaches"] / control["n"] if control["n"] else 0.0
    return max(0.0, float(verdict["breaches"]) - usual * float(verdict["n"]))
