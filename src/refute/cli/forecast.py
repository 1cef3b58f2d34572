"""`refute forecast`: what a person expects of a belief's next run, locked in the ledger before it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from refute.cli._campaign import FOLDER
from refute.cli._intent import DEFAULT_FILE
from refute.cli._kept import by_option, keep, name_of
from refute.core.errors import refuse
from refute.core.units import UnitError, share
from refute.intent import load
from refute.ledger import Ledger


@click.command()
@click.argument("belief")
@click.option("--held", "held_text", required=True, metavar="SHARE", help="Probability that the run says `held`, such as 70%.")
@click.option("--refuted", "refuted_text", default="", metavar="SHARE", help="Probability of `refuted`; by default all that is left.")
@click.option("--named", is_flag=True, help="Let your own score be shown; otherwise it only counts in the team's.")
@by_option
@click.option("--file", type=click.Path(path_type=Path), default=DEFAULT_FILE, show_default=True, help="The intent file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def forecast(belief: str, held_text: str, refuted_text: str, named: bool, by: str, file: Path, as_json: bool) -> None:
    """Say what you expect of the next run that tests BELIEF. What is left of 100% is `inconclusive`.

    It is locked by the ledger's hash chain, and scored by the first verdict after it. Say it again to change your mind before the run.
    """
    intent = load(file)
    if belief not in intent.beliefs:
        raise refuse("BELIEF-UNKNOWN", "the intent has no such belief", seen=belief, allowed=", ".join(intent.beliefs))
    held = _share("--held", held_text)
    refuted = _share("--refuted", refuted_text) if refuted_text else 1.0 - held
    if held + refuted > 1.0 + 1e-9:
        seen = f"{held_text} and {refuted_text}"
        raise refuse("FORECAST-SUM", "the probabilities come to more than 100%", seen=seen, allowed="at most 100% together")
    who = name_of(by)
    told = {"belief": belief, "by": who, "named": named, "held": held, "refuted": refuted, "inconclusive": max(0.0, 1.0 - held - refuted)}
    with Ledger.open(intent.folder / FOLDER / "ledger.db") as ledger:
        digest = keep(ledger, "prediction", **told)
    if as_json:
        click.echo(json.dumps({**told, "digest": digest}))
    else:
        click.echo(f"{who} expects of {belief}: held {held:.0%}, refuted {refuted:.0%}, inconclusive {told['inconclusive']:.0%}")
        click.echo(f"locked as {digest[:12]}; next: refute run --belief {belief}")


def _share(option: str, text: str) -> float:
    try:
        found = share(text)
    except UnitError as error:
        raise refuse("FORECAST-SHARE", "the probability cannot be read", where=option, seen=text, allowed=str(error)) from None
    if found >= 1.0:
        allowed = "less than 100%: who is certain could never be scored, as one surprise would cost infinitely many bits"
        raise refuse("FORECAST-SHARE", "nobody is certain", where=option, seen=text, allowed=allowed, next=f"{option} 99%")
    return found
