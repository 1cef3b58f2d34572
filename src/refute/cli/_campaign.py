"""What `run`, `plan`, `rerun` and `demo` share: opening a campaign and showing it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import click

from refute.campaign import Campaign
from refute.core.errors import refuse
from refute.core.events import Event
from refute.core.intent import Intent
from refute.insight.notify import notifying
from refute.insight.terminal import Display, display
from refute.intent import load
from refute.ledger import Ledger
from refute.safety.journal import Journal

FOLDER = ".refute"


risk_price_option = click.option(
    "--risk-price",
    "--lambda",
    "risk_price",
    type=click.FloatRange(0),
    default=None,
    help="λ of the score: what spending the whole error budget costs; 10 where not stated.",
)
by_option = click.option("--by", default="", metavar="PRINCIPAL", help="You, as an environment's `signers` file names you.")


@contextmanager
def campaign(
    path: Path, *, as_json: bool, environment: str, seed: int | None, imports: bool = False, author: str = "", notify: bool = False
) -> Iterator[tuple[Campaign, Display]]:
    """Open everything that a campaign needs, refusing before anything is injected where something is missing.

    Args:
        path: the intent file.
        as_json: show JSON Lines.
        environment: name of an environment of the intent, or "".
        seed: of the first experiment; None for one that this ledger has not seen, so that new units are drawn.
        imports: whether the Python references of the intent are tried first, in a child process.
        author: who starts it, as the list of signers names them.
        notify: whether the people whom the intent names are told.

    Yields:
        The campaign and what shows its events.

    Raises:
        RefuteError: the intent is not valid, or ledger or journal cannot be written.
    """
    intent = tightened(load(path, resolve=imports), environment)
    shown = display("json" if as_json else "auto", sys.stdout)
    told = notifying(intent, environment, _not_told) if notify else nullcontext(_nobody)
    with Ledger.open(intent.folder / FOLDER / "ledger.db") as ledger, told as tell:

        def see(event: Event) -> None:
            shown.see(event)
            tell(event)

        try:
            yield Campaign(intent, ledger, Journal(), see, environment, _unseen(ledger) if seed is None else seed, author=author), shown
        finally:
            shown.close()


def tightened(intent: Intent, environment: str) -> Intent:
    """Return an intent with what an environment tightens.

    Args:
        intent: validated.
        environment: name of one of its environments, or "" for none.

    Raises:
        RefuteError: it has no such environment (`ENVIRONMENT-UNKNOWN`).
    """
    if environment and environment not in intent.environments:
        known = ", ".join(intent.environments) or "none is stated"
        raise refuse("ENVIRONMENT-UNKNOWN", "the intent has no such environment", seen=environment, allowed=known)
    if not environment:
        return intent
    about = intent.environments[environment]
    return replace(
        intent,
        blast_radius=intent.blast_radius if about.blast_radius is None else about.blast_radius,
        stop_when=intent.stop_when if about.stop_when is None else about.stop_when,
    )


def _nobody(_event: Event) -> None:
    """Tell nobody."""


def _not_told(why: str) -> None:
    click.echo(f"somebody could not be told: {why}", err=True)


def _unseen(ledger: Ledger) -> int:
    return 1 + max((kept.record["seed"] for kept in ledger.events(kinds=["experiment"])), default=0)
