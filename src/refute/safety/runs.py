"""Which runs are live on this machine: one a system at a time, and any number of programs that are tried."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from refute.core.errors import RefuteError, refuse
from refute.core.process import ProcessIdentity, is_running, this_process
from refute.safety.state import explained, make_directory, state_directory


@dataclass(frozen=True, slots=True)
class LiveRun:
    """A run under way.

    Attributes:
        system: name of the system under test.
        experiment: id of the experiment.
        process: the runner.
        since: seconds since the epoch.
    """

    system: str
    experiment: str
    process: ProcessIdentity
    since: float


@contextmanager
def registered(system: str, experiment: str, state: Path | None = None) -> Iterator[LiveRun]:
    """Hold a system for one run; the hold ends with the process, however it ends.

    Args:
        system: name of the system under test.
        experiment: id of the experiment.
        state: the state directory.

    Raises:
        RefuteError: another run on this system is live (`RUN-CONCURRENT`), or the state directory cannot be written (`JOURNAL-…`).
    """
    path = _directory(state) / f"{sha256(system.encode()).hexdigest()[:16]}.lock"
    with _held(path, LiveRun(system, experiment, this_process(), time.time())) as run:
        yield run


@contextmanager
def accompanied(program: str, state: Path | None = None) -> Iterator[LiveRun]:
    """Note that a program runs with a fault in it, so that an abort finds it; any number may at once.

    Args:
        program: what it is called.
        state: the state directory.

    Raises:
        RefuteError: the state directory cannot be written (`JOURNAL-…`).
    """
    path = _directory(state) / f"try-{os.getpid()}.lock"
    with _held(path, LiveRun(program, "try", this_process(), time.time())) as run:
        try:
            yield run
        finally:
            path.unlink(missing_ok=True)


@contextmanager
def _held(path: Path, run: LiveRun) -> Iterator[LiveRun]:
    make_directory(path.parent)
    with explained(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise _concurrent(run.system, path) from None
            _write(descriptor, run)
        except BaseException:
            os.close(descriptor)
            raise
    try:
        yield run
    finally:
        os.ftruncate(descriptor, 0)
        os.close(descriptor)


def live_runs(state: Path | None = None) -> list[LiveRun]:
    """Return the runs whose process still runs, oldest first."""
    directory = _directory(state)
    with explained(directory):
        files = sorted(directory.glob("*.lock")) if directory.is_dir() else []
    found = [run for path in files if (run := _read(path)) is not None and is_running(run.process)]
    return sorted(found, key=lambda run: run.since)


def _directory(state: Path | None) -> Path:
    return (state if state is not None else state_directory()) / "runs"


def _write(descriptor: int, run: LiveRun) -> None:
    line: dict[str, Any] = {"system": run.system, "experiment": run.experiment, "process": run.process.to_json(), "since": run.since}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(line).encode(), 0)


def _read(path: Path) -> LiveRun | None:
    try:
        line = json.loads(path.read_bytes())
        return LiveRun(line["system"], line["experiment"], ProcessIdentity.from_json(line["process"]), line["since"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _concurrent(system: str, path: Path) -> RefuteError:
    other = _read(path)
    seen = (
        f"experiment {other.experiment or '(no name)'}, process {other.process.pid}"
        if other is not None
        else "a run that is just starting or ending"
    )
    what = f"another run on {system!r} is live: two at once would each see the other's faults"
    return refuse("RUN-CONCURRENT", what, seen=seen, next="wait for it, or stop it: refute abort")
