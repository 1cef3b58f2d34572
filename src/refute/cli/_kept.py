"""What verbs that look at a ledger and add people's own words to it share."""

from __future__ import annotations

import getpass
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from refute.core.errors import refuse
from refute.core.events import Event, EventKind
from refute.ledger import DEFAULT_PATH, Ledger

_LONGEST_NAME = 80

ledger_option = click.option(
    "--ledger", "path", type=click.Path(path_type=Path), default=DEFAULT_PATH, show_default=True, help="The ledger's file."
)


def by_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option --by, the user's own name by default, as the parameter `by`."""
    return click.option("--by", default="", metavar="NAME", help="Who says so; by default the name that you are logged in by.")(command)


def name_of(by: str) -> str:
    """Return who speaks.

    Args:
        by: as given, "" for the user who is logged in.

    Raises:
        RefuteError: it is no name (`BY-NAME`).
    """
    name = by.strip() or _logged_in()
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise refuse("BY-NAME", "nobody is named", where="--by", seen=by, allowed=f"one line of at most {_LONGEST_NAME} characters")
    return name


def keep(ledger: Ledger, kind: EventKind, **data: Any) -> str:
    """Append what somebody says, durably, and return the digest that locks it."""
    return ledger.append(Event(kind, data, time.time()), durable=True)


def _logged_in() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""
