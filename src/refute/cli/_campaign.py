"""What `run`, `plan`, `rerun` and `demo` share: opening a campaign, showing it, and ending it on a signal."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from refute.campaign import Campaign
from refute.core.errors import RefuteError, refuse
from refute.core.events import Event
from refute.insight.terminal import Display, display
from refute.intent import load
from refute.ledger import Ledger
from refute.safety.journal import Journal

FOLDER = ".refute"


@contextmanager
def campaign(path: Path, *, as_json: bool, environment: str, seed: int | None) -> Iterator[tuple[Campaign, Display]]:
    """Open everything that a campaign needs, refusing before anything is injected where something is missing.

    Args:
        path: the intent file.
        as_json: show JSON Lines.
        environment: name of an environment of the intent, or "".
        seed: of the first experiment; None for one that this ledger has not seen, so that new units are drawn.

    Yields:
        The campaign and what shows its events.

    Raises:
        RefuteError: the intent is not valid, or ledger or journal cannot be written.
    """
    intent = load(path)
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


def until_signal(work: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Run work to its end; the first SIGINT or SIGTERM cancels it, so that everything is rolled back, later ones are ignored.

    Args:
        work: returns the exit code, and handles its cancellation.
    """

    async def watched() -> int:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(work())
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, _cancel_once(task))
        return await task

    return asyncio.run(watched())


def _cancel_once(task: asyncio.Future[int]) -> Callable[[], None]:
    asked = False

    def cancel() -> None:
        nonlocal asked
        if not asked:
            asked = True
            task.cancel()

    return cancel


def show_problems(error: RefuteError, see: Callable[[Event], None]) -> int:
    """Show an error as events and return its exit code."""
    for problem in error.problems:
        see(Event("problem", dict(problem.to_json())))
    return error.exit_code
