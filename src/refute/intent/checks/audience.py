"""Who may see a fault: does everybody whom `cohort_by` names have that field, is anybody left, and can the fault tell them apart?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from refute.core.audience import Audience
from refute.core.errors import Problem
from refute.intent.checks.subject import Subject
from refute.intent.document import Steps
from refute.intent.shape import BlastRadiusShape


def check_audience(subject: Subject) -> Iterator[Problem]:
    """Yield a problem for each audience that is empty, that cases do not know of, or that a belief's fault could not heed."""
    radius = subject.intent.blast_radius
    yield from _audience(subject, ("blast_radius",), radius.audience, subject.shape.blast_radius)
    for name, about in subject.shape.environments.items():
        tightened = subject.intent.environments[name].blast_radius
        if about.blast_radius is not None and tightened is not None:
            yield from _audience(subject, ("environments", name, "blast_radius"), tightened.audience, about.blast_radius)
    if not radius.audience.everyone:
        yield from _whole(subject)


def _audience(subject: Subject, steps: Steps, audience: Audience, stated: BlastRadiusShape) -> Iterator[Problem]:
    cases = _cases(subject)
    if stated.cohort_by is not None:
        silent = [case for case in cases if case.get(stated.cohort_by) in {None, ""}]
        if silent:
            seen = f"{len(silent)} of {len(cases)} cases have no `{stated.cohort_by}`"
            yield subject.problem(
                "COHORT-BY", "a case would belong to nobody", (*steps, "cohort_by"), seen, allowed="the field in each case"
            )
    if cases and (stated.only or stated.except_) and not any(audience.includes(case) for case in cases):
        key = "only" if stated.only else "except"
        yield subject.problem("SCOPE-EMPTY", "no case is left that may see a fault", (*steps, key), f"0 of {len(cases)} cases")


def _whole(subject: Subject) -> Iterator[Problem]:
    for steps, _belief, when in subject.faulted():
        fault = subject.faults.get(when.fault)
        if fault is not None and fault.whole:
            what = f"`{fault.name}` strikes a component as a whole: it cannot spare what `only` and `except` keep out"
            yield subject.problem("SCOPE-WHOLE", what, (*steps, "fault"), fault.name, allowed="a fault of single calls")


def _cases(subject: Subject) -> list[dict[str, Any]]:
    """Return the cases that can be read; what is wrong with the others is told elsewhere. Of live traffic nothing is known yet."""
    path = subject.intent.workload.cases
    if path is None:
        return []
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
        cases = [json.loads(line) for line in lines if line.strip()]
    except (OSError, ValueError, RecursionError):
        return []
    return [case for case in cases if isinstance(case, dict)]
