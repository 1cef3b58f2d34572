"""Which runs are live on this machine: one a system at a time, and any number of programs that are tried."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from refute.core.errors import RefuteError, refuse
from refute.core.intent import System
from refute.core.process import ProcessIdentity, is_running, this_process
from refute.core.zone import addresses
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
def registered(system: str, experiment: str, state: Path | None = None, shared: Collection[str] = ()) -> Iterator[LiveRun]:
    """Hold a system for one run, and what it shares with others; the hold ends with the process, however it ends.

    Args:
        system: name of the system under test.
        experiment: id of the experiment.
        state: the state directory.
        shared: addresses of what the run's fault can harm (`harmed`), which runs on other systems may reach too.

    Raises:
        RefuteError: another run on this system is live (`RUN-CONCURRENT`), or one that harms what this one would (`RUN-SHARED`), or the
            state directory cannot be written (`JOURNAL-…`).
    """
    run = LiveRun(system, experiment, this_process(), time.time())
    with ExitStack() as stack:
        stack.enter_context(_held(_lock(state, system, ".lock"), run))
        for address in sorted(shared):  # in one order, so that of two runs at least one gets everything
            stack.enter_context(_held(_lock(state, address, ".shared"), run, address))
        yield run


def harmed(system: System, targets: Collection[str]) -> frozenset[str]:
    """Return the addresses of what faults can harm: their targets, and whatever calls these on the way from a user.

    Args:
        system: under test.
        targets: names of the components that are struck.
    """
    names = set(targets)
    while more := {name for name, one in system.components.items() if names & set(one.calls)} - names:
        names |= more
    return frozenset(address for name in names if name in system.components for address in addresses(system.components[name]))


def _lock(state: Path | None, name: str, suffix: str) -> Path:
    return _directory(state) / f"{sha256(name.encode()).hexdigest()[:16]}{suffix}"


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
def _held(path: Path, run: LiveRun, address: str = "") -> Iterator[LiveRun]:
    make_directory(path.parent)
    with explained(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise (_sharing(address, path) if address else _concurrent(run.system, path)) from None
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


def _sharing(address: str, path: Path) -> RefuteError:
    other = _read(path)
    where = f" on {other.system!r}" if other is not None else ""
    what = f"another live run{where} harms what this one would: {address}"
    return refuse("RUN-SHARED", what, seen=_seen(other), next="wait for it, or stop it: refute abort")


def _seen(other: LiveRun | None) -> str:
    if other is None:
        return "a run that is just starting or ending"
    return f"experiment {other.experiment or '(no name)'}, process {other.process.pid}"


def _concurrent(system: str, path: Path) -> RefuteError:
    seen = _seen(_read(path))
    what = f"another run on {system!r} is live: two at once would each see the other's faults"
    return refuse("RUN-CONCURRENT", what, seen=seen, next="wait for it, or stop it: refute abort")
