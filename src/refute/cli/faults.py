"""`refute faults`: the catalogue."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection
from typing import Any

import click

from refute.core.system import COMPONENT_KINDS
from refute.faults.catalogue import catalogue, find
from refute.faults.spec import Fault, Seam, seams

_COLUMNS = ("fault", "what happens", "kinds", "hazard", "magnitude")


@click.group(invoke_without_command=True)
@click.option("--kind", type=click.Choice(COMPONENT_KINDS), default=None, help="Only faults of this kind of component.")
@click.option("--family", default="", metavar="NAME", help="Only faults of this family (the part before the dot).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def faults(context: click.Context, kind: str | None, family: str, as_json: bool) -> None:
    """List the faults that can be injected, or show one of them."""
    if context.invoked_subcommand is not None:
        return
    chosen = [fault for fault in catalogue().values() if kind in {None, *fault.kinds} and family in {"", fault.family}]
    if as_json:
        click.echo(json.dumps({"faults": [_described(fault) for fault in chosen]}, ensure_ascii=False))
    elif sys.stdout.isatty():
        _print_table(chosen)
    else:
        for fault in chosen:
            click.echo("\t".join(_cells(fault)))


@faults.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(name: str, as_json: bool) -> None:
    """Show one fault: exactly what it does, what proves that it landed, and where it has been seen."""
    fault = find(name)
    if as_json:
        click.echo(json.dumps(_described(fault), ensure_ascii=False))
        return
    click.echo(f"{fault.name}: {fault.summary}")
    told = (
        ("applies to", ", ".join(sorted(fault.kinds))),
        ("hazard", fault.hazard),
        ("magnitude", _magnitude(fault) and f"{_magnitude(fault)}: {fault.magnitude.meaning}" if fault.magnitude else ""),
        ("typical share", "" if fault.whole else f"{fault.typical_share:.0%}"),
        ("effect", fault.effect),
        ("landed when", fault.landing),
        ("undone by", fault.undone_by),
        ("belief it tests", fault.belief),
        ("injected into", ", ".join(_SEAMS[seam] for seam in sorted(seams(fault)))),
        ("seen in", fault.source),
    )
    for label, text in told:
        if text:
            click.echo(f"  {label}: {text}")


_SEAMS: dict[Seam, str] = {
    "exchange": "HTTP exchanges",
    "python": "Python functions",
    "process": "the component's process, as a whole: every unit sees it",
    "port": "the component's TCP port, as a whole: every unit sees it",
    "directory": "the file system of the component's directory, as a whole: every unit sees it",
}


def _described(fault: Fault) -> dict[str, Any]:
    scale = fault.magnitude
    magnitude = scale and {name: getattr(scale, name) for name in ("unit", "low", "high", "typical", "meaning", "log")}
    plain = ("name", "family", "summary", "hazard", "effect", "landing", "undone_by", "belief", "source", "typical_share")
    lists = {"kinds": sorted(fault.kinds), "seams": sorted(seams(fault))}
    return {name: getattr(fault, name) for name in plain} | lists | {"magnitude": magnitude}


def _cells(fault: Fault) -> tuple[str, ...]:
    return fault.name, fault.summary, ", ".join(sorted(fault.kinds)), fault.hazard, _magnitude(fault) or "-"


def _magnitude(fault: Fault) -> str:
    if (scale := fault.magnitude) is None:
        return ""
    unit = "" if scale.unit == "1" else f" {scale.unit}"
    return f"{scale.low:g} to {scale.high:g}{unit}, typically {scale.typical:g}{unit}"


def _print_table(chosen: Collection[Fault]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*_COLUMNS)
    for fault in chosen:
        table.add_row(*(Text(cell) for cell in _cells(fault)))
    Console().print(table)
