"""`refute watch`: keeps testing what is worth it, within working hours, until it is ended."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from refute.campaign import Watch, capped, new_campaign, unfinished
from refute.cli._campaign import by_option, campaign, risk_price_option, tightened
from refute.cli._intent import intent_argument
from refute.cli._signals import until_signal
from refute.cli.run import budget_of, pause_of
from refute.core.intent import Intent
from refute.intent import load


@click.command()
@intent_argument
@click.option(
    "--risk", default="", metavar="SHARE", help="Of the error budget, what runs may spoil in its window; of a day's units without."
)
@click.option("--pause", default="10min", show_default=True, metavar="TIME", help="Between runs, and between looks at what is worth one.")
@risk_price_option
@click.option("--environment", default="", metavar="NAME", help="Environment to run in; its windows and freezes are kept.")
@by_option
@click.option("--seed", type=int, default=None, help="Of the first run; where one goes on, its own is kept.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON Lines; the last is the summary.")
def watch(file: Path, risk: str, pause: str, risk_price: float | None, environment: str, by: str, seed: int | None, as_json: bool) -> None:
    """Keep a campaign going within working hours and freezes: stale answers first, one run in twenty at random.

    The intent file is read again before each run. SIGTERM or Ctrl-C ends it: whatever is armed is rolled back first.
    """
    spend, pause_s = budget_of("", risk, risk_price), pause_of(pause)
    with campaign(file, as_json=as_json, environment=environment, seed=seed, imports=True, author=by, notify=True) as (opened, _):

        def read() -> Intent:
            return tightened(load(file), environment)

        async def work() -> int:
            past = unfinished(opened.campaigns(), environment, "watch") or new_campaign("watch", environment, opened.seed, spend)
            past.budget = capped(opened.intent, spend)
            opened.open()
            return await Watch(opened, past, read, pause_s).run()

        sys.exit(until_signal(work))
