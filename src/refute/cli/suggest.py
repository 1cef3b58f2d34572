"""`refute suggest`: beliefs that nobody has stated yet, ready to paste."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from refute.campaign.suggest import Suggestion
from refute.campaign.suggest import suggest as suggested
from refute.cli._campaign import campaign
from refute.cli._intent import intent_argument
from refute.core.errors import RefuteError, refuse
from refute.core.intent import Intent
from refute.faults.catalogue import catalogue

_KEY = "OPENAI_API_KEY"


@click.command()
@intent_argument
@click.option("--most", type=click.IntRange(1), default=5, show_default=True, help="How many to show.")
@click.option("--incident", "incidents", multiple=True, metavar="TEXT", help="What went wrong before, in a few words; several are fine.")
@click.option("--endpoint", default="", metavar="URL", help="OpenAI-compatible base URL of a model that words the claims.")
@click.option("--model", "model", default="", metavar="NAME", help=f"That model; its key is taken from {_KEY}.")
@click.option("--environment", default="", metavar="NAME", help="Environment whose evidence counts.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def suggest(file: Path, most: int, incidents: Sequence[str], endpoint: str, model: str, environment: str, as_json: bool) -> None:
    """Suggest beliefs that nobody has stated, ranked by what a run could teach. Injects nothing, and writes nothing."""
    if bool(endpoint) != bool(model):
        raise refuse("SUGGEST-MODEL", "an endpoint and a model go together", seen=endpoint or model, next="--endpoint URL --model NAME")
    with campaign(file, as_json=True, environment=environment, seed=1) as (opened, _):
        found = suggested(opened.intent, opened.standings(), catalogue(), incidents)[:most]
        intent = opened.intent
    told = _worded(intent, found, endpoint, model) if endpoint else found
    if as_json:
        click.echo(json.dumps({"suggestions": [one.to_json() for one in told]}, ensure_ascii=False))
        return
    if not told:
        click.echo("every fault that could strike here is the subject of a belief already")
        return
    for number, one in enumerate(told):
        click.echo(("" if not number else "\n") + _shown(one))
    click.echo(f"\nPaste what you believe under `beliefs:` in {file}, and say what hangs on it; next: refute check")


def _worded(intent: Intent, found: list[Suggestion], endpoint: str, model: str) -> list[Suggestion]:
    """Return the suggestions in a model's words; where it fails, the catalogue's words stay, and that is told."""
    from refute.campaign.wording import UNREACHED, Model

    wording, faults = Model(endpoint, model, os.environ.get(_KEY, "")), catalogue()
    told: list[Suggestion] = []
    for one in found:
        try:
            claim = wording.word(one, intent.system.name, faults[one.belief.when.fault].summary)
        except RefuteError as error:
            problem = error.problems[0]
            click.echo(f"{one.belief.id}: {problem.what}: {problem.seen}; the catalogue's words stay [{problem.code}]", err=True)
            if problem.what == UNREACHED:
                return [*told, *found[len(told) :]]
            told.append(one)
            continue
        told.append(replace(one, belief=replace(one.belief, claim=claim)))
    return told


def _shown(one: Suggestion) -> str:
    stated = one.stated()
    lines = [f"# {one.bits:.2f} bits expected; {'; '.join(one.reasons)}"]
    for number, (key, found) in enumerate(stated.items()):
        lines.append(f"{'- ' if not number else '  '}{key}: {_written(key, found)}")
    return "\n".join(lines)


def _written(key: str, found: Any) -> str:
    if isinstance(found, dict):
        return "{" + ", ".join(f"{name}: {text}" for name, text in found.items()) + "}"
    return json.dumps(found, ensure_ascii=False) if key == "claim" else str(found)
