"""`refute abort`: the kill switch."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict

import click

from refute.core.errors import EXIT_HELD, EXIT_UNPROVEN_ROLLBACK
from refute.safety import doctor
from refute.safety.abort import remove_elsewhere, request_abort
from refute.safety.journal import Journal
from refute.safety.runs import LiveRun, live_runs

_HEARING_S = 0.5
"""A run that hears has rolled back by then; for one that does not, the guardians of other hosts are asked."""


@click.command()
@click.option("--wait", "wait_s", type=click.FloatRange(0), default=10.0, show_default=True, help="Seconds to wait for runs to end.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def abort(wait_s: float, as_json: bool) -> None:
    """Stop every live experiment now; each rolls back what it broke. Exits 5 where a fault is still live afterwards."""
    asked = request_abort()
    until = time.monotonic() + wait_s
    left = _outlasting((*asked.told, *asked.missed), min(wait_s, _HEARING_S))
    removed = remove_elsewhere(left, Journal()) if left else ()
    left = _outlasting(left, until - time.monotonic())
    live = doctor.live(Journal())
    runs = (*asked.told, *asked.missed)
    ended = [{"system": run.system, "experiment": run.experiment, "pid": run.process.pid, "ended": run not in left} for run in runs]
    if as_json:
        click.echo(json.dumps({"runs": ended, "removed_elsewhere": [asdict(one) for one in removed], "live": live}))
    else:
        for run in ended:
            state = "ended" if run["ended"] else "still runs"
            click.echo(f"{run['system']}: experiment {run['experiment'] or '?'}, process {run['pid']}, {state}")
        click.echo("no experiment was live" if not ended else f"{len(ended) - len(left)} of {len(ended)} ended")
        for one in removed:
            click.echo(f"{one.ending}: {one.injector} on {one.target or '?'}: {one.reason}")
        for fault in live:
            click.echo(f"still live: {fault['fault'] or fault['injector']} on {fault['target'] or '?'}; next: refute recover")
    sys.exit(EXIT_UNPROVEN_ROLLBACK if left or live else EXIT_HELD)


def _outlasting(runs: Sequence[LiveRun], wait_s: float) -> list[LiveRun]:
    """Return those of some runs that have not ended in time; one may still have output to hand on."""
    until = time.monotonic() + wait_s
    while (left := [run for run in runs if run in live_runs()]) and time.monotonic() < until:
        time.sleep(0.05)
    return left
