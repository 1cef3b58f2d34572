"""Writes a report: one HTML file with its data, style and program inside, which asks the network for nothing."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

from refute.core.events import Event, Recorded
from refute.insight.model import report_model

_SCRIPTS = ("dom.js", "chart.js", "plots.js", "trainings.js", "page.js")
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def write_report(events: Iterable[Event | Recorded | dict[str, Any]], path: Path | str) -> Path:
    """Write the report of a run, or of several.

    Args:
        events: oldest first.
        path: of the HTML file; its folder is made.

    Returns:
        The path.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page(report_model(events)), encoding="utf-8")
    return target


def page(model: dict[str, Any]) -> str:
    """Return the page of a report's content.

    Only our own style and program may run, by their hashes: whatever a claim holds stays text.
    """
    web = files("refute.insight") / "web"
    style = (web / "page.css").read_text(encoding="utf-8")
    script = "\n".join((web / name).read_text(encoding="utf-8") for name in _SCRIPTS)
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    parts = {
        "TITLE": html.escape(model["title"]),
        "POLICY": policy,
        "STYLE": style,
        "PLAIN": _plain(model),
        "DATA": _embed(model),
        "SCRIPT": script,
    }
    head, *rest = (web / "page.html").read_text(encoding="utf-8").split("{{")
    filled = (parts[name] + tail for name, tail in (piece.split("}}", 1) for piece in rest))
    return head + "".join(filled)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _embed(model: dict[str, Any]) -> str:
    text = json.dumps(model, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return "".join(_ESCAPES.get(character, character) for character in text)


def _plain(model: dict[str, Any]) -> str:
    """Return the verdicts for a reader without JavaScript."""
    lines = [verdict["headline"] for experiment in model["experiments"] for verdict in experiment["verdicts"]]
    return "".join(f"<li>{html.escape(line)}</li>" for line in lines)
