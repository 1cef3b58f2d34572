"""The cases of a workload: JSON Lines, one object a line, each with an id and perhaps a journey."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from refute.core.errors import Problem
from refute.intent.document import closest, listed, shown
from refute.intent.file_content import is_file

MAX_PROBLEMS = 10


def check_cases(path: Path, name: str, journeys: Collection[str]) -> tuple[frozenset[str], list[Problem]]:
    """Read all cases of a file.

    Args:
        path: the file.
        name: how it is shown in messages.
        journeys: names of the journeys that a case may name.

    Returns:
        The journeys that the cases name, and what is wrong, with no place where it is the file itself that is missing or empty.
    """
    if not is_file(path):
        return frozenset(), [
            Problem("CASES-MISSING", "the file of cases does not exist", seen=name, allowed="a JSON Lines file beside the intent")
        ]
    reading = _Reading(name, journeys)
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    reading.take(number, line)
    except (OSError, UnicodeDecodeError) as error:
        return frozenset(), [Problem("CASES-FORMAT", "the file of cases cannot be read", name, shown(str(error)), "JSON Lines in UTF-8")]
    if not reading.number_of_cases and not reading.problems:
        return frozenset(), [Problem("CASES-EMPTY", "there is no case to ask", seen=name, allowed="one JSON object a line")]
    return reading.finished()


class _Reading:
    """The journeys and problems of one file so far."""

    def __init__(self, name: str, journeys: Collection[str]) -> None:
        self.number_of_cases = 0
        self.problems: list[Problem] = []
        self._named: set[str] = set()
        self._silent: list[str] = []
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
        self.number_of_cases += 1
        if journey:
            self._named.add(str(journey))
        else:
            self._silent.append(where)

    def finished(self) -> tuple[frozenset[str], list[Problem]]:
        """Return the journeys named, and the first problems with the number of the others."""
        if self._named:
            what = "the case names no journey though others do: it would never be asked"
            self.problems += [Problem("CASES-JOURNEY", what, where, allowed=listed(self._journeys)) for where in self._silent]
        return frozenset(self._named), self._cut()

    def _cut(self) -> list[Problem]:
        more = len(self.problems) - MAX_PROBLEMS
        if more <= 0:
            return self.problems
        return [*self.problems[:MAX_PROBLEMS], Problem("CASES-FORMAT", f"{more} more cases have problems", self._name)]
