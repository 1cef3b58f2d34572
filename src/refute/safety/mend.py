"""`refute recover`: with the guardian where there is one, in its place where there is none."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from refute.core.arming import Injector
from refute.core.link import Message
from refute.safety._post import Post
from refute.safety.journal import Entry, Journal
from refute.safety.recover import Recovered, Recovery, ended, recover
from refute.safety.summon import ask_now, post_beside

_WAIT_S = 3.0
_TICK_S = 0.05


def mend(journal: Journal, injectors: Mapping[str, Injector], *, force: bool = False) -> Recovery:
    """Remove what nobody looks after any more, and prove it.

    Only whoever holds the guardian's lock touches journalled faults, so that a fault that is still being applied cannot come after its
    rollback: a living guardian is asked, and otherwise the lock is taken for as long as this takes.

    Args:
        journal: of this machine.
        injectors: by name.
        force: also those whose runner still lives, and whatever a guardian holds that does not answer.

    Raises:
        RefuteError: the journal cannot be read (`JOURNAL-…`).
    """
    if not any(entry.handle.rollback == "journalled" for entry in journal.live()):
        return recover(journal, injectors, force=force)
    post = post_beside(journal)
    lock, answer = _lock_or_answer(post, force=force)
    if lock is None:
        return recover(journal, injectors, force=force, hand_over=_asked(post, journal, answer, force=force))
    try:
        return recover(journal, injectors, force=force)
    finally:
        os.close(lock)


def _lock_or_answer(post: Post, *, force: bool) -> tuple[int | None, Message | None]:
    """Take the lock, or have the guardian do its part; one that is just starting or dying gets a moment for it."""
    until_s = time.monotonic() + _WAIT_S
    while True:
        if (lock := post.take()) is not None:
            return lock, None
        if force:
            ask_now(post, "abort")
        if (answer := ask_now(post, "mend", timeout_s=2 * _WAIT_S, wait_s=_WAIT_S)) is not None or time.monotonic() > until_s:
            return None, answer
        time.sleep(_TICK_S)


def _asked(post: Post, journal: Journal, answer: Message | None, *, force: bool) -> Callable[[Entry], Recovered | None]:
    """Return what tells what became of an entry that the guardian was asked about; None where it must be dealt with here."""
    left = {entry.handle.id for entry in journal.live()}

    def became(entry: Entry) -> Recovered | None:
        if entry.handle.id not in left:
            return ended(entry, "recovered", "rolled back by the guardian, and seen to be gone")
        if answer is not None:
            return ended(entry, "unproven", _reason(answer, entry), "mend the cause; the guardian tries again by itself")
        if force:
            return None
        holder = post.holder()
        pid = holder.pid if holder is not None else 0
        then = f"kill -9 {pid or 'the guardian'}, then: refute recover; or: refute recover --force"
        return ended(entry, "unproven", f"the guardian, process {pid or '?'}, does not answer", then)

    return became


def _reason(answer: Mapping[str, Any], entry: Entry) -> str:
    found = (one for one in answer["mending"] if one["handle"] == entry.handle.id)
    return next((f"the guardian has tried {one['attempts']} times: {one['reason']}" for one in found), "the guardian is at it")
