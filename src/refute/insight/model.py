"""A report's content, folded from events: everything that the page shows, and nothing that it must compute."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

from refute.core.events import Event, Recorded
from refute.insight import words
from refute.insight.account import account

Record = dict[str, Any]

MODEL_VERSION = 1


def as_record(event: Event | Recorded | Record) -> Record:
    """Return an event as the object that is written as a line of JSON; a kept forecast gets the digest that locked it."""
    if isinstance(event, Recorded):
        return {**event.record, "digest": event.digest} if event.record["event"] == "forecast" else event.record
    return event.to_json() if isinstance(event, Event) else event


def report_model(events: Iterable[Event | Recorded | Record]) -> Record:
    """Return the content of a report.

    Args:
        events: of one run or of several, oldest first.

    Returns:
        A JSON object without infinities.
    """
    records = [as_record(event) for event in events]
    intents: Record = {}
    intent: Record = {}
    by_experiment: dict[str, list[Record]] = {}
    for record in records:
        if record["event"] == "intent":
            intent = record
        name = record.get("experiment")
        if name:
            by_experiment.setdefault(name, []).append(record)
            intents.setdefault(name, intent)
    started = {name: found for name, found in by_experiment.items() if any(e["event"] == "experiment" for e in found)}
    experiments = [account(found, intents[name]) for name, found in started.items()]
    beliefs = _beliefs(records, experiments)
    content = {
        "version": MODEL_VERSION,
        "title": f"{intent.get('system', 'Refute')}: what we believed, and what we learned",
        "intent": {key: intent.get(key) for key in ("system", "path", "digest", "environment", "notes")},
        "at": records[-1]["at"] if records else None,
        "overview": _overview(experiments, records),
        "beliefs": beliefs,
        "components": _components(intent, beliefs),
        "experiments": experiments,
        "refusals": _last(records, "plan").get("refusals") or [],
        "next": _next(records),
        "problems": [record for record in records if record["event"] == "problem"],
    }
    return _finite(content)  # type: ignore[no-any-return]


def _last(records: list[Record], kind: str) -> Record:
    return next((record for record in reversed(records) if record["event"] == kind), {})


def _overview(experiments: list[Record], records: list[Record]) -> Record:
    verdicts = [verdict for experiment in experiments for verdict in experiment["verdicts"]]
    counts = Counter(verdict["verdict"] for verdict in verdicts)
    bits = sum(verdict["learned"]["bits"] for verdict in verdicts if verdict["learned"] and verdict["learned"]["counted"])
    proofs = {proof: [e[proof]["ok"] for e in experiments if e[proof]] for proof in ("landing", "rollback")}
    summaries = [record for record in records if record["event"] == "summary"]
    facts = [
        ["learned", f"{bits:+.2f} bits"],
        ["units", words.number(sum(phase["units"] for e in experiments for phase in e["phases"]))],
        ["took", words.duration(sum(summary["seconds"] for summary in summaries))] if summaries else None,
        ["landed", f"{sum(proofs['landing'])} of {len(experiments)}"],
        ["rolled back", f"{sum(proofs['rollback'])} of {len(experiments)}"],
    ]
    exit_code = summaries[-1]["exit_code"] if summaries else None
    return {
        "headline": _headline(counts),
        "counts": dict(counts),
        "facts": [fact for fact in facts if fact],
        "exit": f"exit {exit_code}: {words.EXIT_WORDS.get(exit_code or 0, '')}" if summaries else "no summary: the run did not end",
        "unproven": [e["rollback"] for e in experiments if e["rollback"] and not e["rollback"]["ok"]],
    }


def _headline(counts: Counter[str]) -> str:
    tested = counts.total()
    if not tested:
        return "Nothing was tested"
    named = [f"{counts[verdict]} {verdict}" for verdict in ("refuted", "held", "aborted", "inconclusive", "void") if counts[verdict]]
    return f"{tested} {'belief' if tested == 1 else 'beliefs'} tested: {', '.join(named)}"


def _beliefs(records: list[Record], experiments: list[Record]) -> list[Record]:
    stated: dict[str, Record] = {}
    for record in records:
        for belief in record["beliefs"] if record["event"] == "intent" else ():
            first = stated.get(belief["id"], belief)
            stated[belief["id"]] = {**belief, "before": first.get("before", first["confidence"]), "now": belief["confidence"], "tests": []}
    for experiment in experiments:
        for verdict in experiment["verdicts"]:
            if verdict["belief"] in stated:
                _tell(stated[verdict["belief"]], experiment["id"], verdict)
    return [
        {**belief, "before_text": words.percent(belief["before"]), "now_text": words.percent(belief["now"])} for belief in stated.values()
    ]


def _tell(belief: Record, experiment: str, verdict: Record) -> None:
    belief["tests"].append({"experiment": experiment, "verdict": verdict["verdict"]})
    learned = verdict["learned"]
    if learned and learned["counted"]:
        belief["now"] = learned["confidence_after"]
        belief["state"] = verdict["verdict"]
        belief.pop("stale", None)


def _components(intent: Record, beliefs: list[Record]) -> list[Record]:
    rows = []
    for component in intent.get("components", ()):
        aimed = [belief for belief in beliefs if component["name"] in _targets(belief)]
        tested = sum(bool(belief["tests"]) for belief in aimed)
        sight = f"{tested} of {len(aimed)} beliefs tested" if aimed else "no belief names it"
        rows.append({**component, "beliefs": len(aimed), "tested": tested, "sight": sight})
    return rows


def _targets(belief: Record) -> list[str]:
    return [one["target"] for one in (belief, *(belief.get("also") or ()))]


def _next(records: list[Record]) -> Record:
    told = _last(records, "next")
    proposals = [{**each, "text": words.proposal(each), "gain": words.gain(each)} for each in told.get("proposals") or []]
    return {"unknown": told.get("unknown") or [], "proposals": proposals}


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value
