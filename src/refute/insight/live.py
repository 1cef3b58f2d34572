"""One phase while it runs: both arms side by side, and evidence on its way to its bound."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from refute.insight import words
from refute.insight.bars import bar, evidence_bar

TREATMENT = "yellow"
CONTROL = "cyan"
VERDICT_STYLES = {"held": "green", "refuted": "red", "inconclusive": "yellow", "void": "yellow", "aborted": "magenta"}


def phase_view(phase: dict[str, Any], progress: dict[str, Any] | None, width: int) -> RenderableType:
    """Return the picture of a phase.

    Args:
        phase: its `phase` event.
        progress: the latest `progress` event, None before the first.
        width: of the terminal, in characters.
    """
    if progress is None:
        return Text.assemble("  ", (f"{phase['phase']:<9}", "bold"), (f"at most {words.number(phase['units'])} units", "bright_black"))
    parts: list[RenderableType] = [_head(phase, progress, width), Text(""), _arms(progress, width)]
    if progress.get("log_e"):
        parts += [Text(""), _evidence(progress["log_e"], width)]
    return Group(*parts)


def _head(phase: dict[str, Any], progress: dict[str, Any], width: int) -> Text:
    planned = max(1, progress["planned"])
    head = Text.assemble("  ", (f"{progress['phase']:<9}", "bold"), bar(progress["units"] / planned, max(8, width // 4 - 3), "blue"))
    head.append(f" {progress['units']} of {progress['planned']} units", "bold")
    head.append(f"  {words.duration(progress['elapsed_s'])}", "bright_black")
    if width >= 80:
        head.append(f" of {words.duration(phase['seconds'])}", "bright_black")
    if progress.get("lease_s"):
        head.append(f"  lease {progress['lease_s']:.1f} s", "bright_black" if progress["lease_s"] > 1 else "bold red")
    head.no_wrap, head.overflow = True, "ellipsis"
    return head


def _arms(progress: dict[str, Any], width: int) -> Table:
    size = max(5, min(20, (width - 46) // 2))
    table = Table.grid(padding=(0, 1))
    arms = progress["arms"]
    treatment, control = arms["treatment"], arms["control"]
    table.add_row("", "", Text("treatment", TREATMENT), Text(f"{treatment['n']:>5}"), Text("control", CONTROL), Text(f"{control['n']:>5}"))
    for name in treatment["indicators"]:
        values = [arm["indicators"].get(name) for arm in (treatment, control)]
        top = 1.0 if not name.endswith("latency") else max([value for value in values if value is not None] or [1.0])
        cells: list[Text] = []
        for value, style in zip(values, (TREATMENT, CONTROL), strict=True):
            cells += [bar((value or 0.0) / (top or 1.0), size, style), Text(f"{words.measure(name, value):>7}")]
        table.add_row(" ", Text(name[:14], "bright_black"), *cells)
    for word in ("hit", "failed"):
        table.add_row(" ", Text(word, "bright_black"), "", Text(f"{treatment[word]:>5}"), "", Text(f"{control[word]:>5}"))
    return table


def _evidence(log_e: dict[str, dict[str, float]], width: int) -> Table:
    table = Table.grid(padding=(0, 1))
    size = max(10, min(40, width - 40))
    for name, odds in log_e.items():
        needed = words.evidence(odds["bound"])
        table.add_row(" ", Text("evidence", "bright_black"), Text(name[:size]), Text(f"{needed} decides", "bright_black"))
        for side, word, verdict in (("hold", "it holds", "held"), ("refute", "it does not", "refuted")):
            drawn = evidence_bar(odds[side], odds["bound"], size, VERDICT_STYLES[verdict])
            table.add_row(" ", Text(word, "bright_black"), drawn, Text(words.evidence(odds[side])))
    return table


def phase_line(phase: dict[str, Any], progress: dict[str, Any] | None, width: int) -> Text:
    """Return what stays of a phase when it has ended: both arms' indicators, as many as there is room for."""
    ok = phase["ok"]
    line = Text.assemble("  ", ("✔ " if ok else "■ ", "green" if ok else "magenta"), (f"{phase['phase']:<12}", "bold"))
    line.append(f"{words.number(phase['units']):>4} units  {words.duration(phase['seconds']):<7}")
    if phase.get("reason"):
        line.append(f"  {words.clean(phase['reason'])}", "" if ok else "magenta")
    arms = progress["arms"] if progress else {"treatment": {"indicators": {}}}
    for name, value in arms["treatment"]["indicators"].items():
        pair = Text.assemble((f"  {name} ", "bright_black"), (words.measure(name, value), TREATMENT))
        pair.append(" beside ", "bright_black").append(words.measure(name, arms["control"]["indicators"].get(name)), CONTROL)
        if line.cell_len + pair.cell_len < width:
            line.append_text(pair)
    return line
