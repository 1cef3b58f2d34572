"""`refute plan`: what could be run now, ranked, and what was refused, with reasons."""

from __future__ import annotations

from pathlib import Path

import click

from refute.campaign import Question
from refute.cli._campaign import campaign, risk_price_option
from refute.cli._intent import intent_argument
from refute.learning import Prices


@click.command()
@intent_argument
@click.option("--again", is_flag=True, help="Rank what is already answered, too.")
@click.option("--environment", default="", metavar="NAME", help="Environment of the intent to plan for.")
@click.option("--batch", type=click.IntRange(1), default=None, help="Show so many that differ: what teaches most together.")
@risk_price_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON Lines.")
def plan(file: Path, again: bool, environment: str, batch: int | None, risk_price: float | None, as_json: bool) -> None:
    """Rank the experiments: what would each teach, at what risk? Injects nothing."""
    with campaign(file, as_json=as_json, environment=environment, seed=1) as (opened, _):
        opened.open()
        opened.show_plan(Question(again=again, risk_price=Prices().risk if risk_price is None else risk_price, batch=batch))
