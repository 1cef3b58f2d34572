"""A dose-response curve made of characters: one line a magnitude, its breach rate with the band, and what was tried."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

from refute.insight import words
from refute.insight.bars import whisker

_ROWS = 9


def curve(threshold: dict[str, Any], width: int) -> Table:
    """Return the curve of a threshold: the bound is the dashed line; what lies left of it is within the criterion.

    Args:
        threshold: as a `learned` event holds it.
        width: of the terminal.
    """
    table = Table.grid(padding=(0, 1))
    size = max(12, min(40, width - 46))
    points = threshold["curve"]
    places = {point["magnitude"]: place for place, point in enumerate(points)}
    tried = {places[one["magnitude"]]: one for one in threshold["tried"]}
    shown = sorted({*range(0, len(points), max(1, len(points) // _ROWS)), *tried})
    for place in shown:
        point, run = points[place], tried.get(place)
        style = "green" if point["rate"] <= threshold["bound"] else "red"
        drawn = whisker((point["low"], point["rate"], point["high"]), threshold["bound"], 1.0, size, style)
        note = f"{run['breaches']:g} of {run['n']:g} breached" if run else ""
        label = Text(words.magnitude(point["magnitude"], threshold["unit"]), "bold" if run else "bright_black")
        table.add_row("  ", label, drawn, Text(words.percent(point["rate"]), style), Text(note, "bright_black"))
    return table
