"""`refute accept`: somebody lives with a refuted belief for now, says why, and until when."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from refute.cli._kept import by_option, keep, ledger_option, name_of
from refute.core.errors import refuse
from refute.learning import findings
from refute.ledger import Ledger

_LONGEST_D = 366


@click.command()
@click.argument("belief")
@click.option("--why", required=True, metavar="TEXT", help="The reason; it is kept.")
@click.option(
    "--until", "until_text", required=True, metavar="DATE", help="Last day of it, such as 2027-01-31; the finding is open again after."
)
@by_option
@click.option("--environment", default="", metavar="NAME", help="Environment in which it was refuted.")
@ledger_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def accept(belief: str, why: str, until_text: str, by: str, environment: str, path: Path, as_json: bool) -> None:
    """Accept the finding about BELIEF: it was refuted, and nothing is done about it for now; the finding is open again after that day."""
    now = time.time()
    until = _until(until_text, now)
    if not why.strip():
        raise refuse("ACCEPT-WHY", "an acceptance needs a reason", where="--why", seen=why)
    with Ledger.open(path, create=False) as ledger:
        known = findings((kept.record for kept in ledger.events()), now, environment)
        if belief not in known or known[belief].state == "fixed":
            waiting = ", ".join(name for name, one in known.items() if one.state != "fixed") or "nothing is open"
            raise refuse(
                "ACCEPT-NOTHING", "there is no open finding about this belief", seen=belief, allowed=waiting, next="refute account"
            )
        told = {"belief": belief, "by": name_of(by), "why": why.strip(), "until": until, "environment": environment}
        digest = keep(ledger, "acceptance", **told)
    if as_json:
        click.echo(json.dumps({**told, "digest": digest}))
    else:
        click.echo(f"{belief} is accepted by {told['by']} until {until_text}; kept as {digest[:12]}")


def _until(text: str, now: float) -> float:
    """Return the last second of a day, seconds since the epoch."""
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise refuse("ACCEPT-UNTIL", "this is no day", where="--until", seen=text, allowed="a date such as 2027-01-31") from None
    end = (day + timedelta(days=1)).timestamp() - 1
    if not now < end <= now + _LONGEST_D * 86_400:
        raise refuse("ACCEPT-UNTIL", "nobody can accept it until then", where="--until", seen=text, allowed="a day within the next year")
    return end
