"""A campaign with a budget: what it runs, when it ends and why, and that it goes on after a crash as if nothing had happened."""

from __future__ import annotations

import asyncio

import pytest
from played import RUN_S, Crash, loop, played, ran

from refute.campaign.choosing import BLOCK, is_random
from refute.campaign.telling import Told
from refute.intent import load
from support.intents import FAULTS, VALID, project

BELIEF = """
  - id: rate-limits-at-{share}
    claim: Rate limits at {share} never reach the customer
    when: {{fault: llm.rate_limit, target: llm, share: {share}%}}
    then: answered >= 95%
    confidence: {confidence}%
"""


@pytest.fixture
def intent(tmp_path):
    more = "".join(BELIEF.format(share=share, confidence=60 + share) for share in range(2, 18, 2))
    return load(project(tmp_path, VALID + more))


def campaign_events(made):
    return list(made.record.kept("campaign"))


def test_it_runs_what_is_best_and_ends_when_nothing_is_worth_its_cost(intent, tmp_path):
    made = played(intent, tmp_path)
    assert asyncio.run(loop(made).run()) == 0
    last = campaign_events(made)[-1]
    assert (last["state"], last["cause"], last["runs"]) == ("ended", "answered", len(ran(made)))
    assert last["spent_s"] == pytest.approx(RUN_S * last["runs"])
    tested = {belief for beliefs, _, _ in ran(made) for belief in beliefs}
    assert tested == set(intent.beliefs)
    assert "nothing is left that is worth its cost" in last["reason"]


def test_it_ends_once_what_is_left_is_as_good_as_known_and_runs_show_nothing_new(tmp_path):
    """Beliefs that people are nearly sure of would teach a little each, and all runs look alike: not all of them are run."""
    more = "".join(BELIEF.format(share=share, confidence=99.2) for share in range(2, 26, 2))
    sure = load(project(tmp_path, VALID + more), faults=FAULTS)
    made = played(sure, tmp_path)
    assert asyncio.run(loop(made).run()) == 0
    last = campaign_events(made)[-1]
    assert (last["state"], last["cause"]) == ("ended", "seen")
    assert 5 <= last["runs"] < len(sure.beliefs)
    assert last["unseen"]["mass"] <= 0.3
    assert "forecasts of what is left are uncertain by" in last["reason"]
    assert "of further ones are estimated to show something new" in last["reason"]


def test_it_goes_on_while_what_people_are_sure_of_turns_out_wrong(tmp_path):
    more = "".join(BELIEF.format(share=share, confidence=99.2) for share in range(2, 26, 2))
    sure = load(project(tmp_path, VALID + more), faults=FAULTS)
    made = played(sure, tmp_path, outcome=lambda _belief, number: (30 * (number % 2), 60))
    asyncio.run(loop(made).run())
    assert campaign_events(made)[-1]["cause"] == "answered"
    assert {belief for beliefs, _, _ in ran(made) for belief in beliefs} == set(sure.beliefs)


def test_the_same_seed_runs_the_same_and_another_one_does_not_draw_alike(intent, tmp_path):
    first, again = played(intent, tmp_path / "a"), played(intent, tmp_path / "b")
    asyncio.run(loop(first).run())
    asyncio.run(loop(again).run())
    assert ran(first) == ran(again)
    places = [[is_random(seed, number) for number in range(BLOCK)] for seed in range(30)]
    assert len({tuple(row) for row in places}) > 5


def test_one_run_in_every_block_of_twenty_is_random_and_its_propensity_is_kept(intent, tmp_path):
    made = played(intent, tmp_path, outcome=lambda _belief, number: (0 if number % 2 else 30, 60))
    for _ in range(3):
        asyncio.run(loop(made).run())
    drawn = [event for event in made.record.kept("experiment") if event["proposal"]["random"]]
    for event in made.record.kept("experiment"):
        assert 0 < event["proposal"]["propensity"] <= 1
    for event in drawn:
        assert event["proposal"]["propensity"] <= 1 / BLOCK + 0.95
        assert any("drawn at random" in reason for reason in event["proposal"]["reasons"])
    for seed in range(50):
        for block in range(3):
            assert sum(is_random(seed, BLOCK * block + number) for number in range(BLOCK)) == 1


def test_it_ends_when_the_time_is_spent_and_never_spends_more(intent, tmp_path):
    made = played(intent, tmp_path)
    assert asyncio.run(loop(made, minutes=6).run()) == 0
    last = campaign_events(made)[-1]
    assert (last["state"], last["cause"]) == ("ended", "time")
    assert last["spent_s"] <= 360
    assert "of the budget is left" in last["reason"]


def test_it_ends_when_the_risk_is_spent(intent, tmp_path):
    made = played(intent, tmp_path, outcome=lambda _belief, _number: (40, 60))
    asyncio.run(loop(made, risk=0.002).run())
    last = campaign_events(made)[-1]
    assert (last["state"], last["cause"]) == ("ended", "risk")
    assert last["spoiled"] >= 40
    assert 0 < last["runs"] < len(intent.beliefs)
    before_the_last = last["spoiled"] - 40
    assert before_the_last < last["allowed"]


@pytest.mark.parametrize("crash_at", [0, 4])
def test_after_a_crash_it_goes_on_as_if_nothing_had_happened(intent, tmp_path, crash_at):
    whole, cut = played(intent, tmp_path / "whole"), played(intent, tmp_path / "cut", crash_at=crash_at)
    asyncio.run(loop(whole, minutes=30).run())
    with pytest.raises(Crash):
        asyncio.run(loop(cut, minutes=30).run())
    cut.crash_at, cut.results = None, []
    asyncio.run(loop(cut, minutes=30).run())
    events = campaign_events(cut)
    assert [event["state"] for event in events] == ["started", "resumed", "ended"]
    assert len({event["campaign"] for event in events}) == 1
    assert events[1]["spent_s"] == pytest.approx(RUN_S * (crash_at + 1))
    assert events[-1]["spent_s"] <= 30 * 60
    done = [run for number, run in enumerate(ran(cut)) if number != crash_at]
    assert done == ran(whole)[: len(done)]
    assert ran(cut)[crash_at] == ran(cut)[crash_at + 1]
    learned = [(event["belief"], event["experiment"]) for event in cut.record.kept("learned")]
    assert len(learned) == len(set(learned)) == len(done)


def test_a_verdict_that_nobody_learned_from_is_learned_from_once(intent, tmp_path, monkeypatch):
    made = played(intent, tmp_path)
    proposal = made.plan().proposals[0]
    belief = proposal.beliefs[0]
    with monkeypatch.context() as patch:
        patch.setattr(Told, "learn", None)
        with pytest.raises(TypeError):
            asyncio.run(made.tried(proposal))
    fresh = played(intent, tmp_path)
    assert fresh.standings()[belief.id].verdict == ""
    fresh.mend()
    fresh.mend()
    standing = fresh.standings()[belief.id]
    assert (standing.verdict, standing.claim.seen.units) == ("held", 150)
    (event,) = fresh.record.kept("learned")
    assert event["confidence_after"] == pytest.approx(standing.confidence)
    assert event["outcome_bits"] is not None
