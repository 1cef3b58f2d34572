"""A run as plain lines: one for each thing worth knowing, readable in a log, without any escape sequence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from refute.core.events import Event
from refute.insight import words
from refute.insight.sink import Sink
from refute.insight.words import clean

_PROGRESS_EVERY_S = 10.0

Line = tuple[str, str]


class PlainDisplay:
    """Writes lines of `elapsed  what  words`.

    Args:
        sink: where lines go.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._first_at: float | None = None
        self._progress_at = 0.0
        self._stated: dict[str, dict[str, Any]] = {}

    def see(self, event: Event) -> None:
        """Write the lines of one event; of progress one every few seconds."""
        if self._first_at is None:
            self._first_at = event.at
        if event.kind == "intent":
            self._stated = {belief["id"]: belief for belief in event.data["beliefs"]}
        if event.kind == "progress":
            if event.at - self._progress_at < _PROGRESS_EVERY_S:
                return
            self._progress_at = event.at
        elif event.kind == "phase":
            self._progress_at = event.at
        elapsed = int(event.at - self._first_at)
        for label, text in self._lines(event):
            self._sink.write(f"{elapsed // 60:>3}:{elapsed % 60:02d}  {label:<10} {text}\n")
        self._sink.flush()

    def close(self) -> None:
        """Hand on what was written."""
        self._sink.flush()

    def _lines(self, event: Event) -> Iterator[Line]:
        if event.kind == "verdict":
            return _verdict(event.data, self._stated.get(event.data["belief"], {}))
        write = _WRITERS.get(event.kind)
        return write(event.data) if write else iter(())


def _intent(data: dict[str, Any]) -> Iterator[Line]:
    where = f", {data['environment']}" if data.get("environment") else ""
    sizes = f"{len(data['components'])} components, {len(data['journeys'])} user journeys, {len(data['beliefs'])} beliefs"
    yield "intent", f"{data['path']}: {clean(data['system'])}{where}: {sizes}, digest {words.short(data['digest'])}"
    for belief in data["beliefs"]:
        yield "belief", f"{belief['id']} [{belief['state']}, confidence {words.percent(belief['confidence'])}]: {clean(belief['claim'])}"
        for reason in belief.get("stale") or ():
            yield "stale", f"{belief['id']}: {clean(reason)}"
    for note in data.get("notes") or ():
        yield "note", clean(note)


def _plan(data: dict[str, Any]) -> Iterator[Line]:
    for rank, proposal in enumerate(data["proposals"], 1):
        reasons = f"; {'; '.join(map(clean, proposal['reasons']))}" if proposal.get("reasons") else ""
        yield "plan", f"{rank}. {', '.join(proposal['beliefs'])} by {words.proposal(proposal)}{reasons}"
        if harm := words.reach(proposal):
            yield "plan", f"   {harm}"
    if data.get("error_budget"):
        yield "budget", words.error_budget(data["error_budget"])
    for refusal in data["refusals"]:
        beliefs = f" for {', '.join(refusal['beliefs'])}" if refusal["beliefs"] else ""
        yield "refused", f"{words.struck(refusal)}{beliefs}: {clean(refusal['reason'])} [{refusal['code']}]"


def _campaign(data: dict[str, Any]) -> Iterator[Line]:
    yield "campaign", words.campaign(data)


def _experiment(data: dict[str, Any]) -> Iterator[Line]:
    rerun = f", re-run of {data['rerun_of']}" if data.get("rerun_of") else ""
    yield "experiment", f"{data['experiment']}: {words.strike(data)}: {clean(data['fault_summary'])}{rerun}"
    for belief in data["beliefs"]:
        odds = (data.get("answerable") or {}).get(belief["id"])
        chance = f"; {words.answerable(odds)}" if odds else ""
        yield "tests", f"{belief['id']}: {belief['then']}{chance}"
    yield "costs", f"{words.cost(data)}; {words.exposed(data)} see the fault; seed {data['seed']}"
    for gate in data.get("gates") or ():
        if not gate["ok"]:
            yield "gate", f"{gate['name']}: {clean(gate['reason'])}"


def _forecast(data: dict[str, Any]) -> Iterator[Line]:
    for name, belief in data["beliefs"].items():
        yield "forecast", f"{name}: {words.forecast(belief)}; locked as {words.short(data['digest'])}"


