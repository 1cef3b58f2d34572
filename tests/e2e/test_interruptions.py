"""A fast share of `benchmarks/interruptions.py`, our side of it, and proof that it can fail."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from refute.core.process import terminate
from refute.safety._post import Post

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import interruptions
from interruptions import DISTURBANCES, Tool, refute, trial

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="guardians need Linux")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(interruptions, "LATER_S", 1.0)
    monkeypatch.setattr(interruptions, "end_guardian", lambda folder, _environ: end_guardian(folder / "state/refute/guardian"))


def end_guardian(place):
    if (guardian := Post(place).holder()) is not None:
        terminate(guardian)


def disturbance(word):
    (one,) = (one for one in DISTURBANCES if word in one.name)
    return one


@pytest.mark.parametrize(
    ("word", "code", "record"),
    [("terminal", 130, "no verdict"), ("check raises", 3, "inconclusive")],
)
def test_a_disturbed_run_leaves_nothing_and_says_what_it_knows(word, code, record):
    row = trial(refute(), disturbance(word))
    assert (row.exit_code, row.record.split()[0], row.injected, row.left) == (code, record.split()[0], True, False), row


def test_a_fault_that_is_left_behind_is_seen():
    careless = "import os, signal, time; os.kill(int(open('stock.pid').read()), signal.SIGSTOP); time.sleep(60)"
    tool = Tool("careless", lambda *_: None, (sys.executable, "-c", careless), lambda *_: "nothing")
    row = trial(tool, disturbance("kill -9"))
    assert (row.exit_code, row.injected, row.left) == (137, True, True)
