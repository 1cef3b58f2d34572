"""`refute abort`: the kill switch."""

from __future__ import annotations

import json
import sys
import time

import click

from refute.core.errors import EXIT_HELD, EXIT_UNPROVEN_ROLLBACK
from refute.safety import doctor
from refute.safety.abort import request_abort
from refute.safety.journal import Journal
from refute.safety.runs import live_runs


@click.command()
@click.option("--wait", "wait_s", type=click.FloatRange(0), default=10.0, show_default=True, help="Seconds to wait for runs to end.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def abort(wait_s: float, as_json: bool) -> None:
    """Stop every live experiment now; each rolls back what it broke. Exits 5 where a fault is still live afterwards."""
    asked = request_abort()
    runs = (*asked.told, *asked.missed)
    until = time.monotonic() + wait_s
    while (left := [run for run in runs if run in live_runs()]) and time.monotonic() < until:  # it may still have output to hand on
        time.sleep(0.05)
    live = doctor.live(Journal())
    ended = [{"system": run.system, "experiment": run.experiment, "pid": run.process.pid, "ended": run not in left} for run in runs]
    if as_json:
        click.echo(json.dumps({"runs": ended, "live": live}))
    else:
        for one in ended:
            state = "ended" if one["ended"] else "still runs"
            click.echo(f"{one['system']}: experiment {one['experiment'] or '?'}, process {one['pid']}, {state}")
        click.echo("no experiment was live" if not ended else f"{len(ended) - len(left)} of {len(ended)} ended")
        for fault in live:
            click.echo(f"still live: {fault['fault'] or fault['injector']} on {fault['target'] or '?'}; next: refute recover")
    sys.exit(EXIT_UNPROVEN_ROLLBACK if left or live else EXIT_HELD)
