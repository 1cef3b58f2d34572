"""`refute rerun`: the same run once more: same seed, same faults."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from refute.cli._campaign import by_option, campaign
from refute.cli._signals import until_signal


@click.command()
@click.argument("experiment", default="last")
@click.option("--file", type=click.Path(path_type=Path), default=Path("refute.yaml"), show_default=True, help="The intent file.")
@click.option("--environment", default="", metavar="NAME", help="Environment of the intent to run in.")
@by_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON Lines; the last is the summary.")
def rerun(experiment: str, file: Path, environment: str, by: str, as_json: bool) -> None:
    """Repeat EXPERIMENT (an id, or `last`): faults repeat exactly, a model's answers may not."""
    with campaign(file, as_json=as_json, environment=environment, seed=1, imports=True, author=by, notify=True) as (opened, _):
        sys.exit(until_signal(lambda: opened.rerun(experiment)))
