"""The cases of a workload: JSON Lines, one object a line, each with an id and perhaps a journey."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from refute.core.errors import Problem
from refute.intent.document import closest, listed, shown

MAX_PROBLEMS = 10


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to ask of the system.

    Attributes:
        id: unique within the file; the line's number where the case has none.
        journey: user journey that it belongs to, or "".
        data: the whole object, as the workload gets it.
    """

    id: str
    journey: str
    data: dict[str, Any] = field(default_factory=dict)


def read_cases(path: Path, name: str, journeys: Collection[str]) -> tuple[list[Case], list[Problem]]:
    """Read all cases of a file.

    Args:
        path: the file.
        name: how it is shown in messages.
        journeys: names of the journeys that a case may name.

    Returns:
        The cases in order, and what is wrong, with no place where it is the file itself that is missing or empty.
    """
    if not path.is_file():
        return [], [Problem("CASES-MISSING", "the file of cases does not exist", seen=name, allowed="a JSON Lines file beside the intent")]
    reading = _Reading(name, journeys)
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    reading.take(number, line)
    except (OSError, UnicodeDecodeError) as error:
        return [], [Problem("CASES-FORMAT", "the file of cases cannot be read", name, shown(str(error)), "JSON Lines in UTF-8")]
    if not reading.cases and not reading.problems:
        return [], [Problem("CASES-EMPTY", "there is no case to ask", seen=name, allowed="one JSON object a line")]
    return reading.cases, reading.cut()


class _Reading:
    """The cases and problems of one file so far."""

    def __init__(self, name: str, journeys: Collection[str]) -> None:
        self.cases: list[Case] = []
        self.problems: list[Problem] = []
        self._name = name
        self._journeys = journeys
        self._lines: dict[str, int] = {}

    def take(self, number: int, line: str) -> None:
        """Read one line."""
        where = f"{self._name}:{number}"
        try:
            data = json.loads(line)
        except (ValueError, RecursionError) as error:
            self.problems.append(Problem("CASES-FORMAT", f"this line is not JSON ({error})", where, shown(line), "one JSON object a line"))
            return
        if not isinstance(data, dict):
            self.problems.append(Problem("CASES-FORMAT", "a case is a JSON object", where, shown(line), '{"id": "c1", …}'))
            return
        self._keep(number, where, data)

    def _keep(self, number: int, where: str, data: dict[str, Any]) -> None:
        case_id, journey = data.get("id", number), data.get("journey", "")
        if isinstance(case_id, bool) or not isinstance(case_id, str | int) or case_id == "":
            self.problems.append(Problem("CASES-FORMAT", "the id of a case is text or a whole number", where, shown(case_id), '"id": "c1"'))
            return
        if journey != "" and journey not in self._journeys:
            what = "the case names a journey that is not declared"
            suggestion = closest(str(journey), self._journeys)
            self.problems.append(Problem("CASES-JOURNEY", what, where, shown(journey), listed(self._journeys), suggestion))
        first = self._lines.setdefault(str(case_id), number)
        if first != number:
            allowed = f"an id of its own; this one stands in line {first}"
            self.problems.append(Problem("CASES-TWICE", "two cases have the same id", where, str(case_id), allowed))
        self.cases.append(Case(str(case_id), str(journey), data))

    def cut(self) -> list[Problem]:
        """Return the first problems, and how many more there are."""
        more = len(self.problems) - MAX_PROBLEMS
        if more <= 0:
            return self.problems
        return [*self.problems[:MAX_PROBLEMS], Problem("CASES-FORMAT", f"{more} more cases have problems", self._name)]
