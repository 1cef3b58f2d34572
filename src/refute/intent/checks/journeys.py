"""Do the journeys share the traffic?"""

from __future__ import annotations

from collections.abc import Iterator

from refute.core.errors import Problem
from refute.core.units import show_share
from refute.intent.checks.subject import Subject


def check_journeys(subject: Subject) -> Iterator[Problem]:
    """Yield a problem where the shares come to more than all traffic, or leave none for a journey."""
    journeys = subject.shape.journeys
    total = sum(about.share or 0.0 for about in journeys.values())
    silent = ", ".join(name for name, about in journeys.items() if about.share is None)
    if total > 1 + 1e-9:
        what = "the journeys' shares add up to more than all traffic"
        yield subject.problem("JOURNEY-SHARES", what, ("journeys",), show_share(total), allowed="at most 100% together")
    elif total > 1 - 1e-9 and silent:
        what = "the stated shares leave no traffic for the other journeys"
        yield subject.problem("JOURNEY-SHARES", what, ("journeys",), silent, allowed="a share for each journey")
