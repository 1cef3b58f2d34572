"""Forecasts of people, findings and the account, as a user meets them."""

import json
import time

import pytest

from refute.cli import main
from refute.core.events import Event
from refute.ledger import Ledger
from support.intents import VALID, project

BELIEF = "rate-limits-absorbed"
SOON = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 30 * 86_400))


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr("refute.cli.forecast.load", _load)
    project(tmp_path, VALID)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _load(path):
    from refute.intent import load
    from support.intents import FAULTS

    return load(path, faults=FAULTS)


def inside(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    told = capsys.readouterr()
    return ended.value.code, told.out, told.err


def kept(*events):
    with Ledger.open() as ledger:
        for number, (kind, data) in enumerate(events):
            ledger.append(Event(kind, data, 1000.0 + number))


def refuted():
    stated = {"id": BELIEF, "claim": "c", "stated_confidence": 0.9, "owner": "team"}
    kept(
        ("intent", {"beliefs": [stated]}),
        ("experiment", {"experiment": "e1", "beliefs": [{"id": BELIEF}], "proposal": {"risk": 0.02}}),
        ("forecast", {"experiment": "e1", "beliefs": {BELIEF: {"held": 0.7, "refuted": 0.1, "inconclusive": 0.2}}}),
        ("verdict", {"experiment": "e1", "belief": BELIEF, "verdict": "refuted", "claim": "c", "environment": ""}),
        ("learned", {"experiment": "e1", "belief": BELIEF, "counted": True, "bits": 0.4, "surprise_bits": 2.0}),
    )


def test_a_forecast_is_locked_in_the_ledger_and_scored_by_the_next_run(capsys):
    code, out, _ = inside(capsys, "forecast", BELIEF, "--held", "20%", "--refuted", "70%", "--by", "ada", "--named", "--json")
    assert code == 0
    with Ledger.open() as ledger:
        assert json.loads(out)["digest"] == ledger.head()
    refuted()
    code, out, _ = inside(capsys, "account", "--json")
    told = json.loads(out)
    assert (code, told["runs"], told["bits"]) == (0, 1, 0.4)
    assert told["people"]["ada"]["brier"] == pytest.approx(0.2**2 + 0.3**2 + 0.1**2)
    assert told["calibration"]["planner"]["brier"] == pytest.approx(0.7**2 + 0.9**2 + 0.2**2)


def test_a_finding_is_accepted_with_who_why_and_until_when(capsys):
    refuted()
    assert f"finding {BELIEF} (team): c  open since e1" in inside(capsys, "account")[1]
    code, out, _ = inside(capsys, "accept", BELIEF, "--why", "next sprint", "--until", SOON, "--by", "ada")
    assert (code, out.startswith(f"{BELIEF} is accepted by ada until {SOON}")) == (0, True)
    assert f"accepted by ada until {SOON}: next sprint" in inside(capsys, "account")[1]
    with Ledger.open() as ledger:
        assert ledger.verify().ok


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["forecast", "nothing-like-it", "--held", "20%"], "BELIEF-UNKNOWN"),
        (["forecast", BELIEF, "--held", "0.2"], "FORECAST-SHARE"),
        (["forecast", BELIEF, "--held", "60%", "--refuted", "60%"], "FORECAST-SUM"),
        (["forecast", BELIEF, "--held", "60%", "--by", "a\nb"], "BY-NAME"),
        (["accept", BELIEF, "--why", " ", "--until", SOON], "ACCEPT-WHY"),
        (["accept", BELIEF, "--why", "x", "--until", "soon"], "ACCEPT-UNTIL"),
        (["accept", BELIEF, "--why", "x", "--until", "2020-01-01"], "ACCEPT-UNTIL"),
        (["accept", "no-such", "--why", "x", "--until", SOON], "ACCEPT-NOTHING"),
    ],
)
def test_bad_input_is_exit_2_and_keeps_nothing(capsys, arguments, code):
    refuted()
    with Ledger.open() as ledger:
        head = ledger.head()
    exit_code, _, err = inside(capsys, *arguments)
    assert (exit_code, f"[{code}]" in err) == (2, True)
    with Ledger.open() as ledger:
        assert ledger.head() == head
