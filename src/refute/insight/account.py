"""What one experiment comes to, from its events: the part of a report that plots and tables are drawn from."""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from statistics import fmean
from typing import Any

from refute.core.criterion import CriterionError, parse_criterion
from refute.core.units import UnitError, money
from refute.insight import series, words
from refute.insight.trainings import trainings

Record = dict[str, Any]


def account(events: list[Record], intent: Record) -> Record:
    """Return one experiment's part of the report.

    Args:
        events: of this experiment only, oldest first.
        intent: the `intent` event that it ran under; empty where it is not known.
    """
    first = _last(events, "experiment")
    targets = [one.get("target", "") for one in (first, *(first.get("also") or ()))]
    phases = _phases(events, targets)
    injected: list[Record] = next((phase["outcomes"] for phase in phases if phase["phase"] == "inject"), [])
    stated = {belief["id"]: belief for belief in intent.get("beliefs", ())}
    verdicts = [_verdict(event, events, stated) for event in events if event["event"] == "verdict"]
    read = _indicator_read(verdicts, injected)
    return {
        "id": first["experiment"],
        "at": first.get("at"),
        "does": words.strike(first),
        "summary": words.clean(first.get("fault_summary", "")),
        "settings": _settings(first, intent, verdicts),
        "gates": first.get("gates") or [],
        "verdicts": verdicts,
        "landing": _proof(_last(events, "landing"), words.landing),
        "rollback": _proof(_rollback(events), words.rollback),
        "stops": [{**event, "t": event["at"] - _origin(events)} for event in events if event["event"] == "stop"],
        "phases": [{key: value for key, value in phase.items() if key != "outcomes"} for phase in phases],
        "timelines": [{"indicator": name, **series.timeline(phases, name)} for name in _ordered(phases, read)],
        "cohorts": _cohorts(injected),
        "latency": _latency(injected),
        "journeys": _journeys(injected, read, intent),
        "blast": _blast(events),
        "training": trainings(events),
        "effects": _effects(_last(events, "landing"), injected),
        "rerun": f"refute rerun {first['experiment']}",
    }


def _blast(events: list[Record]) -> Record:
    """Return what was predicted and what was harmed, as rows, and how good the prediction was; empty where nobody counted."""
    found = _last(events, "blast")
    return {"rows": [list(row) for row in words.blast_rows(found)], "note": words.blast(found)} if found else {}


def _last(events: list[Record], kind: str) -> Record:
    return next((event for event in reversed(events) if event["event"] == kind), {})


def _origin(events: list[Record]) -> float:
    """Return when the first phase started, in seconds since the epoch."""
    return next((float(event["at"]) for event in events if event["event"] == "phase"), 0.0)


def _rollback(events: list[Record]) -> Record:
    """Return the last rollback, or the one that is unproven."""
    return next((event for event in events if event["event"] == "rollback" and not event["ok"]), _last(events, "rollback"))


def _proof(event: Record, write: Any) -> Record | None:
    return {**event, "text": write(event)} if event else None


def _verdict(event: Record, events: list[Record], stated: dict[str, Record]) -> Record:
    name = event["belief"]
    belief = stated.get(name, {})
    learned = next((e for e in events if e["event"] == "learned" and e["belief"] == name), None)
    forecast = _last(events, "forecast")
    points = [e for e in events if e["event"] == "evidence_point" and e["belief"] == name]
    return {
        **event,
        "headline": words.headline(event["verdict"], event["claim"]),
        "decides": belief.get("decides", ""),
        "if_wrong": belief.get("if_wrong", ""),
        "owner": belief.get("owner", ""),
        "advice": words.advice(event, belief.get("decides", ""), belief.get("owner", "")),
        "allowed": words.allowed(event),
        "relative": words.relative(event["then"]),
        "treatment_text": words.counted(event),
        "control_text": words.counted(event["control"]),
        "evidence_text": words.weighed(event["log_e"]),
        "learned": _learned(learned) if learned else None,
        "forecast": {**forecast["beliefs"].get(name, {}), "digest": words.short(forecast.get("digest", ""))} if forecast else None,
        "evidence": {key: [point[key] for point in points] for key in ("n", "breaches", "log_e_hold", "log_e_refute")},
    }


def _learned(event: Record) -> Record:
    told = {**event, "gained": words.gained(event), "foreseen": words.foreseen(event)}
    if event.get("threshold"):
        threshold = event["threshold"]
        named = {
            key: [{**one, "text": words.magnitude(one["magnitude"], threshold["unit"])} for one in threshold[key]]
            for key in ("curve", "tried")
        }
        told["threshold"] = {**threshold, **named}
    return told


