"""Findings: a refuted belief stays open until a re-run holds, or until somebody accepts it and says why and until when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

FindingState = Literal["open", "fixed", "accepted"]


@dataclass(frozen=True, slots=True)
class Finding:
    """A belief that was refuted.

    Attributes:
        belief: its id.
        claim: in words.
        owner: who answers for it, "" where nobody was named.
        state: `open`, `fixed` by a re-run that held, or `accepted` for now.
        experiment: the run that refuted it last.
        opened_at: seconds since the epoch.
        fixed_by: the run that held, or "".
        by: who accepted it, or "".
        why: their reason, or "".
        until: seconds since the epoch after which it is open again; None where it is not accepted.
    """

    belief: str
    claim: str
    owner: str
    state: FindingState
    experiment: str
    opened_at: float
    fixed_by: str = ""
    by: str = ""
    why: str = ""
    until: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return asdict(self)

    def words(self) -> str:
        """Return its state as people say it."""
        if self.state == "accepted" and self.until is not None:
            return f"accepted by {self.by} until {datetime.fromtimestamp(self.until, UTC):%Y-%m-%d}: {self.why}"
        return f"fixed, held in {self.fixed_by}" if self.state == "fixed" else f"open since {self.experiment}"


def findings(events: Iterable[Mapping[str, Any]], now: float, environment: str = "") -> dict[str, Finding]:
    """Return the findings by belief, the oldest first.

    Args:
        events: of the ledger, oldest first; `intent`, `verdict` and `acceptance` are read.
        now: seconds since the epoch.
        environment: only verdicts from here count.
    """
    owners: dict[str, str] = {}
    found: dict[str, Finding] = {}
    for event in events:
        kind = event["event"]
        if kind == "intent":
            owners |= {belief["id"]: belief.get("owner") or "" for belief in event["beliefs"]}
        elif kind == "verdict" and event.get("environment", "") == environment:
            _judged(found, event, owners)
        elif kind == "acceptance" and (known := found.get(event["belief"])) is not None and known.state != "fixed":
            found[event["belief"]] = replace(known, state="accepted", by=event["by"], why=event["why"], until=event["until"])
    return {name: _reopened(finding, now) for name, finding in found.items()}


def _judged(found: dict[str, Finding], event: Mapping[str, Any], owners: Mapping[str, str]) -> None:
    name, known = event["belief"], found.get(event["belief"])
    if event["verdict"] == "held" and known is not None:
        found[name] = replace(known, state="fixed", fixed_by=event["experiment"], by="", why="", until=None)
    elif event["verdict"] == "refuted" and (known is None or known.state == "fixed"):
        found[name] = Finding(name, event["claim"], owners.get(name, ""), "open", event["experiment"], event["at"])
    elif event["verdict"] == "refuted" and known is not None:
        found[name] = replace(known, experiment=event["experiment"])


def _reopened(finding: Finding, now: float) -> Finding:
    """Return an acceptance that has run out as the open finding that it is."""
    over = finding.state == "accepted" and finding.until is not None and finding.until < now
    return replace(finding, state="open", by="", why="", until=None) if over else finding
