"""What `run`, `plan`, `rerun` and `demo` share: opening a campaign and showing it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from refute.campaign import Campaign
from refute.core.errors import refuse
from refute.insight.terminal import Display, display
from refute.intent import load
from refute.ledger import Ledger
from refute.safety.journal import Journal

FOLDER = ".refute"


@contextmanager
def campaign(path: Path, *, as_json: bool, environment: str, seed: int | None, imports: bool = False) -> Iterator[tuple[Campaign, Display]]:
    """Open everything that a campaign needs, refusing before anything is injected where something is missing.

    Args:
        path: the intent file.
        as_json: show JSON Lines.
        environment: name of an environment of the intent, or "".
        seed: of the first experiment; None for one that this ledger has not seen, so that new units are drawn.
        imports: whether the Python references of the intent are tried first, in a child process.

    Yields:
        The campaign and what shows its events.

    Raises:
        RefuteError: the intent is not valid, or ledger or journal cannot be written.
    """
    intent = load(path, resolve=imports)
    if environment and environment not in intent.environments:
        known = ", ".join(intent.environments) or "none is stated"
        raise refuse("ENVIRONMENT-UNKNOWN", "the intent has no such environment", seen=environment, allowed=known)
    if environment and (tightened := intent.environments[environment].blast_radius) is not None:
        intent = replace(intent, blast_radius=tightened)
    shown = display("json" if as_json else "auto", sys.stdout)
    with Ledger.open(intent.folder / FOLDER / "ledger.db") as ledger:
        try:
            yield Campaign(intent, ledger, Journal(), shown.see, environment, _unseen(ledger) if seed is None else seed), shown
        finally:
            shown.close()


def _unseen(ledger: Ledger) -> int:
    return 1 + max((kept.record["seed"] for kept in ledger.events(kinds=["experiment"])), default=0)
