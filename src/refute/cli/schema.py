"""`refute schema`: the published JSON Schemas."""

from __future__ import annotations

import json

import click


@click.command()
@click.argument("what", type=click.Choice(["intent", "outcome"]), default="intent")
def schema(what: str) -> None:
    """Print the JSON Schema of the intent file, or of the outcome record, for editors and other tools."""
    from refute.intent.schema import intent_schema, outcome_schema

    made = intent_schema() if what == "intent" else outcome_schema()
    click.echo(json.dumps(made, indent=2, ensure_ascii=False))
