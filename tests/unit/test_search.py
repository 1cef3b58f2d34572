"""The search for a threshold: from the ledger's events to the next magnitude, the sentence and the curve."""

from __future__ import annotations

from dataclasses import replace

import pytest

from refute.campaign.plan import Proposal, Question, ask
from refute.campaign.search import Search, Tried, chances_of
from refute.campaign.standing import standings
from refute.core.errors import RefuteError
from refute.experiment.assess import Verdict, about_threshold
from refute.faults.spec import Magnitude
from refute.intent import load
from refute.learning import Counts
from support.intents import changed, project

ID = "slow-retrieval-tolerated"
SCALE = Magnitude("s", 0.01, 120.0, 2.0, "time added", log=True)


@pytest.fixture
def intent(tmp_path):
    text, _line = changed("confidence: 80%", "confidence: {at_least: 1 s, sure: 80%}")
    return load(project(tmp_path, text.replace(", magnitude: 2 s", "")))


@pytest.fixture
def search(intent):
    found = standings(intent, [], "")[ID].search
    assert found is not None
    return found


def tried(magnitude, breaches, units, draw=""):
    return Tried(magnitude, Counts(breaches, units), Counts(0, units), draw or f"seed of {magnitude}")


def test_where_too_much_harms_nobody_the_search_comes_from_anywhere(search):
    careful, free = search.ask(1, 1.0), replace(search, free=True).ask(1, 1.0)
    assert free > careful
    assert replace(search, free=True).ask(1, 50.0) == free, "the price of risk is no matter"


def test_what_is_stated_is_what_is_believed(intent, search):
    assert intent.beliefs[ID].at_least == 1.0
    assert search.confidence == pytest.approx(0.8, abs=0.02)
    assert search.most == 30.0, "beyond the workload's timeout every unit fails"
    assert not search.settled
    assert search.sentence().endswith(", over 30 s]")
    assert search.after(tried(20.0, 0, 60)).sentence().endswith("at least, maybe beyond 30 s")


def test_the_search_comes_from_below_and_settles(search):
    true, magnitudes = 1.6, []
    while not search.settled:
        magnitude = search.ask(60, 10.0)
        magnitudes.append(magnitude)
        search = search.after(tried(magnitude, 0 if magnitude <= true else 58, 60))
    assert len(magnitudes) <= 12
    assert max(magnitudes) < 4 * true
    assert sum(one > true for one in magnitudes) <= 4
    found = search.to_json()
    assert found["low"] < true < found["high"]
    assert found["sentence"].startswith("holds up to 1.")
    assert search.confidence > 0.95
    assert all(str(float(f"{one:.2g}")) == str(one) for one in magnitudes), "magnitudes can be read out"


def test_a_higher_price_of_risk_asks_for_less(search):
    asked = [search.ask(60, price) for price in (0.0, 1.0, 10.0, 100.0)]
    assert asked == sorted(asked, reverse=True)
    assert asked[-1] < asked[0]


def test_repeats_of_a_run_weigh_as_one(search):
    once = search.after(tried(1.0, 0, 30, "same"))
    twice = once.after(tried(1.0, 0, 30, "same"))
    assert twice.confidence == pytest.approx(once.confidence)
    assert once.after(tried(1.0, 0, 30, "other")).confidence > once.confidence


def test_the_curve_goes_through_what_was_tried(search):
    found = search.after(tried(0.5, 0, 60)).after(tried(4.0, 60, 60)).to_json()
    rates = {one["magnitude"]: one["rate"] for one in found["curve"]}
    assert rates[0.5] < 0.05
    assert rates[4.0] > 0.9
    assert [one["magnitude"] for one in found["tried"]] == [0.5, 4.0]
    assert list(rates) == sorted(rates)


def test_counts_are_asked_whole(search):
    whole = replace(search, scale=Magnitude("1", 2, 100, 10, "factor"), most=100.0, belief=replace(search.belief, at_least=5.0))
    assert whole.ask(60, 10.0) == int(whole.ask(60, 10.0))


def test_the_plan_proposes_a_magnitude_and_says_why(intent):
    plan = ask(intent, standings(intent, [], ""), Question())
    (proposal,) = (one for one in plan.proposals if one.beliefs[0].id == ID)
    assert isinstance(proposal, Proposal)
    assert proposal.arming.magnitude not in {None, 2.0}
    again = ask(intent, standings(intent, [], ""), Question(magnitude=0.7))
    assert {one.arming.magnitude for one in again.proposals if one.beliefs[0].id == ID} == {0.7}


def test_what_was_learned_is_taken_up_from_the_ledger(intent):
    marks = standings(intent, [], "")[ID].marks
    event = {
        "experiment": "e1", "belief": ID, "environment": "", "verdict": "inconclusive", "counted": True, "n": 60, "breaches": 0,
        "bound": 0.05, "draw": "d", "marks": dict(marks), "magnitude": 0.5, "control": {"n": 60, "breaches": 0},
    }  # fmt: skip
    found = standings(intent, [event], "")[ID]
    assert isinstance(found.search, Search)
    assert [one.magnitude for one in found.search.tried] == [0.5]
    assert found.confidence > 0.8
    assert standings(intent, [{**event, "marks": {}}], "")[ID].search.tried == ()


@pytest.mark.parametrize(
    ("word", "magnitude", "told"),
    [
        ("held", 2.0, "held"), ("held", 1.0, "held"), ("held", 0.5, "inconclusive"), ("refuted", 0.5, "refuted"),
        ("refuted", 1.0, "refuted"), ("refuted", 2.0, "inconclusive"), ("void", 2.0, "void"), ("aborted", 0.5, "aborted"),
    ],
)  # fmt: skip
def test_a_verdict_at_one_magnitude_says_something_of_others(word, magnitude, told):
    assert about_threshold(Verdict(word, ("why",)), magnitude, 1.0, "x").word == told
    assert about_threshold(Verdict(word, ("why",)), magnitude, None, "x").word == word


def test_forecasts_speak_of_the_belief(search):
    chances = {"held": 0.6, "refuted": 0.3, "inconclusive": 0.1}
    assert chances_of(search.belief, 2.0, chances) == pytest.approx({"held": 0.6, "refuted": 0.0, "inconclusive": 0.4})
    assert chances_of(search.belief, 0.5, chances) == pytest.approx({"held": 0.0, "refuted": 0.3, "inconclusive": 0.7})
    assert chances_of(replace(search.belief, at_least=None), 2.0, chances) == chances


@pytest.mark.parametrize(
    ("confidence", "when", "code"),
    [
        ("{at_least: 1 s, sure: 80%}", "magnitude: 2 s", "THRESHOLD-MAGNITUDE"),
        ("{at_least: 1, sure: 80%}", "", "MAGNITUDE-UNIT"),
        ("{at_least: 900 s, sure: 80%}", "", "MAGNITUDE-RANGE"),
        ("{at_least: 1 s}", "", "VALUE-TYPE"),
        ("{at_least: 1 s, sure: 100%}", "", "CONFIDENCE-CERTAIN"),
    ],
)
def test_bad_thresholds_are_told(tmp_path, confidence, when, code):
    text, _line = changed("confidence: 80%", f"confidence: {confidence}")
    text = text.replace(", magnitude: 2 s", f", {when}" if when else "")
    with pytest.raises(RefuteError) as told:
        load(project(tmp_path, text))
    assert [problem.code for problem in told.value.problems] == [code]
