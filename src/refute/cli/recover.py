"""`refute recover`: removes what a dead runner left broken, and proves it."""

from __future__ import annotations

import json
import sys

import click

from refute.injectors.registry import injectors
from refute.safety.far import ask_there
from refute.safety.journal import Journal
from refute.safety.mend import mend
from refute.safety.recover import Recovery


@click.command()
@click.option("--force", is_flag=True, help="Also faults whose runner still lives.")
@click.option("--guardian", "address", metavar="URL", help="Have the guardian of another host, tls://HOST:PORT, do it there instead.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def recover(force: bool, address: str | None, as_json: bool) -> None:
    """Roll back whatever the rollback journal says is live and nobody looks after any more. Exits 5 where that cannot be proven."""
    recovery = mend(Journal(), injectors(), force=force) if address is None else Recovery.from_json(ask_there(address, "mend"))
    if as_json:
        click.echo(json.dumps(recovery.to_json()))
    else:
        _show(recovery)
    sys.exit(recovery.exit_code)


def _show(recovery: Recovery) -> None:
    if not recovery.handles and not recovery.damaged:
        click.echo("nothing is live; nothing was left behind")
    for one in recovery.handles:
        click.echo(f"{one.ending}: {one.injector} on {one.target or '?'} (experiment {one.experiment or '?'}, was {one.was}): {one.reason}")
        if one.next:
            click.echo(f"  next: {one.next}")
    for path in recovery.damaged:
        click.echo(f"unproven: {path} cannot be read; something may still be broken. See what it names, then delete it.")
