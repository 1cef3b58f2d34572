"""A tree of plain values that knows in which file and line each of them stands."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from refute.core.errors import Problem

Steps = tuple[str | int, ...]
"""The way from the root to a value: keys and positions."""


@dataclass(slots=True)
class Document:
    """What files said, merged, with places and with what was wrong on the way.

    Attributes:
        data: plain mappings, lists and scalars.
        places: `file:line` by the way to a value; empty for values that come from Python.
        problems: what was wrong so far.
        marred: ways to values already complained about, so that nothing is said twice.
        sources: shown name and content of each file read, in order.
        whole: whether every file that was named could be read: otherwise a name that seems unknown may stand in one that could not.
    """

    data: Any
    places: dict[Steps, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    marred: set[Steps] = field(default_factory=set)
    sources: list[tuple[str, bytes]] = field(default_factory=list)
    whole: bool = True

    def where(self, steps: Steps) -> str:
        """Return `file:line` of a value or of the nearest one around it; its label where no file is known."""
        for end in range(len(steps), -1, -1):
            if steps[:end] in self.places:
                return self.places[steps[:end]]
        return label(steps)

    def problem(self, code: str, what: str, steps: Steps, seen: str = "", **fields: str) -> Problem:
        """Return a problem at the place where a value stands."""
        return Problem(code, what, self.where(steps), seen, **fields)

    def unknown(self, code: str, noun: str, name: str, known: Iterable[str], steps: Steps, **fields: str) -> Problem:
        """Return the problem of a name that nothing bears."""
        known = list(known)
        what = f"there is no {noun} `{name}`"
        return self.problem(code, what, steps, name, allowed=listed(known), suggestion=closest(name, known), **fields)

    def is_marred(self, steps: Steps) -> bool:
        """Say whether the value, or one around it, has been complained about."""
        return any(steps[:end] in self.marred for end in range(len(steps) + 1))


def label(steps: Steps) -> str:
    """Return the way to a value as people write it: `beliefs[0].when.share`."""
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{printable(step)}" if text else printable(step)
    return text or "the file"


def closest(name: str, known: Iterable[str]) -> str:
    """Return the known name that is most like this one, or ""."""
    candidates = {candidate.lower(): candidate for candidate in known}
    matches = difflib.get_close_matches(name.lower(), candidates, n=1, cutoff=0.55)
    return candidates[matches[0]] if matches else ""


def listed(names: Iterable[str], limit: int = 12) -> str:
    """Return names as a readable list, cut after `limit`."""
    names = list(names)
    more = f", … ({len(names) - limit} more)" if len(names) > limit else ""
    return (", ".join(names[:limit]) + more) or "none is declared"


def printable(text: str) -> str:
    """Return text without what could steer a terminal or cannot be encoded."""
    return "".join(sign if sign.isprintable() else "�" for sign in text)


def shown(value: Any, limit: int = 60) -> str:
    """Return a value on one short line, as YAML writes it."""
    if value is None:
        return "nothing"
    text = value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else repr(value)
    line = printable(" ".join(text.split()))
    return line if len(line) <= limit else line[: limit - 1] + "…"
