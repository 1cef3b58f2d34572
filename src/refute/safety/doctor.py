"""What is live on this machine right now."""

from __future__ import annotations

from typing import Any

from refute.safety.journal import Journal
from refute.safety.process import is_running
from refute.safety.recover import target_of


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
