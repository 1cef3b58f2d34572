"""What tested beliefs say of others, and how far a fault reaches."""

import math
import random

import pytest

from refute.core.intent import Journey, System
from refute.core.system import Component
from refute.learning import PassedOn, Relative, Traits, compare, kinship, learn_from, predicted, predicted_harm, predicted_journeys

LLM = Traits("llm", "llm", "app.llm", "llm.rate_limit")


def test_kinship_falls_with_what_is_shared():
    same_fault_elsewhere = Traits("judge", "llm", "", "llm.rate_limit")
    same_family = Traits("llm", "llm", "app.llm", "llm.overloaded")
    stranger = Traits("orders", "tool", "app.tools", "tool.error")
    assert 1.0 == kinship(LLM, LLM) > kinship(LLM, same_fault_elsewhere) > kinship(LLM, stranger) == 0.0
    assert kinship(LLM, LLM) > kinship(LLM, same_family) > 0.2


def test_a_library_makes_relatives():
    one, other = Traits("orders", "tool", "app.http", "tool.error"), Traits("search", "retriever", "app.http", "retriever.error")
    assert kinship(one, other) > kinship(one, Traits("search", "retriever", "app.rag", "retriever.error")) == 0.0


def test_relatives_that_came_out_as_stated_change_nothing():
    said = predicted([LLM], 0.8, [Relative((LLM,), 0.7, 0.7), Relative((LLM,), 0.95, 0.95)])
    assert said.confidence == pytest.approx(0.8)
    assert said.relatives == 2


def test_relatives_that_fell_pull_down_and_more_of_them_further():
    one = predicted([LLM], 0.9, [Relative((LLM,), 0.9, 0.05)]).confidence
    four = predicted([LLM], 0.9, [Relative((LLM,), 0.9, 0.05)] * 4).confidence
    assert 0.9 > one > 0.6 > four > 0.05
    assert predicted([LLM], 0.6, [Relative((LLM,), 0.6, 0.99)] * 4).confidence > 0.9


def test_without_relatives_the_statement_stands():
    said = predicted([LLM], 0.9, [Relative((Traits("orders", "tool", "", "tool.error"),), 0.9, 0.01)])
    assert (said.confidence, said.weight, said.relatives) == (0.9, 0.0, 0)


def system(**calls):
    components = {name: Component(name, "service", tuple(called)) for name, called in calls.items()}
    journeys = {"ask": Journey("ask", "front", 0.7), "chat": Journey("chat", "chat", 0.3)}
    return System("s", components, journeys)


def test_harm_reaches_the_journeys_above_and_no_others():
    made = system(front=["mid"], mid=["deep"], deep=[], chat=[])
    harm = predicted_harm(made, ["deep"], PassedOn())
    assert harm == pytest.approx({"front": 0.36, "mid": 0.6, "deep": 1.0})
    assert predicted_journeys(made, harm) == pytest.approx({"ask": 0.36})


def test_two_ways_up_harm_more_than_one_and_cycles_end():
    both = predicted_harm(system(front=["mid", "deep"], mid=["deep", "front"], deep=["mid"], chat=[]), ["deep"], PassedOn())
    assert 0.6 < both["front"] < 1.0
    assert "chat" not in both


def test_undeclared_and_unknown_components_do_no_harm():
    made = system(front=["elsewhere"], chat=[])
    assert predicted_harm(made, ["nobody"], PassedOn()) == {}
    assert predicted_harm(made, ["front"], PassedOn()) == {"front": 1.0}


def test_what_was_seen_moves_the_component_and_a_little_the_others():
    passed_on = PassedOn()
    for _ in range(5):
        passed_on.see("llm", 0.0)
    assert passed_on.rate("llm") < passed_on.rate("orders") < 0.6


def test_a_prediction_is_compared_with_what_happened():
    right = compare({"ask": 0.9}, {"ask": True, "chat": False})
    wrong = compare({"ask": 0.9}, {"ask": False, "chat": True})
    assert right.brier == pytest.approx(0.005)
    assert right.surprises == ()
    assert wrong.surprises == ("chat", "ask")
    assert compare({}, {}).brier is None


def test_a_journey_that_was_spared_says_more_of_a_short_way_than_of_a_long_one():
    made = system(front=["mid"], mid=["deep"], deep=["deeper"], deeper=[], chat=["deeper"])
    short, long = PassedOn(), PassedOn()
    learn_from(made, ["mid"], {"ask": False}, short)
    learn_from(made, ["deeper"], {"ask": False}, long)
    assert short.counts == {"mid": [0.0, 1.0]}
    assert set(long.counts) == {"mid", "deep", "deeper"}
    assert 0.4 < long.rate("mid") < 0.6
    learn_from(made, ["deeper"], {"ask": True}, long)
    assert long.counts["deep"][0] == pytest.approx(long.counts["mid"][0])


def test_what_is_struck_at_the_door_or_unreachable_teaches_nothing():
    made, learned = system(front=[], chat=["deep"], deep=[]), PassedOn()
    learn_from(made, ["front"], {"ask": True, "chat": False}, learned)
    assert not learned.counts


def test_predictions_get_better_with_each_run():
    """Worlds in which a component passes failures on with a probability of its own; twelve runs on each of three targets."""
    made = system(front=["mid", "side"], mid=["deep"], side=[], deep=[], chat=["side"])
    rng, off = random.Random(5), {True: [], False: []}
    for _ in range(40):
        truth = {name: rng.choice([0.05, 0.95]) for name in ("mid", "side", "deep")}
        learned = PassedOn()
        for _ in range(12):
            for target in truth:
                passes = {name: rng.random() < truth[name] for name in truth}
                ask = passes["side"] if target == "side" else passes["mid"] and (target == "mid" or passes["deep"])
                harmed = {"ask": ask, "chat": target == "side" and rng.random() < truth["side"]}
                for taught, model in ((True, learned), (False, PassedOn())):
                    found = predicted_journeys(made, predicted_harm(made, [target], model))
                    off[taught].append(compare(found, {name: harmed[name] for name in found}).brier)
                learn_from(made, [target], {name: harmed[name] for name in ({"ask", "chat"} if target == "side" else {"ask"})}, learned)
    assert math.fsum(off[True]) < 0.6 * math.fsum(off[False])