def _phases(events: list[Record], targets: list[str]) -> list[Record]:
    phases: list[Record] = []
    origin = _origin(events)
    for event in events:
        if event["event"] == "phase" and event["state"] == "started":
            start = event["at"] - origin
            phases.append({"phase": event["phase"], "from": start, "to": start, "units": 0, "ok": True, "reason": "", "outcomes": []})
        elif event["event"] == "phase" and phases:
            phases[-1] |= {
                "to": event["at"] - origin,
                "units": event["units"],
                "ok": event["ok"],
                "reason": event.get("reason", ""),
            }
        elif event["event"] == "outcomes" and phases:
            phases[-1]["outcomes"] += event["outcomes"]
    for phase in phases:
        starts = [phase["from"] + outcome["start_s"] for outcome in phase["outcomes"]]
        phase["to"] = max([phase["to"], *starts])
        phase["units"] = phase["units"] or len(starts)
        phase["outcomes"] = series.comparable(phase["outcomes"], targets)
    return phases


def _indicator_read(verdicts: list[Record], outcomes: list[Record]) -> str:
    for verdict in verdicts:
        try:
            return parse_criterion(verdict["then"]).indicator
        except CriterionError:
            continue
    return series.indicators(outcomes)[0]


def _ordered(phases: list[Record], first: str) -> list[str]:
    names = series.indicators(outcome for phase in phases for outcome in phase["outcomes"])
    return sorted(names, key=lambda name: name != first) if any(phase["outcomes"] for phase in phases) else []


def _settings(first: Record, intent: Record, verdicts: list[Record]) -> list[list[str]]:
    versions: Record = first.get("versions") or next((verdict["versions"] for verdict in verdicts if verdict.get("versions")), {})
    rows = [
        ["fault", words.strike(first)],
        ["cohort", f"{words.exposed(first)} in treatment" if first.get("cohort") is not None else ""],
        ["planned", words.cost(first)],
        ["error rate a side", words.percent(first.get("alpha"))],
        ["seed", str(first.get("seed", ""))],
        ["environment", first.get("environment", "")],
        *([name, str(version)] for name, version in versions.items()),
        ["intent file", f"{intent.get('path', '')} {words.short(intent.get('digest', ''))}".strip()],
        ["re-run of", first.get("rerun_of") or ""],
    ]
    return [[name, words.clean(value)] for name, value in rows if value]


def _cohorts(outcomes: list[Record]) -> list[Record]:
    rows = []
    for name in series.indicators(outcomes) if outcomes else []:
        for statistic in ("p50", "p95", "p99") if name == "latency" else ("mean",):
            arms = {arm: series.summary(series.values_of(outcomes, name, arm), statistic) for arm in series.ARMS}
            texts = {f"{arm}_text": _measured(name, arms[arm]) for arm in series.ARMS}
            rows.append({"indicator": name, "statistic": statistic, **arms, **texts})
    return rows


def _measured(name: str, found: Record | None) -> str:
    if found is None:
        return "–"
    low, high = (words.measure(name, bound) for bound in found["interval"])
    unit = " %" if low.endswith(" %") and high.endswith(" %") else " s" if low.endswith(" s") and high.endswith(" s") else ""
    return f"{words.measure(name, found['value'])} ({low.removesuffix(unit)}–{high})"


def _latency(outcomes: list[Record]) -> Record:
    arms = {arm: series.values_of(outcomes, "latency", arm) for arm in series.ARMS}
    return {arm: series.ecdf(values) for arm, values in arms.items() if values}


def _journeys(outcomes: list[Record], indicator: str, intent: Record) -> list[Record]:
    worth = {journey["name"]: journey.get("value") for journey in intent.get("journeys", ())}
    rows = []
    for name, group in groupby(sorted(outcomes, key=lambda o: str(o["journey"])), key=lambda o: str(o["journey"])):
        units = list(group)
        arms = {arm: series.values_of(units, indicator, arm) for arm in series.ARMS}
        if not name or not all(arms.values()):
            continue
        treatment, control = (fmean(arms[arm]) for arm in series.ARMS)
        lost = _lost(worth.get(name), control - treatment, len(arms["treatment"])) if indicator != "latency" else ""
        rows.append({
            "journey": name, "indicator": indicator, "n": len(arms["treatment"]), "lost": lost,
            "treatment": words.measure(indicator, treatment), "control": words.measure(indicator, control),
        })  # fmt: skip
    return rows


def _lost(value: Any, drop: float, units: int) -> str:
    try:
        worth = money(str(value))
    except UnitError:
        return ""
    return f"{max(0.0, drop) * units * worth.amount:.2f} {worth.currency}"


def _effects(landing: Record, outcomes: list[Record]) -> list[list[str]]:
    """Return rows of what was counted: name, in treatment, in control."""
    rows = [[name, words.number(count), ""] for name, count in (landing.get("effect") or {}).items()]
    errors = {arm: Counter(o["error"] for o in outcomes if o["arm"] == arm and o["error"]) for arm in series.ARMS}
    rows += [
        [f"units that ended in {name}", *(str(errors[arm][name]) for arm in series.ARMS)]
        for name in sorted(set(errors["treatment"]) | set(errors["control"]))
    ]
    for name in dict.fromkeys(name for outcome in outcomes for name in outcome["cost"]):
        each = [[o["cost"].get(name, 0.0) for o in outcomes if o["arm"] == arm] for arm in series.ARMS]
        rows.append([f"{name} per unit", *(words.number(fmean(costs)) if costs else "–" for costs in each)])
    return [[words.clean(cell) for cell in row] for row in rows]
