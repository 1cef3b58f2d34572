"""`refute report`: one HTML file about the last run, one experiment, or everything that was kept."""

from __future__ import annotations

import json
from pathlib import Path

import click

_OUTPUT = "File to write; by default report-EXPERIMENT.html beside the ledger."
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("experiment", default="last")
@click.option("-o", "--output", type=_FILE, help=_OUTPUT)
@click.option("--ledger", type=_FILE, default=Path(".refute/ledger.db"), show_default=True, help="Ledger to read.")
@click.option("--json", "as_json", is_flag=True, help="Print the report's content as JSON instead of a page.")
def report(experiment: str, output: Path | None, ledger: Path, *, as_json: bool) -> None:
    """Write a report as one HTML file that needs no network.

    EXPERIMENT is an experiment's id or its start, `last` for the last run, or `all`.
    """
    from refute.insight.model import report_model
    from refute.insight.report import write_report
    from refute.insight.selection import select
    from refute.ledger import Ledger

    with Ledger.open(ledger, create=False) as kept:
        events = select(kept.events(), experiment)
    if as_json:
        text = json.dumps(report_model(events), allow_nan=False)
        output.write_text(text + "\n", encoding="utf-8") if output else click.echo(text)
        return
    written = write_report(events, output or ledger.parent / f"report-{experiment}.html")
    click.echo(str(written))
