"""`refute account`: what all experiments so far have taught, what is open, and how good the forecasts were."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from refute.cli._kept import ledger_option
from refute.learning import account as account_of
from refute.learning import depth_of, findings
from refute.ledger import Ledger


@click.command()
@click.option("--environment", default="", metavar="NAME", help="Environment whose findings are listed.")
@ledger_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def account(environment: str, path: Path, as_json: bool) -> None:
    """Say what was learned so far: bits and what they cost, open findings, and how well everybody was calibrated."""
    with Ledger.open(path, create=False) as ledger:
        records = [kept.record for kept in ledger.events()]
    found, learned, depth = findings(records, time.time(), environment), account_of(records), depth_of(records)
    if as_json:
        click.echo(json.dumps({**learned.to_json(), "findings": [one.to_json() for one in found.values()], "model_check": depth.to_json()}))
        return
    from refute.insight.accounts import show_account

    show_account(learned, list(found.values()))
    click.echo(f"model check: {depth.words()}")