def _phase(data: dict[str, Any]) -> Iterator[Line]:
    size = f"{words.number(data['units'])} units, {words.duration(data['seconds'])}"
    if data["state"] == "started":
        yield data["phase"], f"started: at most {size}"
    else:
        reason = f": {clean(data['reason'])}" if data.get("reason") else ""
        yield data["phase"], f"{'ended' if data['ok'] else 'STOPPED'}: {size}{reason}"


def _progress(data: dict[str, Any]) -> Iterator[Line]:
    arms = data["arms"]
    indicators = [
        f"{name} {words.measure(name, value)} against {words.measure(name, arms['control']['indicators'].get(name))}"
        for name, value in arms["treatment"]["indicators"].items()
    ]
    odds = [f"{name}: {words.weighed(log_e)}" for name, log_e in (data.get("log_e") or {}).items()]
    yield data["phase"], "; ".join([f"{data['units']} of {data['planned']} units", *indicators, *odds])


def _stop(data: dict[str, Any]) -> Iterator[Line]:
    seen = f"{data['value']:.3g} seen, {data['bound']:.3g} is the bound, after {data['units']} units"
    yield "STOPPED", f"{clean(data['condition'])} ({seen}); rolled back within {words.duration(data['seconds_to_rollback'])}"


def _ramp(data: dict[str, Any]) -> Iterator[Line]:
    yield "ramp", words.ramp(data)


def _blast(data: dict[str, Any]) -> Iterator[Line]:
    for name, predicted, actual in words.blast_rows(data):
        yield "harm", f"{name}: predicted {predicted}, {actual}"
    yield "harm", words.blast(data)


def _landing(data: dict[str, Any]) -> Iterator[Line]:
    yield "landed" if data["ok"] else "NOT LANDED", words.landing(data)


def _rollback(data: dict[str, Any]) -> Iterator[Line]:
    yield "rollback" if data["ok"] else "UNPROVEN", words.rollback(data)
    if data.get("remove_by_hand"):
        yield "by hand", clean(data["remove_by_hand"])


def _verdict(data: dict[str, Any], stated: dict[str, Any]) -> Iterator[Line]:
    yield data["verdict"].upper(), f"{data['belief']}: {clean(data['claim'])} ({data['then']})"
    yield "treatment", f"{words.counted(data)}; {words.allowed(data)}; {data['injected']} injected"
    yield "control", words.counted(data["control"])
    yield "evidence", words.weighed(data["log_e"])
    for reason in data["reasons"]:
        yield "because", clean(reason)
    yield "holds for", words.under_test(data)
    yield "to do", words.advice(data, stated.get("decides", ""), stated.get("owner", ""))
    yield "re-run", f"refute rerun {data['experiment']}"


def _learned(data: dict[str, Any]) -> Iterator[Line]:
    yield "learned", f"{data['belief']}: {words.learned(data)}; {words.foreseen(data)}"


def _next(data: dict[str, Any]) -> Iterator[Line]:
    for unknown in data["unknown"]:
        yield "unknown", clean(unknown)
    for proposal in data["proposals"]:
        yield "next", f"{', '.join(proposal['beliefs'])} by {words.proposal(proposal)}"


def _problem(data: dict[str, Any]) -> Iterator[Line]:
    for line in words.problem_lines(data):
        yield "problem", line


def _summary(data: dict[str, Any]) -> Iterator[Line]:
    for verdict in data["verdicts"]:
        confidence = f"confidence {words.moved(verdict)[0] or 'as it was'}"
        yield "result", f"{verdict['verdict']}: {verdict['belief']}, {confidence}, n {verdict['n']}, {verdict['experiment']}"
    spent = words.spend(data.get("spend") or {})
    cost = f", {spent}" if spent else ""
    yield "done", f"exit {data['exit_code']}: {words.EXIT_WORDS.get(data['exit_code'], 'unknown')}; {words.duration(data['seconds'])}{cost}"


_WRITERS: dict[str, Callable[[dict[str, Any]], Iterator[Line]]] = {
    "intent": _intent,
    "campaign": _campaign,
    "plan": _plan,
    "experiment": _experiment,
    "forecast": _forecast,
    "phase": _phase,
    "progress": _progress,
    "ramp": _ramp,
    "blast": _blast,
    "stop": _stop,
    "landing": _landing,
    "rollback": _rollback,
    "learned": _learned,
    "next": _next,
    "problem": _problem,
    "summary": _summary,
}
