"""Are the cases there and readable, and the files that beliefs depend on?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from refute.core.errors import Problem
from refute.intent.cases import check_cases
from refute.intent.checks.subject import Subject
from refute.intent.fingerprint import missing_path


def check_files(subject: Subject) -> Iterator[Problem]:
    """Yield a problem for each file that is missing, and for each case that cannot be used."""
    path, written = subject.intent.workload.cases, subject.shape.workload.cases
    if path is not None and written is not None:
        yield from _cases(subject, path, written)
    for steps, belief in subject.beliefs():
        for number, name in enumerate(belief.depends_on):
            if missing_path(subject.intent.folder, name):
                what = "the belief depends on a file that does not exist"
                yield subject.problem(
                    "DEPENDS-MISSING", what, (*steps, "depends_on", number), name, allowed="a path beside the intent, or a plain word"
                )


def _cases(subject: Subject, path: Path, written: str) -> Iterator[Problem]:
    present, problems = check_cases(path, written, subject.intent.system.journeys)
    for problem in problems:
        yield problem if problem.where else replace(problem, where=subject.document.where(("workload", "cases")))
    if not problems:
        yield from _journeys(subject, present, written)


def _journeys(subject: Subject, present: frozenset[str], written: str) -> Iterator[Problem]:
    for steps, criterion, _role in subject.criteria():
        if criterion.journey in subject.intent.system.journeys and criterion.journey not in present:
            what = f"no case belongs to the journey `{criterion.journey}`, which this criterion reads"
            allowed = f'cases with "journey": "{criterion.journey}" in {written}; it has {", ".join(sorted(present)) or "none"}'
            yield subject.problem("CASES-JOURNEY", what, steps, criterion.text, allowed=allowed)
