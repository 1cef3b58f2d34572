"""What a run looks like. After a change that is meant: REFUTE_GOLDEN=write pytest tests/golden/test_terminal.py, then read the diff."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from rich.console import Console
from story import Story

from refute.insight import live
from refute.insight.drawn import DrawnDisplay
from refute.insight.sink import Sink
from refute.insight.terminal import display

GOLDEN = Path(__file__).parent / "insight"


def agree(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("REFUTE_GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def story(*, rollback_ok: bool = True):
    return Story(scale=0.5, rollback_ok=rollback_ok).events(4)


def written(mode, events, encoding="utf-8") -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, write_through=True)
    shown = display(mode, stream)
    for event in events:
        shown.see(event)
    shown.close()
    return raw.getvalue().decode(encoding)


def console(width: int, stream=None, **more) -> Console:
    return Console(file=stream or io.StringIO(), width=width, highlight=False, markup=False, emoji=False, legacy_windows=False, **more)


def drawn(width: int, events) -> str:
    stream = io.StringIO()
    shown = DrawnDisplay(Sink(stream), console(width, stream, color_system=None, force_terminal=False))
    for event in events:
        if event.kind != "progress":  # what is redrawn is seen by itself
            shown.see(event)
    shown.close()
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def test_plain():
    text = written("auto", story())
    assert "\x1b" not in text
    agree("plain.txt", text)


def test_plain_where_the_encoding_has_ascii_only():
    agree("plain-ascii.txt", written("plain", story(), "ascii"))


def test_plain_shows_progress_every_few_seconds_only():
    events = Story().events(1)
    shown = [line for line in written("plain", events).splitlines() if " units; " in line]
    assert 0 < len(shown) <= (events[-1].at - events[0].at) / 10 + 1


def test_json_lines():
    lines = written("json", story(), "ascii").splitlines()
    assert json.loads(lines[-1])["event"] == "summary"
    kept = [line for line in lines if json.loads(line)["event"] not in {"outcomes", "progress", "evidence_point"}]
    agree("run.jsonl", "\n".join(kept) + "\n")
    assert len(lines) == len(story())


@pytest.mark.parametrize("width", [60, 100])
def test_drawn(width):
    text = drawn(width, story())
    assert max(map(len, text.splitlines())) <= width
    agree(f"drawn-{width}.txt", text)


def test_drawn_where_a_rollback_is_unproven():
    kinds = {"rollback", "landing", "summary"}
    agree("drawn-unproven.txt", drawn(80, [event for event in story(rollback_ok=False) if event.kind in kinds][:3]))


@pytest.mark.parametrize("width", [60, 100])
def test_the_running_phase(width):
    events = Story().events(1)
    phase = next(event.data for event in events if event.kind == "phase" and event.data["phase"] == "inject")
    seen = [event.data for event in events if event.kind == "progress" and event.data["phase"] == "inject"]
    parts = []
    for progress in (None, seen[3], seen[-1]):
        shown = console(width, color_system=None)
        shown.print(live.phase_view(phase, progress, width))
        parts.append("\n".join(line.rstrip() for line in shown.file.getvalue().splitlines()))
    text = "\n\n".join(parts) + "\n"
    assert max(map(len, text.splitlines())) <= width
    agree(f"live-{width}.txt", text)


def test_a_terminal_is_left_as_it_was_found():
    stream = io.StringIO()
    shown = DrawnDisplay(Sink(stream), console(80, stream, force_terminal=True))
    for event in Story(scale=0.1).events(1)[:12]:
        shown.see(event)
    shown.close()
    text = stream.getvalue()
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") > 0, "the cursor is shown again"


def test_no_color_is_obeyed(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    stream = io.StringIO()
    shown = DrawnDisplay(Sink(stream), console(80, stream, force_terminal=True))
    for event in Story(scale=0.1).events(1):
        shown.see(event)
    shown.close()
    assert "\x1b[3" not in stream.getvalue().replace("\x1b[3m", "")
