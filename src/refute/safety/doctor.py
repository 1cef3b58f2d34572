"""What is live on this machine right now."""

from __future__ import annotations

from typing import Any

from refute.core.errors import RefuteError
from refute.core.process import is_running
from refute.safety.far import ask_there
from refute.safety.journal import Entry, Journal
from refute.safety.recover import target_of
from refute.safety.summon import ask_now, post_beside


def guardian(journal: Journal) -> dict[str, Any] | None:
    """Return what the guardian of a journal says of itself, None where there is none; a bare `pid` where it does not answer."""
    post = post_beside(journal)
    if (answer := ask_now(post, "status")) is not None:
        return {name: answer[name] for name in ("pid", "understudy", "runs", "mending")}
    return {"pid": holder.pid} if (holder := post.holder()) is not None else None


def elsewhere(journal: Journal) -> dict[str, str]:
    """Return what the guardians of other hosts say of faults there, in words, by the handle's id in the journal of this host."""
    said: dict[str, dict[str, str] | str] = {}
    words = {}
    for entry in journal.live():
        if entry.handle.rollback == "elsewhere":
            guardian = str(_place(entry)["guardian"])
            if guardian not in said:
                said[guardian] = _states_at(guardian)
            seen, host = said[guardian], _place(entry)["host"]
            words[entry.handle.id] = seen if isinstance(seen, str) else f"{host} says: {seen.get(entry.handle.data['handle'], 'gone')}"
    return words


def _states_at(guardian: str) -> dict[str, str] | str:
    """Return the states of what is live at another host, by handle; why that is not known where its guardian cannot be asked."""
    try:
        return {one["handle"]: one["state"] for one in ask_there(guardian, "look")["live"]}
    except RefuteError as error:
        return f"{guardian} cannot be asked: {error.problems[0].seen or error.problems[0].what}"


def _place(entry: Entry) -> dict[str, Any]:
    place: dict[str, Any] = entry.handle.data.get("arming", {}).get("component", {}).get("place", {})
    return place


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
            "host": str(_place(entry).get("host", "")),
        }
        for entry in journal.live()
    ]
