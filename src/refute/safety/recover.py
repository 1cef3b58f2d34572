"""Mends what a dead runner left broken, from the rollback journal alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from refute.core.arming import Injector
from refute.core.errors import EXIT_HELD, EXIT_UNPROVEN_ROLLBACK, RefuteError
from refute.core.lease import MAX_TTL_S
from refute.safety.journal import Entry, Journal, State
from refute.safety.process import ProcessIdentity, is_running

Ending = Literal["recovered", "running", "unproven"]


@dataclass(frozen=True, slots=True)
class Recovered:
    """What became of one live handle.

    Attributes:
        handle: its id.
        injector: name of the injector.
        experiment: id of the experiment.
        target: name of the component.
        was: state before.
        ending: `recovered` (provably gone), `running` (its runner lives and looks after it) or `unproven` (something may still
            be broken).
        reason: why, in words.
        next: what to do where it is not recovered.
    """

    handle: str
    injector: str
    experiment: str
    target: str
    was: State
    ending: Ending
    reason: str
    next: str = ""


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a recovery found and did.

    Attributes:
        handles: all that were live, in the order in which they were dealt with.
        damaged: journal files that cannot be read.
    """

    handles: tuple[Recovered, ...]
    damaged: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """Return 5 where something may still be broken, else 0."""
        unproven = self.damaged or any(one.ending == "unproven" for one in self.handles)
        return EXIT_UNPROVEN_ROLLBACK if unproven else EXIT_HELD

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return asdict(self) | {"exit_code": self.exit_code}


def nobody_answers(_entry: Entry) -> bool:
    """Say that a living process could not be asked whether its lease has ended."""
    return False


def recover(
    journal: Journal,
    injectors: Mapping[str, Injector],
    *,
    force: bool = False,
    ask: Callable[[Entry], bool] = nobody_answers,
    running: Callable[[ProcessIdentity], bool] = is_running,
) -> Recovery:
    """Roll back every live handle whose runner is gone, the youngest first, and prove it. Doing so again changes nothing.

    Args:
        journal: of this machine.
        injectors: by name, for handles that are rolled back from the journal.
        force: also those whose runner still lives.
        ask: whether the living holder of an expiring fault says that its lease has ended.
        running: whether a process still runs; none of an earlier boot does.
    """
    ended = []
    for entry in reversed(journal.live()):
        if running(entry.runner) and not force:
            ended.append(_ended(entry, "running", f"its runner, process {entry.runner.pid}, still runs", "refute abort"))
        elif entry.handle.rollback == "expiring":
            ended.append(_expired(journal, entry, ask, running))
        else:
            ended.append(_rolled_back(journal, entry, injectors))
    damaged = tuple(str(path) for path in journal.damaged())
    journal.prune()
    return Recovery(tuple(ended), damaged)


def _expired(journal: Journal, entry: Entry, ask: Callable[[Entry], bool], running: Callable[[ProcessIdentity], bool]) -> Recovered:
    """Prove that an expiring fault is gone: with the processes that it lived in, or by their word."""
    left = [holder.pid for holder in entry.holders if running(holder)]
    if left and not ask(entry):
        reason = f"the fault lives in process {left[0]}, which still runs; without its runner the lease ends within {MAX_TTL_S:g} s"
        return _ended(entry, "unproven", reason, f"refute recover again once process {left[0]} has ended: kill {left[0]}")
    return _noted(journal, entry, "its process says that the lease has ended" if left else "the processes that it lived in are gone")


def _rolled_back(journal: Journal, entry: Entry, injectors: Mapping[str, Injector]) -> Recovered:
    """Undo a journalled fault from its handle."""
    injector = injectors.get(entry.handle.injector)
    if injector is None:
        reason = f"the injector {entry.handle.injector!r} is not installed here"
        return _ended(entry, "unproven", reason, f"install what provides {entry.handle.injector!r}, then: refute recover")
    try:
        injector.rollback(entry.handle)
        proven = injector.verify(entry.handle)
    except Exception as error:  # noqa: BLE001  # one handle that resists must not keep the others broken
        return _ended(entry, "unproven", f"the rollback failed: {type(error).__name__}: {error}", "mend the cause, then: refute recover")
    if not proven:
        return _ended(entry, "unproven", "the rollback was called, but the fault is still seen", "refute recover, or remove it by hand")
    return _noted(journal, entry, "rolled back from the journal, and seen to be gone")


def _noted(journal: Journal, entry: Entry, reason: str) -> Recovered:
    try:
        journal.advance(entry.handle, "rolled_back")
        journal.advance(entry.handle, "verified")
    except RefuteError as error:
        if error.problems[0].code == "JOURNAL-ORDER":
            return _ended(entry, "recovered", "another recovery was quicker")
        return _ended(entry, "unproven", f"{reason}; but the journal cannot note it: {error.problems[0].what}", "refute recover")
    return _ended(entry, "recovered", reason)


def _ended(entry: Entry, ending: Ending, reason: str, then: str = "") -> Recovered:
    handle = entry.handle
    return Recovered(handle.id, handle.injector, entry.experiment, target_of(entry), entry.state, ending, reason, then)


def target_of(entry: Entry) -> str:
    """Return the name of the component that an entry's fault was aimed at, "" where its injector does not keep it."""
    component = entry.handle.data.get("arming", {}).get("component", {})
    return str(component.get("name", ""))
