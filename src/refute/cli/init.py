"""`refute init`: a first intent file, drafted from the project's sources."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from refute.cli._trainings import NEEDS, put
from refute.core.errors import refuse
from refute.intent.draft import draft
from refute.intent.survey import survey


@click.command()
@click.argument("file", type=click.Path(path_type=Path), default=Path("refute.yaml"))
@click.option("--traces", multiple=True, metavar="PATTERN", help="OTLP traces of the system, relative to FILE; several are fine.")
@click.option(
    "--training", "example", type=click.Choice(sorted(NEEDS)),
    help="Put an example of a training beside FILE instead, with its script and real data.",
)  # fmt: skip
def init(file: Path, traces: Sequence[str], example: str | None) -> None:
    """Draft an intent file beside your code.

    Looks for clients of models, functions that answer, functions that judge answers, and cases, without importing or running anything.
    Never overwrites: FILE must not exist.
    """
    folder = file.parent.resolve()
    if not folder.is_dir():
        raise refuse("FILE-MISSING", "the folder does not exist", seen=str(file.parent), allowed="a folder of your project")
    if example is not None:
        click.echo(f"{put(example, file)}\nNext: refute check {file}")
        return
    text = draft(folder.name, survey(folder), traces)
    try:
        with file.open("x", encoding="utf-8") as new:
            new.write(text)
    except FileExistsError:
        raise refuse("FILE-EXISTS", "the file exists, and stays as it is", seen=str(file), next=f"refute check {file}") from None
    except OSError as error:
        raise refuse("FILE-UNWRITABLE", "the file cannot be written", seen=f"{file}: {error.strerror}") from None
    click.echo(f"{text}\nWritten to {file}. Next: refute check {file}")
