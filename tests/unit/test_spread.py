"""What a run on one belief tells of others that hang on the same calls, on graphs of every shape; and that its absence is said."""

from __future__ import annotations

import asyncio

import pytest
from played import loop, played

from refute.campaign import spread
from refute.campaign.plan import Question, ask
from refute.campaign.standing import standings
from refute.intent import load
from support.intents import VALID, project

NOW = 1_800_000_000.0
BELIEF = (
    "  - {{id: {id}, claim: c, when: {{fault: {fault}, target: {target}, share: {share}%}}, then: answered >= 95%, confidence: {sure}%}}\n"
)


def belief(id_, fault="llm.rate_limit", target="llm", share=20, sure=70):
    return BELIEF.format(id=id_, fault=fault, target=target, share=share, sure=sure)


def intent_of(tmp_path, components, beliefs, journeys=""):
    start, end = VALID.index("  components:"), VALID.index("journeys:")
    text = VALID[:start] + components + VALID[end:]
    text = text[: text.index("beliefs:")] + "beliefs:\n" + beliefs
    if journeys:
        text = text[: text.index("journeys:")] + journeys + text[text.index("workload:") :]
    return load(project(tmp_path, text.replace("[payments]", "[]")))


CHAIN = """  components:
    assistant: {kind: agent, calls: [llm, search]}
    search: {kind: service, calls: [llm]}
    llm: {kind: llm, endpoint: "http://127.0.0.1:8081/v1"}
"""
JOURNEYS = "journeys:\n  ask-about-order: {entry: assistant, value: 0.40 USD}\n  small-talk: {entry: assistant}\n"


def ranked(intent, events=()):
    now = standings(intent, events, "", NOW)
    return spread.with_others(intent, now, ask(intent, now, Question()).proposals, 10.0)


def test_a_run_is_worth_more_where_others_hang_on_its_calls(tmp_path):
    intent = intent_of(tmp_path, CHAIN, belief("a") + belief("b", "llm.server_error") + belief("c", share=40), JOURNEYS)
    now = standings(intent, [], "", NOW)
    alone = {one.beliefs[0].id: one for one in ask(intent, now, Question()).proposals}
    together = {one.beliefs[0].id: one for one in ranked(intent)}
    for name, one in together.items():
        assert set(one.others) == {"a", "b", "c"} - {name}
        assert all(0 < bits <= 0.5 for bits in one.others.values())
        assert one.value > alone[name].value
        assert any("beliefs hang on the same calls" in reason for reason in one.reasons)
        assert "three open beliefs hang on this call" in one.reasons


@pytest.mark.parametrize(
    "components",
    [
        CHAIN.replace("calls: [llm]}", "calls: [llm, assistant, search]}"),
        CHAIN + '    island: {kind: llm, endpoint: "http://127.0.0.1:8082/v1"}\n',
        CHAIN.replace("calls: [llm, search]", "calls: [llm, search, nobody-declared]").replace(", nobody-declared", ""),
    ],
    ids=["cyclic", "disconnected", "plain"],
)
def test_graphs_of_any_shape_do_no_harm(tmp_path, components):
    stated = belief("a") + belief("b", "llm.server_error")
    intent = intent_of(tmp_path, components, stated, JOURNEYS)
    told = ranked(intent)
    assert {one.beliefs[0].id for one in told} == set(intent.beliefs)
    assert all(one.score > 0 for one in told)


def test_a_component_that_no_traffic_meets_is_planned_for_without_harm(tmp_path):
    intent = intent_of(tmp_path, CHAIN, belief("a") + belief("b", "llm.server_error"), JOURNEYS)
    intent.system.reach.update({"assistant": 1.0, "llm": 0.0, "search": 0.5})
    for one in ranked(intent):
        assert one.others == {}
        assert one.score > 0


def test_contradictory_evidence_leaves_something_to_say(tmp_path):
    intent = intent_of(tmp_path, CHAIN, belief("a") + belief("b", "llm.server_error"), JOURNEYS)
    marks = standings(intent, [], "", NOW)["a"].marks
    event = {
        "event": "learned",
        "at": NOW,
        "belief": "a",
        "environment": "",
        "counted": True,
        "n": 100,
        "bound": 0.05,
        "marks": dict(marks),
    }
    ends = [("refuted", 40.0), ("held", 0.0)] * 3
    events = [event | {"experiment": f"e{n}", "draw": f"e{n}", "verdict": word, "breaches": b} for n, (word, b) in enumerate(ends)]
    standing = standings(intent, events, "", NOW)["a"]
    assert 0.0 < standing.confidence < 0.01, "the share of breaches over all runs is 20 %, and 5 % are allowed"
    assert {one.beliefs[0].id for one in ranked(intent, events)} == {"b"}


@pytest.mark.parametrize("sure", ["0", "100"])
def test_a_confidence_of_0_or_1_is_refused_with_why(tmp_path, sure):
    from support.intents import problems

    (problem,) = problems(project(tmp_path, VALID.replace("confidence: 90%", f"confidence: {sure}%")))
    assert problem.code == "CONFIDENCE-CERTAIN"
    assert "no evidence could change your mind" in problem.what


def test_where_numpy_is_missing_a_campaign_says_what_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(spread, "find_spec", lambda _name: None)
    made = played(load(project(tmp_path, VALID)), tmp_path)
    assert asyncio.run(loop(made).run()) == 0
    started = next(event for event in made.record.kept("campaign") if event["state"] == "started")
    assert "numpy is not installed" in started["reason"]
    assert all(event["proposal"]["others"] == {} for event in made.record.kept("experiment"))
