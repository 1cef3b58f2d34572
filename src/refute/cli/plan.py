"""`refute plan`: what could be run now, ranked, and what was refused, with reasons."""

from __future__ import annotations

from pathlib import Path

import click

from refute.campaign import Question
from refute.cli._campaign import campaign
from refute.cli._intent import intent_argument


@click.command()
@intent_argument
@click.option("--again", is_flag=True, help="Rank what is already answered, too.")
@click.option("--environment", default="", metavar="NAME", help="Environment of the intent to plan for.")
@click.option(
    "--risk-price", type=click.FloatRange(0), default=10.0, show_default=True, help="λ: what spending the whole error budget costs."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON Lines.")
def plan(file: Path, again: bool, environment: str, risk_price: float, as_json: bool) -> None:
    """Rank the experiments: what would each teach, at what risk? Injects nothing."""
    with campaign(file, as_json=as_json, environment=environment, seed=1) as (opened, _):
        opened.open()
        opened.show_plan(Question(again=again, risk_price=risk_price))
