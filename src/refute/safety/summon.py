"""Finds the guardian of this machine, or starts one, and asks it something without being a run."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from typing import Any

from refute import __version__
from refute.core.errors import refuse
from refute.core.link import Message
from refute.safety._lines import Lines
from refute.safety._post import Post
from refute.safety.journal import Journal
from refute.safety.state import probe

_START_S = 8.0
_TICK_S = 0.05


def obstacle() -> str:
    """Say why there could be no guardian here, "" where there could."""
    return "" if sys.platform.startswith("linux") else f"the guardian needs Linux, and this is {sys.platform}"


def post_beside(journal: Journal) -> Post:
    """Return where the guardian of a journal sits."""
    return Post(journal.directory.parent / "guardian")


def summon(post: Post) -> int:
    """Find the guardian, or start one, and return its process id.

    Args:
        post: where it sits.

    Raises:
        RefuteError: there can be none (`GUARDIAN-START`, `JOURNAL-…`), or it is of another version (`GUARDIAN-VERSION`).
    """
    from refute.safety import guardian  # only a run needs it: other verbs just ask

    if reason := obstacle():
        raise refuse("GUARDIAN-START", "there is no guardian, so nothing that outlives its process may be injected", seen=reason)
    probe(post.directory)
    until_s = time.monotonic() + _START_S
    while (hello := ask_now(post, "hello")) is None:
        if time.monotonic() > until_s:
            seen, then = _who(post), f"read {post.log}; refute doctor"
            raise refuse("GUARDIAN-START", "the guardian does not answer, so nothing may be injected", seen=seen, next=then)
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            guardian.start(post)
        time.sleep(_TICK_S)
    if hello["version"] != __version__:
        raise refuse(
            "GUARDIAN-VERSION", "the guardian is of another version", seen=hello["version"], allowed=__version__,
            next=f"wait until its last run has ended: it goes by itself {guardian.IDLE_S:g} s after that",
        )  # fmt: skip
    return int(hello["process"]["pid"])


def ask_now(post: Post, op: str, timeout_s: float = 5.0, **fields: Any) -> Message | None:
    """Ask the guardian something without being a run.

    Args:
        post: where it sits.
        op: `status`, `abort` or `mend`.
        timeout_s: how long to wait for the answer, seconds.
        **fields: arguments.

    Returns:
        Its answer, None where none is there or it does not answer.
    """
    try:
        with post.connect() as connection:
            return Lines(connection).ask(op, timeout_s, **fields)
    except (OSError, ValueError):
        return None


def _who(post: Post) -> str:
    holder = post.holder()
    return "no process holds its lock" if holder is None else f"process {holder.pid} holds its lock"
