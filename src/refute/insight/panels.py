"""What stays on the terminal: beliefs, plan, experiment, verdict, what was learned."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from refute.insight import words
from refute.insight.bars import bar, whisker
from refute.insight.curve import curve
from refute.insight.live import CONTROL, TREATMENT, VERDICT_STYLES
from refute.insight.words import clean

QUIET = "bright_black"
STATE_STYLES = {**VERDICT_STYLES, "fixed": "green", "stale": "yellow", "accepted": "yellow"}


def heading(text: str, aside: str = "") -> Text:
    """Return a section's heading after an empty line."""
    return Text.assemble("\n", (text, "bold"), (f"  {aside}" if aside else "", QUIET))


def facts(rows: list[tuple[str, str | Text]], indent: str = "  ") -> Table:
    """Return labelled lines that wrap in their own column."""
    table = Table.grid(padding=(0, 1))
    table.add_column(width=10 + len(indent), style=QUIET)
    table.add_column(ratio=1)
    for label, value in rows:
        table.add_row(f"{indent}{label}", value)
    return table


def marked(rows: list[tuple[Text, Text | str]]) -> Table:
    """Return lines behind a mark that wrap in their own column."""
    table = Table.grid(padding=(0, 1))
    for mark, value in rows:
        table.add_row(" ", mark, value)
    return table


def intent_view(data: dict[str, Any], width: int) -> RenderableType:
    """Return components and beliefs."""
    where = f" · {clean(data['environment'])}" if data.get("environment") else ""
    head = Text.assemble(("Refute", "bold cyan"), "  ", (clean(data["system"]), "bold"), (f"{where} · {clean(data['path'])}", QUIET))
    calls = Table.grid(padding=(0, 1))
    for component in data["components"]:
        onward = Text.assemble(("→ ", QUIET), ", ".join(component["calls"])) if component["calls"] else Text("")
        calls.add_row(" ", component["name"], Text(component["kind"], QUIET), onward)
    beliefs = Table.grid(padding=(0, 1), expand=True)
    beliefs.add_column(width=2, justify="right")
    beliefs.add_column(ratio=1)
    beliefs.add_column(width=16 if width >= 80 else 8)
    beliefs.add_column(width=6, justify="right")
    beliefs.add_column(width=10)
    for belief in data["beliefs"]:
        state = belief["state"]
        glyph = Text(words.STATE_GLYPHS.get(state, "·"), STATE_STYLES.get(state, QUIET))
        size = 16 if width >= 80 else 8
        cells = (bar(belief["confidence"], size, "blue"), words.percent(belief["confidence"]), Text(state, STATE_STYLES.get(state, QUIET)))
        beliefs.add_row(glyph, clean(belief["claim"]), *cells)
        for reason in belief.get("stale") or ():
            beliefs.add_row("", Text(clean(reason), QUIET))
    notes = [Text(f"   {clean(note)}", QUIET) for note in data.get("notes") or ()]
    journeys = ", ".join(f"{journey['name']} {words.percent(journey['share'])}" for journey in data["journeys"])
    return Group(head, heading("Components", journeys), calls, heading("What we believe", "and how sure we are"), beliefs, *notes)


def plan_view(data: dict[str, Any], width: int) -> RenderableType:
    """Return the next best experiment, the others by rank, and what was refused."""
    parts: list[RenderableType] = []
    if data["proposals"]:
        best = data["proposals"][0]
        parts += [heading("Next best experiment"), facts(_proposal_facts(best))]
    if data["proposals"][1:]:
        parts += [heading("Then"), _proposals(data["proposals"][1:], width)]
    if data.get("error_budget"):
        parts.append(facts([("budget", words.error_budget(data["error_budget"]))]))
    refused: list[tuple[Text, Text | str]] = []
    for refusal in data["refusals"]:
        reason = f"  {clean(refusal['reason'])} [{refusal['code']}]"
        refused.append((Text("✘", "yellow"), Text.assemble(words.struck(refusal), (reason, QUIET))))
    if refused:
        parts += [heading("Refused"), marked(refused)]
    return Group(*parts)


def campaign_view(data: dict[str, Any], _width: int) -> RenderableType:
    """Return how far a campaign is."""
    style = {"ended": "green", "halted": "yellow"}.get(data["state"], "cyan")
    return Group(heading("Campaign"), facts([("", Text(words.campaign(data), style))]))


def _proposal_facts(best: dict[str, Any]) -> list[tuple[str, str | Text]]:
    gain = Text.assemble(bar(words.gain(best), 16, "green"), f" {words.gain(best):.2f} bits about {', '.join(best['beliefs'])}")
    risk = Text.assemble(bar(best["risk"] / 0.05, 16, "yellow"), f" {words.risk(best)}")
    rows: list[tuple[str, str | Text]] = [("what", Text(words.strike(best), "bold")), ("gain", gain), ("risk", risk)]
    size = f"at most {words.number(best['units'])} units in {words.duration(best['seconds'])}"
    rows.append(("answer", f"{words.percent(best['probability_of_answer'])} chance, {size}"))
    rows += [("harm", words.reach(best).removeprefix("predicted harm: "))] if words.reach(best) else []
    rows += [("why", clean(reason)) for reason in best.get("reasons") or ()]
    return rows


