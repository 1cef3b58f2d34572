"""`refute faults`: the catalogue."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection
from difflib import get_close_matches
from typing import Any

import click

from refute.core.errors import refuse
from refute.core.system import COMPONENT_KINDS, HAZARDS
from refute.faults.catalogue import catalogue, find
from refute.faults.spec import Fault, Seam, seams
from refute.wire.codec import PROTOCOLS

_COLUMNS = ("fault", "what happens", "kinds", "hazard", "magnitude")


@click.group(invoke_without_command=True)
@click.option("--kind", type=click.Choice(COMPONENT_KINDS), default=None, help="Only faults of this kind of component.")
@click.option("--family", default="", metavar="NAME", help="Only faults of this family (the part before the dot).")
@click.option("--protocol", type=click.Choice(PROTOCOLS), default=None, help="Only faults that do something over this protocol.")
@click.option("--hazard", type=click.Choice(HAZARDS), default=None, help="Only faults of this hazard.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def faults(context: click.Context, kind: str | None, family: str, protocol: str | None, hazard: str | None, as_json: bool) -> None:
    """List the faults that can be injected, or show one of them."""
    if context.invoked_subcommand is not None:
        return
    families = sorted({fault.family for fault in catalogue().values()})
    if family and family not in families:
        close = ", ".join(get_close_matches(family, families, n=1))
        raise refuse("FAMILY-UNKNOWN", "no fault has this family", seen=family, allowed=", ".join(families), suggestion=close)
    chosen = [
        fault
        for fault in catalogue().values()
        if kind in {None, *fault.kinds} and family in {"", fault.family} and hazard in {None, fault.hazard} and _spoken(fault, protocol)
    ]
    if as_json:
        click.echo(json.dumps({"faults": [_described(fault) for fault in chosen]}, ensure_ascii=False))
    elif sys.stdout.isatty():
        _print_table(chosen)
    else:
        for fault in chosen:
            click.echo("\t".join(_cells(fault)))


@faults.command()
@click.argument("name")
@click.option(
    "--protocol", type=click.Choice(PROTOCOLS), default=None, help="Protocol of the bytes shown; the first that fits if not given."
)
@click.option("--stream", is_flag=True, help="Show the bytes of a streamed reply.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(name: str, protocol: str | None, stream: bool, as_json: bool) -> None:
    """Show one fault: what it does, what proves that it landed, a belief to start from, and the bytes that go over the wire."""
    from refute.faults.belief import example_belief

    fault = find(name)
    bytes_shown = _bytes(fault, protocol, stream=stream)
    if as_json:
        click.echo(json.dumps(_described(fault) | {"belief_example": example_belief(fault), "wire": bytes_shown}, ensure_ascii=False))
        return
    click.echo(f"{fault.name}: {fault.summary}")
    for label, text in _told(fault):
        if text:
            click.echo(f"  {label}: {text}")
    click.echo(f"\nA belief to start from:\n\n{example_belief(fault)}")
    click.echo(f"\n{bytes_shown}")


def _told(fault: Fault) -> tuple[tuple[str, str], ...]:
    from refute.faults.preview import protocols_of

    return (
        ("applies to", ", ".join(sorted(fault.kinds))),
        ("hazard", fault.hazard),
        ("magnitude", _magnitude(fault) and f"{_magnitude(fault)}: {fault.magnitude.meaning}" if fault.magnitude else ""),
        ("typical share", "" if fault.whole else f"{fault.typical_share:.0%} of {_DRAWN[fault.typical_draw]}"),
        ("effect", fault.effect),
        ("landed when", fault.landing),
        ("undone by", fault.undone_by),
        ("belief it tests", fault.belief),
        ("injected into", ", ".join(_SEAMS[seam] for seam in sorted(seams(fault)))),
        ("over", ", ".join(protocols_of(fault))),
        ("seen in", fault.source),
    )


_SEAMS: dict[Seam, str] = {
    "exchange": "HTTP exchanges",
    "python": "Python functions",
    "connection": "TCP connections through `refute proxy`: every unit sees it",
    "process": "the component's process, as a whole: every unit sees it",
    "port": "the component's TCP port, as a whole: every unit sees it",
    "directory": "the file system of the component's directory, as a whole: every unit sees it",
    "training": "training runs",
}
_DRAWN = {"call": "calls", "attempt": "attempts", "burst": "bursts", "conversation": "conversations", "user": "users"}


def _bytes(fault: Fault, protocol: str | None, *, stream: bool) -> str:
    """Return what goes over the wire, made by the codec from a sample exchange; or why there is nothing to show."""
    from refute.faults.preview import preview, shown

    if "exchange" not in seams(fault):
        return (
            f"Nothing is exchanged that could be shown: it is injected into {' or '.join(_SEAMS[seam] for seam in sorted(seams(fault)))}."
        )
    for named in (protocol,) if protocol else PROTOCOLS:
        for streamed in (True,) if stream else (False, True):
            if (struck := preview(fault, named, stream=streamed)) is not None:
                return f"Over {named}{', streamed' if streamed else ''} ({struck.effect}):\n\n{shown(struck)}"
    return f"It does nothing {f'over {protocol}' if protocol else 'over any protocol known here'}{' in a stream' if stream else ''}."


def _spoken(fault: Fault, protocol: str | None) -> bool:
    if protocol is None:
        return True
    from refute.faults.preview import protocols_of

    return protocol in protocols_of(fault)


def _described(fault: Fault) -> dict[str, Any]:
    from refute.faults.preview import protocols_of

    scale = fault.magnitude
    magnitude = scale and {name: getattr(scale, name) for name in ("unit", "low", "high", "typical", "meaning", "log")}
    plain = ("name", "family", "summary", "hazard", "effect", "landing", "undone_by", "belief", "source", "typical_share", "typical_draw")
    lists = {"kinds": sorted(fault.kinds), "seams": sorted(seams(fault)), "protocols": list(protocols_of(fault))}
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
