"""What verbs that read an intent share: the argument, and how problems are told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from refute.core.errors import RefuteError

DEFAULT_FILE = "refute.yaml"


def intent_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument FILE, `refute.yaml` by default, as the parameter `file`."""
    return click.argument("file", default=DEFAULT_FILE, type=click.Path(path_type=Path))(command)


def tell_problems(error: RefuteError, file: Path, *, as_json: bool) -> None:
    """Print everything that is wrong with an intent: JSON on standard output, or lines on standard error.

    Args:
        error: the problems.
        file: the intent file.
        as_json: whether `--json` was given.
    """
    if as_json:
        told = {"valid": False, "file": str(file), "problems": [problem.to_json() for problem in error.problems]}
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    for problem in error.problems:
        click.echo("\n".join(problem.lines()), err=True)
    number = len(error.problems)
    click.echo(f"{number} problem{'s' if number > 1 else ''} in {file}; nothing was run.", err=True)
