"""What is live on this machine right now."""

from __future__ import annotations

from typing import Any

from refute.core.process import is_running
from refute.safety.journal import Journal
from refute.safety.recover import target_of
from refute.safety.summon import ask_now, post_beside


def guardian(journal: Journal) -> dict[str, Any] | None:
    """Return what the guardian of a journal says of itself, None where there is none; a bare `pid` where it does not answer."""
    post = post_beside(journal)
    if (answer := ask_now(post, "status")) is not None:
        return {name: answer[name] for name in ("pid", "understudy", "runs", "mending")}
    return {"pid": holder.pid} if (holder := post.holder()) is not None else None


def live(journal: Journal) -> list[dict[str, Any]]:
    """Return a JSON object for each fault that is not proven to be gone, oldest first."""
    return [
        {
            "experiment": entry.experiment,
            "handle": entry.handle.id,
            "injector": entry.handle.injector,
            "rollback": entry.handle.rollback,
            "fault": str(entry.handle.data.get("arming", {}).get("fault", "")),
            "state": entry.state,
            "pid": entry.runner.pid,
            "running": is_running(entry.runner),
            "since": entry.since,
            "target": target_of(entry),
        }
        for entry in journal.live()
    ]