def _proposals(proposals: list[dict[str, Any]], width: int) -> Table:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(width=2)
    table.add_column(ratio=1)
    table.add_column(justify="right")
    table.add_column(justify="right")
    for proposal in proposals:
        what = f"{proposal['fault']} on {proposal['target']}"
        for_what = Text.assemble(what, (f" for {', '.join(proposal['beliefs'])}", QUIET))
        gain = Text.assemble(bar(words.gain(proposal), 8, "green") if width >= 80 else "", f" {words.gain(proposal):.2f} bits")
        table.add_row(" ", for_what, gain, Text(f"risk {words.percent(proposal['risk'])}", QUIET))
    return table


def experiment_view(data: dict[str, Any]) -> RenderableType:
    """Return what is about to run, and what it will cost."""
    rows: list[tuple[str, str | Text]] = []
    for belief in data["beliefs"]:
        rows += [("claim", Text(clean(belief["claim"]), "bold")), ("must hold", clean(belief["then"]))]
        rows += [("decides", clean(belief["decides"]))] if belief.get("decides") else []
        odds = (data.get("answerable") or {}).get(belief["id"])
        rows += [("answer", words.answerable(odds))] if odds else []
    rows.append(("fault", f"{words.strike(data)}: {clean(data['fault_summary'])}"))
    rows.append(("costs", f"{words.cost(data)}; {words.exposed(data)} are in treatment"))
    for gate in data.get("gates") or ():
        if not gate["ok"]:
            rows.append(("gate", Text(f"✘ {gate['name']}: {clean(gate['reason'])}", "red")))
    if passed := [gate["name"] for gate in data.get("gates") or () if gate["ok"]]:
        rows.append(("gates", Text.assemble(("✔ ", "green"), ", ".join(passed))))
    rerun = f"re-run of {data['rerun_of']}" if data.get("rerun_of") else ""
    title = Text.assemble((f"Experiment {data['experiment']}", "bold"), f" {rerun}".rstrip())
    return Group(Text(""), Rule(title, align="left", style=QUIET), facts(rows))


def forecast_view(data: dict[str, Any]) -> RenderableType:
    """Return the forecast that was locked."""
    locked = f"  locked as {words.short(data['digest'])}"
    several = len(data["beliefs"]) > 1
    rows: list[tuple[str, str | Text]] = [
        ("forecast", Text.assemble((f"{name}: " if several else "", QUIET), words.forecast(one), (locked, QUIET)))
        for name, one in data["beliefs"].items()
    ]
    return Group(facts(rows), Text(""))


def proof_view(label: str, text: str, *, ok: bool) -> RenderableType:
    """Return one line of proof: landed, or rolled back."""
    mark = Text.assemble(("✔ ", "green") if ok else ("✘ ", "bold red"), (f"{label:<11}", "bold"))
    return marked([(mark, Text(text, "" if ok else "red"))])


def by_hand_view(data: dict[str, Any]) -> RenderableType:
    """Return how to remove what may still be broken."""
    body = Text.assemble((words.rollback(data), "bold"), f"\n\nTo do now: {clean(data.get('remove_by_hand') or 'refute recover')}")
    return Padding(Panel(body, title="Rollback unproven", border_style="bold red", box=box.HEAVY), (1, 0))


def blast_view(data: dict[str, Any]) -> RenderableType:
    """Return what was predicted and what was harmed."""
    table = Table.grid(padding=(0, 2))
    table.add_row("  ", "", Text("predicted", QUIET), Text("actual", QUIET))
    for name, predicted, actual in words.blast_rows(data):
        table.add_row("  ", name, predicted, Text(actual, "yellow" if actual.startswith("harmed") else ""))
    return Group(heading("Blast radius"), table, Text(f"  {words.blast(data)}", QUIET))


def ramp_view(data: dict[str, Any]) -> RenderableType:
    """Return how far the share of treatment has grown."""
    return marked([(Text.assemble(("▲ " if data["ok"] else "■ ", "yellow"), (f"{'ramp':<11}", "bold")), Text(words.ramp(data)))])


def stop_view(data: dict[str, Any]) -> RenderableType:
    """Return which stop condition fired."""
    text = f"{clean(data['condition'])}: {data['value']:.3g} seen after {data['units']} units; rolled back within "
    return marked([(Text("■ stopped    ", "bold magenta"), text + words.duration(data["seconds_to_rollback"]))])


