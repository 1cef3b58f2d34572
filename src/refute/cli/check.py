"""`refute check`: is the intent valid, and can its design test its claims?"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import click

from refute.campaign import standings
from refute.cli._campaign import FOLDER
from refute.cli._intent import intent_argument, tell_problems
from refute.core.arming import Arming
from refute.core.errors import Problem, RefuteError
from refute.core.intent import Belief, Intent, When
from refute.core.units import show_share
from refute.experiment.design import aim
from refute.faults.catalogue import catalogue
from refute.faults.spec import Fault
from refute.injectors.registry import choose, struck_elsewhere
from refute.intent import load
from refute.intent.magnitudes import shown_magnitude
from refute.ledger import Ledger
from refute.safety.far import mechanism

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
    stale = _stale(intent)
    if as_json:
        click.echo(json.dumps(_summary(intent, file, faults) | {"stale": stale}, ensure_ascii=False))
        return
    if _on_terminal():
        _print_table(intent, faults)
    else:
        for line in _lines(intent, faults):
            click.echo(line)
    for name, reasons in stale.items():
        click.echo(f"{name} is open again: {'; '.join(reasons)}")


def _stale(intent: Intent) -> dict[str, list[str]]:
    """Return why beliefs that were answered are open again, by id; nothing where no ledger is there, or it cannot be read."""
    path = intent.folder / FOLDER / "ledger.db"
    if not path.is_file():
        return {}
    with contextlib.suppress(RefuteError), Ledger.open(path, create=False) as ledger:
        now = standings(intent, (kept.record for kept in ledger.events(kinds=["learned"])), "")
        return {name: list(one.stale.reasons()) for name, one in now.items() if one.stale is not None}
    return {}


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
            **({"also": [_stated(part, faults) for part in belief.when.also]} if belief.when.also else {}),
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
    hangs = f"{belief.decides or 'nothing stated'} (if wrong: {belief.if_wrong})"
    fault = " and ".join(_shown(part, belief.at_least, faults) for part in belief.when.parts)
    return belief.id, belief.claim, fault, belief.then.text, show_share(belief.confidence), hangs


def _host_name(intent: Intent, belief: Belief) -> str:
    return intent.system.components[belief.when.target].place.host or "this host"


def _shown(when: When, at_least: float | None, faults: Mapping[str, Fault]) -> str:
    about = faults[when.fault].magnitude
    magnitude = when.magnitude if at_least is None else at_least
    strength = "" if about is None else f" {shown_magnitude(about.typical if magnitude is None else magnitude, about.unit)}"
    strength += " or less" if at_least is not None else ""
    share = "" if when.share == 1 else f" at {show_share(when.share)}"
    return f"{when.fault}{strength}{share} → {when.target}"


def _stated(when: When, faults: Mapping[str, Fault]) -> dict[str, object]:
    hazard = faults[when.fault].hazard
    return {"fault": when.fault, "target": when.target, "magnitude": when.magnitude, "share": when.share, "hazard": hazard}


def _host(intent: Intent, belief: Belief, faults: Mapping[str, Fault]) -> str:
    """Say how its host would carry out a fault of a whole component, or what it lacks for it; "" for any other fault."""
    if not faults[belief.when.fault].whole:
        return ""
    told = []
    for one in aim(intent, belief, 0):
        name, problem = _done_by(belief, one)
        told.append(
            f"{one.fault} by {name}"
            if problem is None
            else f"cannot [{problem.code}]: {problem.seen or problem.what}; at {problem.where}; next: {problem.next}"
        )
    return ", ".join(told)


def _hosted(intent: Intent, belief: Belief, faults: Mapping[str, Fault]) -> dict[str, object]:
    """Return the same as JSON, with the first problem by its parts where there is one."""
    if not (host := _host(intent, belief, faults)):
        return {}
    problems = (problem for one in aim(intent, belief, 0) if (problem := _done_by(belief, one)[1]) is not None)
    missing = next(problems, None)
    return {"host": host} | ({"missing": missing.to_json()} if missing is not None else {})


def _done_by(belief: Belief, arming: Arming) -> tuple[str, Problem | None]:
    """Return the injector that would carry out a fault on its host; or what keeps it, where that stands, and what would mend it."""
    try:
        return mechanism(arming) if struck_elsewhere(arming) else choose(arming).name, None
    except RefuteError as error:
        problem = error.problems[0]
        there = f"on {arming.component.place.host}: " if problem.code == "INJECTOR-NONE" and struck_elsewhere(arming) else ""
        return "", replace(problem, where=belief.where, next=f"{there}{problem.next}")


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
            yield f"  on {_host_name(intent, belief)}: {host}"


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
            click.echo(f"{belief.id} on {_host_name(intent, belief)}: {host}")
