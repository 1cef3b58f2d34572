"""`refute approve`: a second person's signed yes to testing beliefs in an environment."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

import click

from refute.cli._campaign import tightened
from refute.cli._intent import intent_argument
from refute.core.errors import refuse
from refute.core.units import UnitError, seconds
from refute.intent import load
from refute.safety.approval import FOLDER, Approved
from refute.safety.approval import approve as sign

_LONGEST_S = 31 * 86_400.0


@click.command()
@intent_argument
@click.option("--environment", required=True, metavar="NAME", help="Environment of the intent.")
@click.option("--belief", "beliefs", multiple=True, required=True, metavar="ID", help="What may be tested; may be given several times.")
@click.option("--by", required=True, metavar="PRINCIPAL", help="You, as the environment's `signers` file names you.")
@click.option(
    "--key", type=click.Path(path_type=Path), default=Path("~/.ssh/id_ed25519"), show_default=True, help="Your SSH key, or its public half."
)
@click.option("--lasts", default="1 d", show_default=True, metavar="DURATION", help="How long the yes is good for; at most 31 d.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def approve(file: Path, environment: str, beliefs: Sequence[str], by: str, key: Path, lasts: str, as_json: bool) -> None:
    """Say yes to testing beliefs in an environment, signed with your SSH key. Any change of the intent voids it."""
    intent = tightened(load(file), environment)
    unknown = [belief for belief in beliefs if belief not in intent.beliefs]
    if unknown:
        raise refuse("BELIEF-UNKNOWN", "the intent has no such belief", seen=", ".join(unknown), allowed=", ".join(intent.beliefs))
    until = time.time() + _lasting(lasts)
    approved = Approved(intent.system.name, environment, intent.digest, tuple(sorted(set(beliefs))), by, until)
    path = sign(approved, key.expanduser(), intent.folder / FOLDER)
    if as_json:
        click.echo(json.dumps({"approval": str(path), "by": by, "until": until, "beliefs": list(approved.beliefs)}))
    else:
        click.echo(f"{by} says yes to {', '.join(approved.beliefs)} in {environment} for {lasts}: {path}")
        click.echo("hand the file to whoever runs it, or commit it")


def _lasting(text: str) -> float:
    try:
        found = seconds(text)
    except UnitError as error:
        raise refuse("APPROVAL-LASTS", "how long it is good for cannot be read", where="--lasts", seen=text, allowed=str(error)) from None
    if not 0 < found <= _LONGEST_S:
        raise refuse(
            "APPROVAL-LASTS", "an approval is not good for that long", where="--lasts", seen=text, allowed="over 0 s, at most 31 d"
        )
    return found
