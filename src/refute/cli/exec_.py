"""`refute exec`: starts somebody's own Python program such that runs can arm it, and is gone: the program takes its place."""

from __future__ import annotations

import os
import re
import signal
import sys
from itertools import takewhile
from pathlib import Path

import click

from refute.core.errors import refuse
from refute.injectors.boot import python_path
from refute.injectors.boot.stand import DOORS_VARIABLE, NAME_VARIABLE
from refute.safety.state import doors_directory

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,79}")


@click.command(name="exec", context_settings={"ignore_unknown_options": True})
@click.option("--name", default="", metavar="NAME", help="By which intent files know it: `via: exec NAME`. Default: what COMMAND runs.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_(name: str, command: tuple[str, ...]) -> None:
    """Run COMMAND, a Python program that need know nothing of Refute, such that runs can arm it.

    It stands idle and untouched until a run asks it to join: `refute exec --name shop -- uvicorn shop:app`.

    Every Python process in it can be asked, whatever it forks or starts. COMMAND takes the place of this process: signals, exit code and
    standard streams are its own.
    """
    environ = os.environ | {
        NAME_VARIABLE: _checked(name or _default(command)), DOORS_VARIABLE: str(doors_directory()), "PYTHONPATH": python_path(),
    }  # fmt: skip
    sys.stdout.flush()
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and a program would inherit that
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvpe(command[0], command, environ)  # noqa: S606 - it is what was asked for
    except OSError as error:
        raise refuse("PROGRAM-START", "the command could not be started", seen=f"{command[0]}: {error.strerror}") from None


def _default(command: tuple[str, ...]) -> str:
    """Return the name of what is run: the script or module where Python is named first, else the command."""
    ran = Path(command[0])
    if ran.name.startswith("python"):
        options = takewhile(lambda word: word != "-c", command[1:])
        ran = next((Path(word) for word in options if not word.startswith("-")), ran)
    return re.sub(r"[^A-Za-z0-9_-]", "-", ran.stem if ran.suffix == ".py" else ran.name)


def _checked(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise refuse(
            "EXEC-NAME", "the program has no name that an intent file could use", where="--name", seen=name or "none",
            allowed="letters, digits, _ and -, a letter first", next="refute exec --name NAME -- COMMAND",
        )  # fmt: skip
    return name
