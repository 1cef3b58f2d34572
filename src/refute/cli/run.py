"""`refute run`: runs the best next experiment, the named ones, or all that are worth it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from refute.campaign import Campaign
from refute.cli._campaign import by_option, campaign
from refute.cli._intent import intent_argument
from refute.cli._signals import until_signal
from refute.core.errors import Problem, RefuteError


@click.command()
@intent_argument
@click.option("--belief", "wanted", multiple=True, metavar="ID", help="Test this belief; may be given several times.")
@click.option("--all", "everything", is_flag=True, help="Run every experiment that is worth it, best first.")
@click.option("--experiments", type=click.IntRange(1), default=None, help="Run at most so many; 1 unless --belief or --all.")
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
    again: bool,
    environment: str,
    by: str,
    seed: int | None,
    as_json: bool,
) -> None:
    """Test beliefs: forecast, baseline, inject, recover, verdict."""
    most = experiments if experiments is not None else (None if everything or wanted else 1)
    with campaign(file, as_json=as_json, environment=environment, seed=seed, imports=True, author=by, notify=True) as (opened, _):

        async def work() -> int:
            return await run_campaign(opened, wanted, most, again=again)

        sys.exit(until_signal(work))


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
