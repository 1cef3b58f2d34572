"""Mends what a dead runner left broken, from the rollback journal alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from refute.core.arming import Handle, Injector
from refute.core.errors import EXIT_HELD, EXIT_UNPROVEN_ROLLBACK, RefuteError
from refute.core.lease import MAX_TTL_S
from refute.core.process import ProcessIdentity, is_running
from refute.injectors.door import armed_behind, is_disarmed
from refute.safety.far import GONE, ask_there
from refute.safety.journal import Entry, Journal, State
from refute.safety.state import doors_directory

Ending = Literal["recovered", "running", "unproven"]
_SETTLE_S = 1.0
_TICK_S = 0.01


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

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Recovery:
        """Return the recovery that `to_json` wrote."""
        return cls(tuple(Recovered(**one) for one in data["handles"]), tuple(data["damaged"]))

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return asdict(self) | {"exit_code": self.exit_code}


def nobody_takes(_entry: Entry) -> Recovered | None:
    """Say that nobody else deals with an entry."""
    return None


def recover(
    journal: Journal,
    injectors: Mapping[str, Injector],
    *,
    force: bool = False,
    running: Callable[[ProcessIdentity], bool] = is_running,
    hand_over: Callable[[Entry], Recovered | None] = nobody_takes,
) -> Recovery:
    """Roll back every live handle whose runner is gone, the youngest first, and prove it. Doing so again changes nothing.

    Args:
        journal: of this machine.
        injectors: by name, for handles that are rolled back from the journal.
        force: also those whose runner still lives.
        running: whether a process still runs; none of an earlier boot does.
        hand_over: what became of a journalled fault that somebody else deals with; None where nobody does.
    """
    found = []
    for entry in reversed(journal.live()):
        if running(entry.runner) and not force:
            found.append(ended(entry, "running", f"its runner, process {entry.runner.pid}, still runs", "refute abort"))
        elif struck_there(entry):
            found.append(removed_there(journal, entry))
        elif entry.handle.rollback == "expiring":
            found.append(_expired(journal, entry, running))
        else:
            found.append(hand_over(entry) or _rolled_back(journal, entry, injectors))
    damaged = tuple(str(path) for path in journal.damaged())
    journal.prune()
    return Recovery(tuple(found), damaged)


def _expired(journal: Journal, entry: Entry, running: Callable[[ProcessIdentity], bool]) -> Recovered:
    """Prove that an expiring fault is gone: with the processes that it lived in, or by the word of those that outlast runs."""
    living = [holder.pid for holder in entry.holders if running(holder)]
    left = [pid for pid in living if not is_disarmed(doors_directory(), pid, entry.handle.id)]
    joined_later = armed_behind(doors_directory(), entry.handle.id)
    left += [pid for pid in joined_later if pid not in left]
    if left:
        reason = f"the fault lives in process {left[0]}, which still runs; without its runner the lease ends within {MAX_TTL_S:g} s"
        return ended(entry, "unproven", reason, f"refute recover again once process {left[0]} has ended: kill {left[0]}")
    return _noted(journal, entry, "the processes that it lived in are gone" if not living else "its process says that it is not armed")


def struck_there(entry: Entry) -> bool:
    """Say whether a fault is on another host, where a guardian can be asked to see to it.

    Args:
        entry: from the journal.
    """
    return entry.handle.rollback == "elsewhere" or _relayed(entry)


def _relayed(entry: Entry) -> bool:
    """Say whether a fault lives in a proxy of another host."""
    component = entry.handle.data.get("arming", {}).get("component", {})
    return bool(component.get("via") == "proxy" and component.get("place", {}).get("guardian"))


def removed_there(journal: Journal, entry: Entry) -> Recovered:
    """Have the guardian of the host where a fault was see to it that it is gone, whoever has a lease for it, and note that it is.

    Args:
        journal: of this host.
        entry: of a fault on another.
    """
    place = entry.handle.data["arming"]["component"]["place"]
    host = place["host"]
    try:
        answer = ask_there(place["guardian"], "undo", handle=entry.handle.data.get("handle", entry.handle.id))
    except RefuteError as error:
        problem = error.problems[0]
        reason = f"the guardian of {host} cannot be asked: {problem.seen or problem.what}; unless it is dead too, it has removed the fault"
        return ended(entry, "unproven", reason, f"refute recover again once it can be reached; or refute doctor on {host}")
    if answer["state"] not in GONE:
        reason = f"the guardian of {host} has not done it yet: {answer['reason']}"
        return ended(entry, "unproven", reason, "mend the cause there; that guardian tries again by itself")
    never = "says that it is armed nowhere there" if _relayed(entry) else "has never applied it"
    why = "has removed it and seen that it is gone" if answer["state"] else never
    return _noted(journal, entry, f"the guardian of {host} {why}")


def undo(injectors: Mapping[str, Injector], handle: Handle) -> str:
    """Roll back a journalled fault and look whether it is gone.

    Returns:
        "" where it is provably gone, else why that is not proven.
    """
    injector = injectors.get(handle.injector)
    if injector is None:
        return f"the injector {handle.injector!r} is not installed here"
    try:
        injector.rollback(handle)
        until_s = time.monotonic() + _SETTLE_S
        while not (proven := injector.verify(handle)) and time.monotonic() < until_s:
            time.sleep(_TICK_S)
    except Exception as error:  # noqa: BLE001  # one handle that resists must not keep the others broken
        return f"the rollback failed: {type(error).__name__}: {error}"
    return "" if proven else "the rollback was called, but the fault is still seen"


def note_undone(journal: Journal, handle: Handle) -> str:
    """Have the journal say that a handle is rolled back and verified.

    Returns:
        "" where it does, by us or by somebody who was quicker, else why not.
    """
    try:
        journal.advance(handle, "rolled_back")
        journal.advance(handle, "verified")
    except RefuteError as error:
        if error.problems[0].code != "JOURNAL-ORDER":
            return f"the journal cannot note it: {error.problems[0].what}"
    return ""


def _rolled_back(journal: Journal, entry: Entry, injectors: Mapping[str, Injector]) -> Recovered:
    """Undo a journalled fault from its handle."""
    if reason := undo(injectors, entry.handle):
        missing = entry.handle.injector not in injectors
        first = f"install what provides {entry.handle.injector!r}" if missing else "mend the cause"
        return ended(entry, "unproven", reason, f"{first}, then: refute recover")
    return _noted(journal, entry, "rolled back from the journal, and seen to be gone")


def _noted(journal: Journal, entry: Entry, reason: str) -> Recovered:
    if unnoted := note_undone(journal, entry.handle):
        return ended(entry, "unproven", f"{reason}; but {unnoted}", "refute recover")
    return ended(entry, "recovered", reason)


def ended(entry: Entry, ending: Ending, reason: str, then: str = "") -> Recovered:
    """Return what became of an entry.

    Args:
        entry: from the journal.
        ending: how it ended.
        reason: why, in words.
        then: what to do where it is not recovered.
    """
    handle = entry.handle
    return Recovered(handle.id, handle.injector, entry.experiment, target_of(entry), entry.state, ending, reason, then)


def target_of(entry: Entry) -> str:
    """Return the name of the component that an entry's fault was aimed at, "" where its injector does not keep it."""
    component = entry.handle.data.get("arming", {}).get("component", {})
    return str(component.get("name", ""))
