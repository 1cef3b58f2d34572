"""`refute check`: is the intent valid, and can its design test its claims?"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import click

from refute.cli._intent import intent_argument, tell_problems
from refute.core.errors import Problem, RefuteError
from refute.core.intent import Belief, Intent
from refute.core.units import show_share
from refute.experiment.design import aim
from refute.faults.catalogue import catalogue
from refute.faults.spec import Fault
from refute.injectors.registry import choose
from refute.intent import load
from refute.intent.magnitudes import shown_magnitude

_COLUMNS = ("belief", "claim", "fault → target", "criterion", "confidence", "what hangs on it")


@click.command()
@intent_argument
@click.option("--imports/--no-imports", default=True, help="Import what Python references name, in a child process.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def check(context: click.Context, file: Path, imports: bool, as_json: bool) -> None:
    """Check an intent FILE: its shape, its names, and whether its design can test its claims.

    Every mistake is told at once, with its line. Nothing is run and nothing is written.
    """
    faults = catalogue()
    try:
        intent = load(file, resolve=imports, faults=faults)
    except RefuteError as error:
        tell_problems(error, file, as_json=as_json)
        context.exit(error.exit_code)
    if as_json:
        click.echo(json.dumps(_summary(intent, file, faults), ensure_ascii=False))
    elif _on_terminal():
        _print_table(intent, faults)
    else:
        for line in _lines(intent, faults):
            click.echo(line)


def _on_terminal() -> bool:
    return sys.stdout.isatty()


def _summary(intent: Intent, file: Path, faults: Mapping[str, Fault]) -> dict[str, object]:
    beliefs = [
        {
            "id": belief.id,
            "claim": belief.claim,
            "fault": belief.when.fault,
            "target": belief.when.target,
            "magnitude": belief.when.magnitude,
            "share": belief.when.share,
            "hazard": faults[belief.when.fault].hazard,
            "criterion": belief.then.text,
            "confidence": belief.confidence,
            **({} if belief.at_least is None else {"at_least": belief.at_least}),
            "decides": belief.decides,
            "if_wrong": str(belief.if_wrong),
            "owner": belief.owner,
            "where": belief.where,
            **_hosted(intent, belief, faults),
        }
        for belief in intent.beliefs.values()
    ]
    return {"valid": True, "file": str(file), "digest": intent.digest, "system": intent.system.name, "beliefs": beliefs}


def _cells(belief: Belief, faults: Mapping[str, Fault]) -> tuple[str, ...]:
    when = belief.when
    about = faults[when.fault].magnitude
    magnitude = when.magnitude if belief.at_least is None else belief.at_least
    strength = "" if about is None else f" {shown_magnitude(about.typical if magnitude is None else magnitude, about.unit)}"
    strength += " or less" if belief.at_least is not None else ""
    share = "" if when.share == 1 else f" at {show_share(when.share)}"
    hangs = f"{belief.decides or 'nothing stated'} (if wrong: {belief.if_wrong})"
    fault = f"{when.fault}{strength}{share} → {when.target}"
    return belief.id, belief.claim, fault, belief.then.text, show_share(belief.confidence), hangs


def _host(intent: Intent, belief: Belief, faults: Mapping[str, Fault]) -> str:
    """Say how this host would carry out a fault of a whole component, or what it lacks for it; "" for any other fault."""
    if not faults[belief.when.fault].whole:
        return ""
    problem = _missing(intent, belief)
    if problem is None:
        return f"{belief.when.fault} by {choose(aim(intent, belief, 0)).name}"
    return f"cannot [{problem.code}]: {problem.seen}; at {problem.where}; next: {problem.next}"


def _hosted(intent: Intent, belief: Belief, faults: Mapping[str, Fault]) -> dict[str, object]:
    """Return the same as JSON, with the problem by its parts where there is one."""
    host = _host(intent, belief, faults)
    problem = _missing(intent, belief) if host else None
    return ({"host": host} if host else {}) | ({"missing": problem.to_json()} if problem is not None else {})


def _missing(intent: Intent, belief: Belief) -> Problem | None:
    """Return what keeps this host from injecting a belief's fault, with where the belief stands and what would mend it."""
    from refute.injectors.host.abilities import lack_of

    try:
        choose(aim(intent, belief, 0))
    except RefuteError as error:
        next_ = lack_of(belief.when.fault).next or error.problems[0].next
        return replace(error.problems[0], where=belief.where, next=next_)
    return None


def _head(intent: Intent) -> str:
    system, number = intent.system, len(intent.beliefs)
    return (
        f"{system.name}: valid; {len(system.components)} components, {len(system.journeys)} journeys, {number} belief{'s' * (number != 1)}"
    )


def _lines(intent: Intent, faults: Mapping[str, Fault]) -> Iterator[str]:
    yield _head(intent)
    for belief in intent.beliefs.values():
        name, claim, fault, criterion, confidence, hangs = _cells(belief, faults)
        yield f"{name}: {claim}"
        yield f"  when {fault}, then {criterion}; confidence {confidence}"
        yield f"  decides: {hangs}"
        if host := _host(intent, belief, faults):
            yield f"  on this host: {host}"


def _print_table(intent: Intent, faults: Mapping[str, Fault]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*_COLUMNS, title=_head(intent), title_justify="left", show_lines=True)
    for belief in intent.beliefs.values():
        table.add_row(*(Text(cell) for cell in _cells(belief, faults)))
    Console().print(table)
    for belief in intent.beliefs.values():
        if host := _host(intent, belief, faults):
            click.echo(f"{belief.id} on this host: {host}")
