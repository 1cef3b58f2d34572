"""May this run start here and now? Hours, freezes, other people's yes, and an error budget that burns already."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from refute.core.errors import Problem, RefuteError
from refute.core.intent import Approvals, Environment, ErrorBudget, Intent
from refute.safety.approval import FOLDER, Approved, Need, missing_approval, read_approvals
from refute.safety.burn import Prometheus, burn_rates, too_fast


@dataclass(frozen=True, slots=True)
class Asked:
    """A run that wants to start.

    Attributes:
        intent: validated, tightened for the environment.
        environment: its name, "" where none is named.
        beliefs: ids of what it tests.
        lasts_s: how long it may last, seconds: all of it must lie within a window.
        author: who starts it, as the list of signers names them; "" where nobody is named.
    """

    intent: Intent
    environment: str
    beliefs: Sequence[str]
    lasts_s: float
    author: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one gate says.

    Attributes:
        gate: its name.
        problem: why the run may not start, None where it may.
        seen: what was found, in a few words.
    """

    gate: str
    problem: Problem | None
    seen: str = ""


def admission(asked: Asked, now: float | None = None) -> Iterator[Answer]:
    """Yield what each gate that applies says; gates that nothing states are left out.

    Args:
        asked: the run.
        now: seconds since the epoch; the present where None.
    """
    at = time.time() if now is None else now
    about = asked.intent.environments.get(asked.environment)
    if about is not None:
        yield from hours(about, asked.lasts_s, at)
        if about.approvals is not None:
            yield _approved(about.approvals, asked, at)
    budget = asked.intent.blast_radius.error_budget
    if budget is not None and budget.prometheus:
        yield _burning(budget)


def hours(about: Environment, lasts_s: float, at: float) -> Iterator[Answer]:
    """Yield what hours and freezes of an environment say of a run.

    Args:
        about: the environment.
        lasts_s: how long the run may last, seconds.
        at: when it would start, in seconds since the epoch.
    """
    begins, ends = (datetime.fromtimestamp(moment, UTC) for moment in (at, at + lasts_s))
    if about.windows:
        inside = next((window for window in about.windows if window.holds(begins) and window.holds(ends)), None)
        allowed = ", ".join(window.text for window in about.windows)
        outside = Problem("GATE-WINDOW", f"`{about.name}` is closed to experiments now, or before this one would end", allowed=allowed)
        yield Answer("within hours", None if inside else outside, inside.text if inside else "")
    if about.freezes:
        frozen = next((freeze for freeze in about.freezes if freeze.holds(begins) or freeze.holds(ends)), None)
        yield Answer("no freeze", Problem("GATE-FREEZE", f"`{about.name}` is frozen", seen=frozen.text) if frozen else None)


def _approved(about: Approvals, asked: Asked, at: float) -> Answer:
    intent = asked.intent
    if about.not_author and not asked.author:
        what = "whoever starts the run does not count as an approver, and nobody is named"
        return Answer("approved", Problem("GATE-APPROVAL", what, next="refute run --by you@example.org"))
    wanted = Approved(intent.system.name, asked.environment, intent.digest, tuple(sorted(asked.beliefs)), "", 0.0)
    need = Need(about.need, about.signers, asked.author if about.not_author else "")
    try:
        return Answer("approved", missing_approval(wanted, need, read_approvals(intent.folder / FOLDER), at), f"by {need.people}")
    except RefuteError as error:
        return Answer("approved", error.problems[0])


def _burning(budget: ErrorBudget) -> Answer:
    bad, total = budget.queries
    try:
        burns = burn_rates(Prometheus(budget.prometheus, bad, total), budget.objective)
    except RefuteError as error:
        return Answer("error budget", error.problems[0])
    return Answer("error budget", too_fast(burns), f"burns at {max(min(one.long, one.short) for one in burns):.2g}")
