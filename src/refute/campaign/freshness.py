"""How fresh evidence is: what has changed since, how long ago it was, and what re-runs have taught about how quickly answers go stale."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from refute.intent.dependency import is_answered, kind_of
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
        inside: what it was of a changed thing, in words, where that is known.
    """

    experiment: str
    changed: tuple[str, ...]
    age_d: float | None
    freshness: float
    inside: Mapping[str, str] = field(default_factory=dict)

    def reasons(self) -> tuple[str, ...]:
        """Return why in words, one reason a kind of change."""
        by_kind: dict[str, list[str]] = {}
        for name in self.changed:
            by_kind.setdefault(kind_of(name), []).append(name)
        told = [_words(kind, [_named(name, self.inside.get(name, "")) for name in names]) for kind, names in by_kind.items()]
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

    def of(
        self, event: Mapping[str, Any], marks: Mapping[str, str], files: Mapping[str, Mapping[str, str]] | None = None
    ) -> tuple[float, Stale | None]:
        """Return how fresh evidence is, and why it is stale; None where it answers as well as when it was gathered.

        Args:
            event: `learned`.
            marks: hash by name of what the belief depends on, now.
            files: hash by path below each folder among it, now.
        """
        then, now = _comparable(event.get("marks") or {}, marks)
        age_s = self.now - event.get("at", self.now)
        freshness = round(self.decay.freshness(age_s, overlaps(then, now, _grouped)), _DIGITS)
        changed = tuple(name for name in sorted({*then, *now}) if then.get(name) != now.get(name))
        old = self.decay.freshness(age_s, {}) < _OLD
        if not changed and not old:
            return freshness, None
        before = event.get("files") or {}
        inside = {name: _inside(before[name], (files or {}).get(name, {})) for name in changed if name in before}
        inside |= {name: f"{then[name]} then, {now[name]} now" for name in changed if is_answered(name)}
        return freshness, Stale(event["experiment"], changed, age_s / 86_400.0 if old else None, freshness, inside)


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
        differ = overlaps(*_comparable(before.get("marks") or {}, event.get("marks") or {}), _grouped)
        if not any(kind_of(name) == "intent" for name in differ):
            yield Repeat(event["at"] - before["at"], differ, event["verdict"] == before["verdict"], by_chance)


def _comparable(then: Mapping[str, str], now: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return marks of two times without what says nothing: models that answered at one of them only, or at both."""
    dropped = {
        name for name in {*then, *now} if is_answered(name) and (name not in then or name not in now or _share(then[name], now[name]))
    }
    return tuple({name: mark for name, mark in marks.items() if name not in dropped} for marks in (then, now))  # type: ignore[return-value]


def _share(then: str, now: str) -> bool:
    """Say whether any model answered at both times: several may take turns."""
    return bool(set(then.split(", ")) & set(now.split(", ")))


def _inside(then: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Return which files of a folder differ."""
    differ = sorted(name for name in {*then, *now} if then.get(name) != now.get(name))
    told = [name if name in then and name in now else f"{name} {'added' if name in now else 'removed'}" for name in differ[:_SHOWN]]
    return ", ".join(told) + (" and more" if len(differ) > _SHOWN else "")


def _named(name: str, inside: str) -> str:
    return f"{name}: {inside}" if inside else name


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
