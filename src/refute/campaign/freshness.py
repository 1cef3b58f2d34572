"""How fresh evidence is: what has changed since, how long ago it was, and what re-runs have taught about how quickly answers go stale."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from refute.intent.dependency import kind_of
from refute.learning import Decay, Repeat, learn_decay, overlaps

_OLD = 0.5
"""Freshness by age alone below which evidence is too old to answer anything."""
_DECIDED = ("held", "refuted")
_MOST_REPEATS = 200
_DIGITS = 3
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Stale:
    """Why evidence no longer counts in full.

    Attributes:
        experiment: the run that it comes from.
        changed: names of what has changed since, as marks name it.
        age_d: its age in days, where that is too much; None where it is not.
        freshness: δ, the probability that it still holds.
    """

    experiment: str
    changed: tuple[str, ...]
    age_d: float | None
    freshness: float

    def reasons(self) -> tuple[str, ...]:
        """Return why in words, one reason a kind of change."""
        by_kind: dict[str, list[str]] = {}
        for name in self.changed:
            by_kind.setdefault(kind_of(name), []).append(name)
        told = [_words(kind, names) for kind, names in by_kind.items()]
        old = [] if self.age_d is None else [f"the last evidence is {self.age_d:.0f} days old"]
        return (*told, *old)


@dataclass(frozen=True, slots=True)
class Aging:
    """How evidence ages here.

    Attributes:
        decay: half-life and ρ, as re-runs have taught.
        now: seconds since the epoch.
    """

    decay: Decay
    now: float

    def of(self, event: Mapping[str, Any], marks: Mapping[str, str]) -> tuple[float, Stale | None]:
        """Return how fresh evidence is, and why it is stale; None where it answers as well as when it was gathered.

        Args:
            event: `learned`.
            marks: hash by name of what the belief depends on, now.
        """
        then, age_s = event.get("marks") or {}, self.now - event.get("at", self.now)
        freshness = round(self.decay.freshness(age_s, overlaps(then, marks, _grouped)), _DIGITS)
        changed = tuple(name for name in sorted({*then, *marks}) if then.get(name) != marks.get(name))
        old = self.decay.freshness(age_s, {}) < _OLD
        if not changed and not old:
            return freshness, None
        return freshness, Stale(event["experiment"], changed, age_s / 86_400.0 if old else None, freshness)


def aging_of(learned: Iterable[Mapping[str, Any]], now: float) -> Aging:
    """Return how evidence ages, from successive verdicts on the same beliefs.

    Args:
        learned: events that count, oldest first.
        now: seconds since the epoch.
    """
    decided = [event for event in learned if event.get("verdict") in _DECIDED and "at" in event]
    repeats = list(_repeats(decided))[-_MOST_REPEATS:]
    return Aging(learn_decay(repeats) if repeats else Decay(), now)


def _repeats(decided: Sequence[Mapping[str, Any]]) -> Iterable[Repeat]:
    """Yield pairs of successive verdicts that answer one question: the belief itself is as it was."""
    share = (1.0 + sum(event["verdict"] == "held" for event in decided)) / (2.0 + len(decided))
    by_chance = share**2 + (1.0 - share) ** 2
    last: dict[str, Mapping[str, Any]] = {}
    for event in decided:
        before = last.get(event["belief"])
        last[event["belief"]] = event
        if before is None:
            continue
        differ = overlaps(before.get("marks") or {}, event.get("marks") or {}, _grouped)
        if not any(kind_of(name) == "intent" for name in differ):
            yield Repeat(event["at"] - before["at"], differ, event["verdict"] == before["verdict"], by_chance)


def _grouped(name: str) -> str:
    """Return what shares one ρ; each part of the question stands for itself, for any of them that changes makes another question."""
    kind = kind_of(name)
    return name if kind == "intent" else kind


def _words(kind: str, names: Sequence[str]) -> str:
    shown = ", ".join(name.removeprefix("belief:") for name in names[:_SHOWN]) + (" and more" if len(names) > _SHOWN else "")
    match kind:
        case "graph":
            return "the last evidence is older than a change of the system graph"
        case "belief":
            return f"what it rests on has changed: {shown}"
        case "intent":
            return f"the question has changed since the last evidence: {shown}"
        case _:
            return f"the last evidence is older than the {kind} change ({shown})"
