"""`refute explain CODE`: what a code means, and what to do."""

from __future__ import annotations

import json
from difflib import get_close_matches

import click

from refute.core.codes import CODES
from refute.core.errors import refuse
from refute.intent.codes import CODES as INTENT_CODES


@click.command()
@click.argument("code")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def explain(code: str, as_json: bool) -> None:
    """Explain a CODE from an error message, such as LEDGER-FULL."""
    known = CODES | INTENT_CODES
    wanted = code.strip("[]").upper()
    if wanted not in known:
        close = get_close_matches(wanted, known, n=1)
        raise refuse(
            "CODE-UNKNOWN", "there is no such code", seen=code, suggestion=close[0] if close else "", next="copy it from the message"
        )
    title, meaning, then = known[wanted]
    if as_json:
        click.echo(json.dumps({"code": wanted, "title": title, "explanation": meaning, "next": then}, ensure_ascii=False))
        return
    click.echo(f"{wanted}: {title}\n\n{meaning}\n\nWhat to do: {then}")
