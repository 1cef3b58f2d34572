"""Two files in which nearly everything is wrong, and every word that is said about them."""

import os
from pathlib import Path

import pytest

from refute.core.errors import RefuteError
from refute.intent import load
from support.intents import FAULTS, project

TESTS = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["broken", "flawed"])
def test_everything_that_is_wrong_is_said_at_once(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    project(tmp_path, (TESTS / "support" / f"{name}.yaml").read_text())
    with pytest.raises(RefuteError) as caught:
        load("refute.yaml", resolve=True, faults=FAULTS)
    golden = TESTS / "golden" / "intent" / f"{name}.txt"
    if os.environ.get("REFUTE_UPDATE_GOLDEN"):
        golden.write_text(f"{caught.value}\n")
    assert f"{caught.value}\n" == golden.read_text()
