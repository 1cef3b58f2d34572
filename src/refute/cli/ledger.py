"""`refute ledger`: verify, export, upgrade."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from refute.core.errors import EXIT_USAGE, refuse
from refute.ledger import DEFAULT_PATH, Ledger
from refute.ledger.export import as_json_lines, write_parquet

_file = click.option("--file", "path", type=click.Path(path_type=Path), default=DEFAULT_PATH, show_default=True, help="The ledger's file.")
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group()
def ledger() -> None:
    """Verify, export or upgrade the ledger: the append-only record of what was believed, forecast, tested and learned."""


@ledger.command()
@_file
@click.option("--head", default="", metavar="DIGEST", help="A digest noted earlier; it must still be in the chain.")
@_json
def verify(path: Path, head: str, as_json: bool) -> None:
    """Check that no record was changed, removed or slipped in. Exits 2 where one was."""
    with Ledger.open(path, create=False) as opened:
        report = opened.verify(head)
    if as_json:
        click.echo(json.dumps(report.to_json()))
    else:
        click.echo(f"{path}: {report.events} records, head {report.head}")
        for row, what in report.problems:
            click.echo(f"  {f'record {row}' if row else 'file'}: {what}")
        click.echo("the chain is whole" if report.ok else "the ledger is not what was written; restore it from a copy")
    sys.exit(0 if report.ok else EXIT_USAGE)


@ledger.command()
@_file
@click.option("--format", "form", type=click.Choice(["jsonl", "parquet"]), default="jsonl", show_default=True)
@click.option("--output", type=click.Path(path_type=Path), default=None, help="File to write; standard output where left out (jsonl).")
@click.option("--after", type=click.IntRange(0), default=0, help="Only records after this one.")
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help="Only events of this kind; may be given several times.")
@_json
def export(path: Path, form: str, output: Path | None, after: int, kinds: tuple[str, ...], as_json: bool) -> None:
    """Write the records for other tools, each with its place in the chain."""
    if form == "parquet" and output is None:
        raise refuse("LEDGER-OUTPUT", "Parquet is written to a file", next="refute ledger export --format parquet --output ledger.parquet")
    with Ledger.open(path, create=False) as opened:
        if output is None:
            for line in as_json_lines(opened, after, kinds):
                click.echo(line)
            return
        try:
            count = write_parquet(opened, output, after, kinds) if form == "parquet" else _write_lines(opened, output, after, kinds)
        except OSError as error:
            raise refuse(
                "LEDGER-OUTPUT", "the export could not be written", where=str(output), seen=error.strerror or str(error)
            ) from error
    click.echo(json.dumps({"records": count, "output": str(output)}) if as_json else f"{count} records written to {output}")


@ledger.command()
@_file
@_json
def upgrade(path: Path, as_json: bool) -> None:
    """Bring an older ledger to this version, and build its derived tables again; no record is changed."""
    changed = Ledger.upgrade(path)
    click.echo(json.dumps({"upgraded": changed}) if as_json else f"{path}: {'upgraded' if changed else 'is of this version already'}")


def _write_lines(opened: Ledger, output: Path, after: int, kinds: tuple[str, ...]) -> int:
    count = 0
    with output.open("w", encoding="utf-8") as file:
        for line in as_json_lines(opened, after, kinds):
            file.write(line + "\n")
            count += 1
    return count
