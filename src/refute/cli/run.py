"""`refute run`: runs the best next experiment, the named ones, all that are worth it, or a campaign with a budget."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from refute.campaign import Budget, Campaign, Loop, Past, capped, new_campaign, unfinished
from refute.cli._campaign import by_option, campaign, risk_price_option
from refute.cli._intent import intent_argument
from refute.cli._signals import until_signal
from refute.core.errors import Problem, RefuteError, refuse
from refute.core.units import UnitError, seconds, share
from refute.learning import Prices


@click.command()
@intent_argument
@click.option("--belief", "wanted", multiple=True, metavar="ID", help="Test this belief; may be given several times.")
@click.option("--all", "everything", is_flag=True, help="Run every experiment that is worth it, best first.")
@click.option("--experiments", type=click.IntRange(1), default=None, help="Run at most so many; 1 unless --belief or --all.")
@click.option("--budget", default="", metavar="TIME", help="A campaign: run what teaches most until this is spent (30min).")
@click.option("--risk", default="", metavar="SHARE", help="Of the error budget, what the campaign may spoil at most (2%).")
@risk_price_option
@click.option("--resume", is_flag=True, help="Go on with a campaign that was cut short, with what is left of its budget.")
@click.option("--new", is_flag=True, help="With --budget: start anew, although a campaign was cut short.")
@click.option("--again", is_flag=True, help="Test what is already answered, too.")
@click.option("--environment", default="", metavar="NAME", help="Environment of the intent to run in.")
@by_option
@click.option("--seed", type=int, default=None, help="Same seed, same units, same faults; one that is new where not stated.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON Lines; the last is the summary.")
def run(
    file: Path,
    wanted: tuple[str, ...],
    everything: bool,
    experiments: int | None,
    budget: str,
    risk: str,
    risk_price: float | None,
    resume: bool,
    new: bool,
    again: bool,
    environment: str,
    by: str,
    seed: int | None,
    as_json: bool,
) -> None:
    """Test beliefs: forecast, baseline, inject, recover, verdict.

    With --budget a campaign: it asks for the best experiment, runs it and learns from it, until its time or its risk is spent or
    nothing is left that is worth its cost, and says why it stopped. A campaign that was cut short goes on where it was.
    """
    looped = bool(budget or resume)
    _refuse_mixed(looped, chosen=bool(wanted or everything or experiments or again), extra=bool(risk or new) or risk_price is not None)
    spend = budget_of(budget, risk, risk_price) if budget else None
    most = experiments if experiments is not None else (None if everything or wanted else 1)
    with campaign(file, as_json=as_json, environment=environment, seed=seed, imports=True, author=by, notify=True) as (opened, _):

        async def work() -> int:
            if looped:
                past = _campaign_of(opened, spend, new=new, seed=seed)
                opened.open()
                return await Loop(opened, past).run()
            return await run_campaign(opened, wanted, most, again=again)

        sys.exit(until_signal(work))


def _refuse_mixed(looped: bool, *, chosen: bool, extra: bool) -> None:
    if looped and chosen:
        raise _misused("a campaign chooses by itself", "--belief, --all, --experiments or --again beside --budget")
    if extra and not looped:
        raise _misused("only a campaign has these", "--risk, --lambda or --new without --budget")


def budget_of(budget: str, risk: str, risk_price: float | None) -> Budget:
    """Return what a campaign may spend.

    Args:
        budget: a duration, as written; "" for no end.
        risk: a share, as written; "" for what the intent allows.
        risk_price: λ; None for the usual one.

    Raises:
        RefuteError: one of them cannot be read (`CAMPAIGN-OPTION`).
    """
    try:
        spend_s = seconds(budget) if budget else float("inf")
    except UnitError as error:
        raise _misused("the budget cannot be read", budget, str(error)) from None
    try:
        spoil = share(risk) if risk else None
    except UnitError as error:
        raise _misused("the risk cannot be read", risk, str(error)) from None
    if spend_s <= 0.0:
        raise _misused("the budget is nothing", budget, "more than 0 s")
    return Budget(spend_s, spoil, Prices().risk if risk_price is None else risk_price)


def pause_of(pause: str) -> float:
    """Return how long to wait between runs, seconds.

    Raises:
        RefuteError: it cannot be read (`CAMPAIGN-OPTION`).
    """
    try:
        return seconds(pause)
    except UnitError as error:
        raise _misused("the pause cannot be read", pause, str(error)) from None


def _misused(what: str, seen: str, allowed: str = "") -> RefuteError:
    return refuse("CAMPAIGN-OPTION", what, seen=seen, allowed=allowed, next="refute run --budget 30min --risk 2%")


def _campaign_of(opened: Campaign, spend: Budget | None, *, new: bool, seed: int | None) -> Past:
    """Return the campaign that was cut short, with what may be spent now, or a new one.

    Raises:
        RefuteError: none was, and no budget is stated (`CAMPAIGN-NONE`).
    """
    past = None if new else unfinished(opened.campaigns(), opened.environment, "budget")
    if past is not None and (seed is None or seed == past.seed):
        past.budget = capped(opened.intent, spend) if spend else past.budget
        return past
    if spend is None:
        raise refuse("CAMPAIGN-NONE", "no campaign was cut short here", seen=opened.environment, next="refute run --budget 30min --risk 2%")
    return new_campaign("budget", opened.environment, opened.seed, capped(opened.intent, spend))


async def run_campaign(opened: Campaign, wanted: Sequence[str], most: int | None, *, again: bool) -> int:
    """Run experiments until enough are run or nothing is left that is worth it.

    Args:
        opened: the campaign.
        wanted: ids of the beliefs to test; empty for the best.
        most: how many experiments at most; None for no bound.
        again: test what is already answered, too.

    Returns:
        The exit code.
    """
    unknown = [belief for belief in wanted if belief not in opened.intent.beliefs]
    if unknown:
        known = ", ".join(opened.intent.beliefs)
        raise RefuteError(*(Problem("BELIEF-UNKNOWN", "the intent has no such belief", seen=one, allowed=known) for one in unknown))
    opened.open()
    return await opened.run_many(wanted, most, again=again)
