"""The rollback journal: what is about to be broken is on disk before it is broken, and stays there until proven mended.

One file of JSON lines a handle. `intended` is flushed before a fault is applied and means that it may be; `applied` after that;
`rolled_back` once its rollback has been called; `verified` once it is proven to be gone.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from refute.core.arming import Handle
from refute.core.clock import lease_now_s
from refute.core.errors import RefuteError, refuse
from refute.core.process import ProcessIdentity, this_process
from refute.safety.state import explained, keep_to_ourselves, make_directory, state_directory, sync_directory, write_durably

State = Literal["intended", "applied", "rolled_back", "verified"]
STATES: tuple[State, ...] = get_args(State)

_NEXT: dict[State | None, tuple[State, ...]] = {
    None: ("intended",),
    "intended": ("applied", "rolled_back"),
    "applied": ("rolled_back",),
    "rolled_back": ("rolled_back", "verified"),
    "verified": (),
}
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_KEPT = 200


@dataclass(frozen=True, slots=True)
class Entry:
    """What the journal says of one handle.

    Attributes:
        handle: as prepared.
        state: the last one that is on disk.
        experiment: id of the experiment.
        runner: the process that runs it.
        holders: processes that the fault lives in, the runner where nothing else was said.
        since: when it was intended, seconds since the epoch.
    """

    handle: Handle
    state: State
    experiment: str
    runner: ProcessIdentity
    holders: tuple[ProcessIdentity, ...]
    since: float


class Journal:
    """The rollback journal of a machine.

    Args:
        directory: where its files lie; by default `journal` in the state directory.
        runner: the process that handles are written down for; by default this one.
        now: wall clock, injected by tests.
        monotonic: a clock that never jumps, injected by tests.
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        runner: ProcessIdentity | None = None,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = lease_now_s,
    ) -> None:
        """Touch nothing yet."""
        self.directory = directory if directory is not None else state_directory() / "journal"
        self._done = self.directory / "done"
        self._runner = runner if runner is not None else this_process()
        self._now = now
        self._monotonic = monotonic

    def advance(self, handle: Handle, state: State, *, experiment: str = "", holders: Sequence[ProcessIdentity] = ()) -> None:
        """Flush a handle's next state to disk.

        Args:
            handle: as prepared.
            state: the next state.
            experiment: id of the experiment, with `intended`.
            holders: processes that the fault will live in, with `intended`; by default the runner.

        Raises:
            RefuteError: it is not the next state (`JOURNAL-ORDER`), or it is not on disk (`JOURNAL-FULL`, `JOURNAL-PERMISSION`,
                `JOURNAL-IO`): with `intended`, nothing may be applied then; a rollback goes on regardless.
        """
        path = self._path(handle.id)
        keep_to_ourselves(self.directory)
        make_directory(self._done)
        with explained(path), _locked(path, create=state == "intended") as descriptor:
            lines, end = _read(descriptor)
            known = self._state(handle.id, lines)
            if state not in _NEXT[known]:
                raise _out_of_order(path, known, state)
            os.ftruncate(descriptor, end)
            first = {"handle": handle.to_json(), "experiment": experiment, "holders": [one.to_json() for one in holders]}
            write_durably(descriptor, self._line(state, first if state == "intended" else {}))
            if state == "intended":
                sync_directory(self.directory)
            if state == "verified":
                self._archive(path)

    def state(self, name: str) -> State | None:
        """Return the last state of a handle, None where there is no such handle, or it was finished long ago.

        Args:
            name: its id.
        """
        with explained(self.directory):
            return self._state(name, _lines_of(self._path(name)))

    def live(self) -> list[Entry]:
        """Return the handles that are not verified yet, oldest first; lines that were torn by a crash are left out.

        Raises:
            RefuteError: the journal cannot be read (`JOURNAL-PERMISSION`, `JOURNAL-IO`).
        """
        entries = [entry for path in self._files() if (entry := _entry(path)) is not None and entry.state != "verified"]
        return sorted(entries, key=lambda entry: (entry.since, entry.handle.id))

    def damaged(self) -> list[Path]:
        """Return files that make no sense though a step was written whole; only a person can tell what they were."""
        unclear = [path for path in self._files() if _entry(path) is None and _was_written(path)]
        return [path for path in unclear if _entry(path) is None and _was_written(path)]  # else it was just being written, or put away

    def prune(self) -> None:
        """Put finished files away, and drop those that hold nothing and the oldest finished ones."""
        for path in self._files():
            entry = _entry(path)
            if entry is not None and entry.state == "verified":
                self._archive(path)
            elif entry is None and not _was_written(path) and self._now() - _changed_s(path) > 60:
                path.unlink(missing_ok=True)
        finished = sorted(self._done.glob("*.jsonl"), key=_changed_s, reverse=True)
        for path in finished[_KEPT:]:
            path.unlink(missing_ok=True)

    def _line(self, state: State, more: dict[str, Any]) -> bytes:
        line = {"state": state, "wall": self._now(), "monotonic": self._monotonic(), "process": self._runner.to_json()} | more
        return json.dumps(line).encode() + b"\n"

    def _state(self, name: str, lines: list[dict[str, Any]]) -> State | None:
        if lines:
            state: State = lines[-1]["state"]
            return state
        return "verified" if (self._done / f"{name}.jsonl").exists() else None

    def _path(self, name: str) -> Path:
        if not _NAME.match(name):
            raise refuse("JOURNAL-NAME", "a handle's id is no file name", seen=name, allowed="letters, digits, - and _")
        return self.directory / f"{name}.jsonl"

    def _files(self) -> list[Path]:
        keep_to_ourselves(self.directory)
        with explained(self.directory):
            if not self.directory.is_dir():
                return []
            return sorted(path for path in self.directory.iterdir() if path.suffix == ".jsonl" and path.is_file())

    def _archive(self, path: Path) -> None:
        make_directory(self._done)
        with suppress(FileNotFoundError):  # another process, which prunes, was quicker
            path.replace(self._done / path.name)


