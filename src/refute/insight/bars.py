"""Bars and whiskers made of characters."""

from __future__ import annotations

from rich.text import Text


def bar(value: float, width: int, style: str) -> Text:
    """Return a bar that is filled to a share.

    Args:
        value: in [0, 1]; what lies outside is cut.
        width: in characters.
        style: of the filled part.
    """
    halves = round(max(0.0, min(1.0, value)) * width * 2)
    filled = "━" * (halves // 2) + ("╸" if halves % 2 else "")
    return Text.assemble((filled, style), ("─" * (width - len(filled)), "bright_black"))


def whisker(span: tuple[float, float, float], bound: float | None, top: float, width: int, style: str) -> Text:
    """Return a point with its interval on an axis from 0, and the bound across it.

    Args:
        span: low, point and high.
        bound: value that divides good from bad, None where there is none to show.
        top: right end of the axis.
        width: in characters.
        style: of point and interval.
    """
    low, point, high = (min(width - 1, max(0, round(value / top * (width - 1)))) for value in span)
    row: list[tuple[str, str]] = [(" ", "")] * width
    for place in range(low, high + 1):
        row[place] = ("─", style)
    if bound is not None:
        row[min(width - 1, round(bound / top * (width - 1)))] = ("┆", "bold")
    row[low] = ("├", style)
    row[high] = ("┤", style)
    row[point] = ("●", f"bold {style}")
    return Text.assemble(*row)


def evidence_bar(log_e: float, bound: float, width: int, style: str) -> Text:
    """Return evidence on a log scale: empty at 1, full where it decides.

    Args:
        log_e: natural logarithm of the evidence.
        bound: logarithm at which it decides.
        width: in characters.
        style: of the filled part.
    """
    return bar(log_e / bound if bound > 0 else 0.0, width, f"bold {style}" if log_e >= bound else style)