def verdict_view(data: dict[str, Any], stated: dict[str, Any], width: int) -> RenderableType:
    """Return the verdict with its numbers, intervals and control."""
    verdict = data["verdict"]
    style = VERDICT_STYLES.get(verdict, "white")
    title = Text(f" {words.VERDICT_GLYPHS.get(verdict, '·')} {verdict.upper()} ", f"bold reverse {style}")
    claim = Text.assemble((clean(data["claim"]), "bold"), "\n", (clean(data["then"]), QUIET))
    rows: list[tuple[str, str | Text]] = [("because", clean(reason)) for reason in data["reasons"]]
    rows += [("evidence", words.weighed(data["log_e"])), ("holds for", Text(words.under_test(data), QUIET))]
    if stated.get("decides"):
        rows.append(("decides", clean(stated["decides"])))
    rows.append(("to do", words.advice(data, stated.get("decides", ""), stated.get("owner", ""))))
    rows.append(("re-run", Text(f"refute rerun {data['experiment']}", "cyan")))
    body = Group(claim, Text(""), _cohorts(data, width), Text(""), facts(rows, indent=""))
    return Padding(Panel(body, title=title, title_align="left", border_style=style, box=box.ROUNDED), (1, 0, 0, 0))


def _cohorts(data: dict[str, Any], width: int) -> Table:
    table = Table.grid(padding=(0, 1))
    sides = (("treatment", data, TREATMENT), ("control", data["control"], CONTROL))
    bound = data["bound"] + (data["control"].get("rate") or 0.0 if words.relative(data["then"]) else 0.0)
    top = max((0.02, bound * 1.5, *((side.get("interval") or [0, 0])[1] * 1.05 for _, side, _ in sides)))
    size = max(12, min(36, width - 62)) if width >= 80 else 12
    for name, side, style in sides:
        if not side.get("n"):
            table.add_row(Text(name, style), "no units", "", "")
            continue
        low, high = side.get("interval") or (side["rate"], side["rate"])
        drawn = whisker((low, side["rate"], high), bound, top, size, style)
        count = f"{side['band']}, {side['n']} units" if side.get("band") else f"{side['breaches']:g} of {side['n']}"
        table.add_row(Text(name, style), drawn, Text(words.percent(side["rate"]), "bold"), f"{count}, {words.interval([low, high])}")
    beyond = "points above control" if words.relative(data["then"]) else "at most"
    table.add_row(Text("allowed", QUIET), Text("┆", QUIET), Text(words.percent(data["bound"]), QUIET), Text(beyond, QUIET))
    return table


def learned_view(data: dict[str, Any], width: int) -> RenderableType:
    """Return confidence before and after."""
    size = 24 if width >= 80 else 12
    rows: list[tuple[str, str | Text]] = [
        ("before", Text.assemble(bar(data["confidence_before"], size, "blue"), f" {words.percent(data['confidence_before'])}")),
        ("after", Text.assemble(bar(data["confidence_after"], size, "bold blue"), f" {words.percent(data['confidence_after'])}")),
        ("gained", words.gained(data)),
        ("foreseen", words.foreseen(data)),
    ]
    if data.get("threshold") is None:
        return Group(heading("What was learned", data["belief"]), facts(rows))
    rows = [("found", Text(data["threshold"]["sentence"], "bold")), *rows]
    return Group(heading("What was learned", data["belief"]), facts(rows), Text(""), curve(data["threshold"], width))


def next_view(data: dict[str, Any], width: int) -> RenderableType:
    """Return what is still unknown, and what to test next."""
    parts: list[RenderableType] = []
    if data["unknown"]:
        parts += [heading("Still unknown"), marked([(Text("○", QUIET), clean(unknown)) for unknown in data["unknown"]])]
    if data["proposals"]:
        parts += [heading("What next"), _proposals(data["proposals"], width)]
    return Group(*parts)


def problem_view(data: dict[str, Any]) -> RenderableType:
    """Return one problem as its lines."""
    return marked([(Text("!", "bold yellow"), Text("\n  ".join(words.problem_lines(data))))])


def summary_view(data: dict[str, Any], width: int) -> RenderableType:
    """Return every verdict on a line, and what the exit code means."""
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(width=2)
    table.add_column(width=1)
    table.add_column(width=12)
    table.add_column(ratio=1, overflow="ellipsis", no_wrap=True)
    table.add_column(justify="right")
    for verdict in data["verdicts"]:
        style = VERDICT_STYLES.get(verdict["verdict"], "white")
        glyph = words.VERDICT_GLYPHS.get(verdict["verdict"], "·")
        moved, bits = words.moved(verdict)
        confidence = f"{moved}  {bits}" if width >= 80 else moved
        table.add_row("", Text(glyph, style), Text(verdict["verdict"], f"bold {style}"), verdict["belief"], confidence)
    spent = words.spend(data.get("spend") or {})
    meaning = words.EXIT_WORDS.get(data["exit_code"], "")
    last = Text.assemble((f"exit {data['exit_code']}", "bold"), f": {meaning}", (f" · {words.duration(data['seconds'])}", QUIET))
    last.append(f" · {spent}" if spent else "", QUIET)
    return Group(heading("Summary"), table, Text(""), Padding(last, (0, 0, 1, 2)))
