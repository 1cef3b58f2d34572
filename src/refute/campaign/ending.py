"""When a campaign ends, and why, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from refute.campaign.past import Budget, Past
from refute.campaign.plan import Plan, Proposal
from refute.core.intent import Intent
from refute.core.units import show_share
from refute.learning import Depth
from refute.learning.stopping import StoppingRule, Unseen, unseen
from refute.stats import Answerability

Cause = Literal["answered", "seen", "time", "risk"]
DAY_S = 86_400.0
_TRIES: Mapping[str, int] = {"void": 2, "aborted": 1, "inconclusive": 3}
"""Runs of a belief, by what came of them, after which one campaign leaves it alone."""
_MOST_OF_A_SEARCH = 12  # runs for one threshold


@dataclass(frozen=True, slots=True)
class End:
    """Why a campaign runs nothing more.

    Attributes:
        cause: in a word.
        reason: in words.
    """

    cause: Cause
    reason: str


def allowed_units(intent: Intent, budget: Budget) -> float:
    """Return how many units a campaign may spoil: a share of what the error budget allows, inf where no share is stated.

    Where no error budget is stated, the units that the campaign's time could send take its place, those of a day at most.

    Args:
        intent: validated.
        budget: of the campaign.
    """
    if budget.risk is None:
        return math.inf
    rate, stated = intent.workload.rate_per_s, intent.blast_radius.error_budget
    whole = rate * min(budget.seconds, DAY_S) if stated is None else (1 - stated.objective) * rate * stated.window_s
    return budget.risk * whole


def capped(intent: Intent, budget: Budget) -> Budget:
    """Return a budget whose risk is within what the intent lets experiments spend of the error budget; that much where none is stated."""
    stated = intent.blast_radius.error_budget
    if stated is None:
        return budget
    return replace(budget, risk=stated.spend if budget.risk is None else min(budget.risk, stated.spend))


def open_to(past: Past, proposals: Sequence[Proposal]) -> list[Proposal]:
    """Return the proposals whose beliefs a campaign has not tried in vain already."""
    return [one for one in proposals if not any(_tried_enough(past, belief.id, belief.at_least is not None) for belief in one.beliefs)]


def _tried_enough(past: Past, belief: str, sought: bool) -> bool:
    words = [run.words[belief] for run in past.runs if belief in run.words]
    most = {**_TRIES, "inconclusive": _MOST_OF_A_SEARCH} if sought else _TRIES
    return any(words.count(word) >= count for word, count in most.items())


def fitting(proposals: Sequence[Proposal], seconds: Mapping[str, float], left_s: float, left_units: float) -> list[Proposal]:
    """Return the proposals that end in time however long they take, and are not expected to spoil more than is left.

    Args:
        proposals: best first.
        seconds: longest course of each, by the id of its first belief.
        left_s: time that is left.
        left_units: units that may still be spoiled.
    """
    return [one for one in proposals if seconds[one.beliefs[0].id] <= left_s and one.spoiled <= left_units]


def nothing_fits(open_ones: Sequence[Proposal], seconds: Mapping[str, float], left_s: float, left_units: float) -> End:
    """Say what keeps experiments that are worth it from being run: time, or risk.

    Args:
        open_ones: at least one, best first.
        seconds: as `fitting` takes them.
        left_s: time that is left.
        left_units: units that may still be spoiled.
    """
    best = open_ones[0]
    shortest = min(seconds[one.beliefs[0].id] for one in open_ones)
    if shortest > left_s:
        return End("time", f"{_time(left_s)} of the budget is left, and what is worth running takes up to {_time(shortest)}")
    least = min(one.spoiled for one in open_ones)
    names = ", ".join(belief.id for belief in best.beliefs)
    left = f"{max(0.0, left_units):.3g} may still be spoiled"
    return End("risk", f"what is worth running ({names} first) is expected to spoil {least:.3g} units at least, and {left}")


def enough(past: Past, plan: Plan, open_ones: Sequence[Proposal], before: Sequence[Past] = (), depth: Depth | None = None) -> End | None:
    """Return why nothing is worth its cost any more, None where something is.

    Args:
        past: the campaign so far.
        plan: what could be run now.
        open_ones: of it, what this campaign has not tried in vain.
        before: earlier campaigns, which have seen something, too.
        depth: how forecasts did so far: those of what is left are widened as far as earlier ones failed.
    """
    if not open_ones:
        return End("answered", _nothing_left(past, plan))
    left = unseen_of([*before, past])
    told = [odds_of(one) for proposal in open_ones for one in proposal.answerable.values()]
    widened = told if depth is None else [depth.widened(odds) for odds in told]
    bits = sum(_entropy(odds["refuted"]) for odds in widened) / len(widened)
    if StoppingRule().reached(bits, left):
        return End("seen", f"forecasts of what is left are uncertain by {bits:.2f} bits only; {words_of(left)}")
    return None


def odds_of(one: Answerability) -> dict[str, float]:
    """Return a forecast by verdict."""
    return {"held": one.p_held, "refuted": one.p_refuted, "inconclusive": one.p_inconclusive}


def unseen_of(campaigns: Sequence[Past]) -> Unseen:
    """Return an estimate of what no run of these campaigns has seen."""
    return unseen(run.behaviour for past in campaigns for run in past.finished)


def words_of(left: Unseen) -> str:
    """Return an estimate of what has not been seen, in words."""
    if not left.runs:
        return "nothing has been seen yet"
    more = f", and there are {left.kinds:.0f} such ways at least" if left.kinds >= 0.5 else ""
    return f"after {left.runs} runs, {show_share(left.mass)} of further ones are estimated to show something new{more}"


def unseen_json(left: Unseen) -> dict[str, Any]:
    """Return the object that a `campaign` event carries."""
    kinds = left.kinds if math.isfinite(left.kinds) else None
    return {"mass": left.mass, "kinds": kinds, "seen": left.seen, "runs": left.runs}


def _nothing_left(past: Past, plan: Plan) -> str:
    by_code: dict[str, int] = {}
    for refused in plan.refused:
        by_code[refused.code] = by_code.get(refused.code, 0) + len(refused.beliefs)
    words = {
        "PLAN-ANSWERED": "answered",
        "PLAN-WORTHLESS": "as good as known",
        "PLAN-UNANSWERABLE": "out of reach of the blast radius",
        "PLAN-GATED": "waiting for others",
    }
    told = [f"{count} {words.get(code, f'refused ({code})')}" for code, count in by_code.items()]
    tried = sum(len(one.beliefs) for one in plan.proposals)
    told += [f"{tried} tried without an answer"] if tried else []
    return f"nothing is left that is worth its cost: of the beliefs {', '.join(told) or 'none is open'}; {words_of(unseen_of([past]))}"


def _entropy(p: float) -> float:
    return 0.0 if p <= 0.0 or p >= 1.0 else -p * math.log2(p) - (1 - p) * math.log2(1 - p)


def _time(value_s: float) -> str:
    minutes, seconds = divmod(round(max(0.0, value_s)), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
