"""The kill switch: a file that every run watches, SIGTERM to the runners themselves, and a word to the guardians, here and elsewhere."""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from refute.core.process import terminate
from refute.safety._post import Post
from refute.safety.journal import Journal
from refute.safety.recover import Recovered, removed_there, struck_there
from refute.safety.runs import LiveRun, live_runs
from refute.safety.state import explained, make_directory, state_directory
from refute.safety.summon import ask_now

Marker = tuple[int, int] | None
"""What the abort file looked like; only equality counts, so that no clock matters."""


@dataclass(frozen=True, slots=True)
class Abort:
    """What an abort reached.

    Attributes:
        told: runs that were sent SIGTERM.
        missed: live runs that could not be told; they see the file.
    """

    told: tuple[LiveRun, ...]
    missed: tuple[LiveRun, ...]


def abort_marker(state: Path | None = None) -> Marker:
    """Return what the abort file looks like now; a run takes this down when it starts."""
    try:
        found = _path(state).stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def abort_requested(since: Marker, state: Path | None = None) -> bool:
    """Say whether an abort was asked for after a marker was taken; a state directory that cannot be read counts as yes.

    Args:
        since: from `abort_marker`, when the run started.
        state: the state directory.
    """
    try:
        marker = abort_marker(state)
    except OSError:
        return True
    return marker is not None and marker != since


def request_abort(state: Path | None = None) -> Abort:
    """Stop every live run of this user on this machine.

    The file is written first, so that a run that starts meanwhile sees it; where it cannot be, the runs are told all the same.

    Raises:
        RefuteError: the file could not be written (`JOURNAL-…`); runs were told nevertheless.
    """
    path = _path(state)
    try:
        make_directory(path.parent)
        with explained(path):
            fresh = path.with_name(f"abort.{os.getpid()}.{time.monotonic_ns()}")
            fresh.write_text(f"asked for at {time.time():.3f} by process {os.getpid()}\n")
            fresh.replace(path)
    finally:
        runs = live_runs(state)
        told = tuple(run for run in runs if run.process.pid != os.getpid() and terminate(run.process))
        ask_now(Post((state if state is not None else state_directory()) / "guardian"), "abort")  # for runs that cannot hear
    return Abort(told, tuple(run for run in runs if run not in told))


def remove_elsewhere(runs: Collection[LiveRun], journal: Journal) -> tuple[Recovered, ...]:
    """Have the guardians of other hosts remove what runs that cannot hear have broken there, all at once; their leases end then.

    Args:
        runs: that were told, and still have faults.
        journal: of this host, which says whom to ask.

    Returns:
        What became of each fault; a guardian that cannot be asked makes it `unproven`: its lease ends there by itself.
    """
    runners = {run.process for run in runs}
    entries = [entry for entry in journal.live() if struck_there(entry) and entry.runner in runners]
    with ThreadPoolExecutor(max(1, len(entries))) as pool:
        return tuple(pool.map(partial(removed_there, journal), entries))


def _path(state: Path | None) -> Path:
    return (state if state is not None else state_directory()) / "abort"
