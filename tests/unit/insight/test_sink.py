from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading

import pytest
from story import Story

from refute.core.events import Event
from refute.insight.sink import Sink
from refute.insight.terminal import display


def encoded(encoding: str, text: str) -> bytes:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    Sink(stream).write(text)
    stream.flush()
    return raw.getvalue()


def test_ascii_keeps_columns():
    assert encoded("ascii", "╭━╸─╮ ✔ 3 → 4 “x”") == b'+=--+ + 3 > 4 "x"'


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8", "utf-16"])
def test_any_text_can_be_written_in_any_encoding(encoding):
    assert encoded(encoding, "日本語 \ud800 ━ ∅ ■ ✘")


def test_a_reader_that_left_costs_nothing_but_silence():
    read, write = os.pipe()
    stream = os.fdopen(write, "w", buffering=1)
    os.close(read)
    sink = Sink(stream)
    assert sink.write("one\n") == 4
    assert sink.gone
    sink.write("two\n")
    sink.flush()
    stream.close()


def test_a_closed_stream_costs_nothing():
    stream = io.StringIO()
    sink = Sink(stream)
    stream.close()
    sink.write("one")
    assert sink.gone
    assert not sink.isatty()


def test_piping_into_head_ends_without_a_traceback():
    program = (
        "import sys\n"
        "from refute.core.events import Event\n"
        "from refute.insight.terminal import display\n"
        "shown = display('auto', sys.stdout)\n"
        "for i in range(20000): shown.see(Event('landing', dict(ok=True, eligible=i, injected=0, expected_share=0.1)))\n"
        "shown.close()\n"
    )
    done = subprocess.run(
        f'"{sys.executable}" -c "{program}" | head -n 1', shell=True, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


@pytest.mark.parametrize("mode", ["plain", "json"])
def test_an_event_that_cannot_be_shown_does_not_end_the_run(mode):
    stream = io.StringIO()
    shown = display(mode, stream)
    shown.see(Event("verdict", {"verdict": "held"}))
    shown.see(Story(scale=0.05).events(1)[0])
    shown.close()
    assert stream.getvalue()


def test_rich_is_imported_only_for_a_terminal():
    program = (
        "import sys; from refute.insight.terminal import display\n"
        "for mode in ('auto', 'plain', 'json'): display(mode, sys.stdout)\n"
        "print('rich' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False"


def test_a_reader_who_pauses_holds_up_nobody_and_gets_all_of_it_in_order():
    read, write = os.pipe()
    shown = display("json", os.fdopen(write, "w"))
    for number in range(3000):
        shown.see(Event("problem", {"what": "x" * 100, "number": number}))
    closing = threading.Thread(target=shown.close)
    closing.start()
    with os.fdopen(read) as stream:
        numbers = [json.loads(next(stream))["number"] for _ in range(3000)]
    closing.join(10)
    assert numbers == list(range(3000))
    assert not closing.is_alive()