@contextmanager
def _locked(path: Path, *, create: bool) -> Iterator[int]:
    """Open a file for appending with nobody else writing it; a file made for nothing is taken away again."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | (os.O_CREAT if create else 0), 0o600)
    except FileNotFoundError:
        done = (path.parent / "done" / path.name).exists()
        raise _out_of_order(path, "verified" if done else None, "") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    except BaseException:
        if os.fstat(descriptor).st_size == 0:
            path.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def _read(descriptor: int) -> tuple[list[dict[str, Any]], int]:
    """Return the whole lines of a file, and where the last of them ends."""
    data = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    return _parsed(data), data.rfind(b"\n") + 1


def _parsed(data: bytes) -> list[dict[str, Any]]:
    """Return the lines that are whole and make sense."""
    lines = []
    for text in data[: data.rfind(b"\n") + 1].splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and line.get("state") in STATES:
            lines.append(line)
    return lines


def _changed_s(path: Path) -> float:
    """Return when a file was changed, seconds since the epoch; the end of time where another process has just taken it away."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return math.inf


def _lines_of(path: Path) -> list[dict[str, Any]]:
    try:
        return _parsed(path.read_bytes())
    except FileNotFoundError:
        return []


def _was_written(path: Path) -> bool:
    """Say whether a whole line was ever written; one that was torn by a crash means that nothing was applied yet."""
    with explained(path):
        try:
            return b"\n" in path.read_bytes()
        except FileNotFoundError:
            return False


def _entry(path: Path) -> Entry | None:
    """Return what a file says; None where it makes no sense, whoever wrote it."""
    with explained(path):
        lines = _lines_of(path)
    first = next((line for line in lines if "handle" in line), None)
    if first is None:
        return None
    try:
        runner = ProcessIdentity.from_json(first["process"])
        holders = tuple(ProcessIdentity.from_json(one) for one in first["holders"]) or (runner,)
        entry = Entry(
            Handle.from_json(first["handle"]), lines[-1]["state"], str(first["experiment"]), runner, holders, float(first["wall"])
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return entry if entry.handle.id == path.stem else None


def _out_of_order(path: Path, known: State | None, wanted: str) -> RefuteError:
    allowed = " or ".join(_NEXT[known]) or "nothing: it is finished"
    return refuse(
        "JOURNAL-ORDER",
        f"the rollback journal cannot go to {wanted or 'this state'}",
        where=str(path),
        seen=known or "nothing yet",
        allowed=allowed,
    )
