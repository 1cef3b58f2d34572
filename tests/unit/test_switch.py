"""Who is hit, and what is counted."""

from __future__ import annotations

import threading

import pytest

from refute.core.arming import Arming
from refute.core.context import UnitContext, current_unit
from refute.core.errors import RefuteError
from refute.core.lease import Lease
from refute.core.system import Component
from refute.injectors import _calls
from refute.injectors.switch import Switch

LLM = Component("llm", "llm")


@pytest.fixture
def unit():
    context = UnitContext("a/0", "treatment")
    token = current_unit.set(context)
    yield context
    current_unit.reset(token)


def switch_of(**fields):
    return Switch(Arming(LLM, "llm.rate_limit", **fields), Lease(20))


def test_retries_of_a_call_share_its_draw(unit):
    switch = switch_of(share=0.5)
    for number in range(40):
        hits = [switch.decide(f"call {number}", attempt) is not None for attempt in range(3)]
        assert len(set(hits)) == 1
    assert switch.landing().eligible == 40
    assert unit.eligible() == {"llm": 40}


def test_attempts_are_drawn_one_by_one(unit):
    switch = switch_of(share=0.5, draw="attempt")
    hits = [[switch.decide(f"call {number}", attempt) is not None for attempt in range(3)] for number in range(20)]
    assert any(len(set(each)) == 2 for each in hits)
    assert switch.landing().eligible == 60


def test_attempts_of_a_silent_client_are_drawn_one_by_one_too(unit):
    switch = switch_of(share=0.5, draw="attempt")
    hits = []
    for _ in range(40):
        attempt = switch.attempt(unit, "same", -1)
        hits.append(attempt.hit is not None)
        attempt.ended(failed=True)
    assert 10 < sum(hits) < 30


def test_a_conversation_is_drawn_once():
    hit = 0
    switch = switch_of(share=0.5, draw="conversation")
    for number in range(40):
        token = current_unit.set(UnitContext(f"a/{number}", "treatment"))
        decided = [switch.decide(f"turn {turn}", 0) for turn in range(5)]
        current_unit.reset(token)
        assert len({each is None for each in decided}) == 1
        for each in decided:
            if each is not None:
                switch.delivered(each, "x")
        hit += decided[0] is not None
    landing = switch.landing()
    assert (landing.eligible, landing.injected, landing.effect) == (40, hit, {"x": 5 * hit})
    assert 8 < hit < 32


def test_bursts_are_not_there_yet():
    with pytest.raises(RefuteError, match="NOT-YET"):
        switch_of(draw="burst")


def test_a_hit_counts_only_once_delivered(unit):
    switch = switch_of()
    first = switch.decide("x", 0)
    assert switch.landing().injected == 0
    switch.delivered(first, "status 429")
    switch.delivered(switch.decide("x", 1), "status 429")
    assert (switch.landing().injected, switch.landing().effect) == (1, {"status 429": 2})
    assert unit.hits() == {"llm": 1}


def test_a_silent_clients_next_try_after_a_failure_is_a_retry(unit):
    switch = switch_of(share=0.0)
    switch.attempt(unit, "x", -1).ended(failed=True)
    switch.attempt(unit, "x", -1).ended(failed=False)
    assert switch.landing().eligible == 1
    switch.attempt(unit, "x", -1)
    assert switch.landing().eligible == 2


def test_a_late_but_good_answer_is_not_retried(unit):
    switch = switch_of(share=1.0)
    attempt = switch.attempt(unit, "x", -1)
    assert attempt.hit is not None
    attempt.ended(failed=False)
    switch.attempt(unit, "x", -1)
    assert switch.landing().eligible == 2


def test_memory_is_bounded_and_goes_with_the_unit(monkeypatch):
    monkeypatch.setattr(_calls, "_REMEMBERED", 10)
    lone = UnitContext("process", "treatment")
    switch = Switch(Arming(LLM, "llm.rate_limit", share=0.0), Lease(20), lone_unit=lone)
    for number in range(1000):
        switch.decide(f"call {number}", 0)
    assert len(switch._lone_seen.calls) == 10
    assert switch.landing().eligible == 1000


def test_counts_agree_over_threads():
    switch = switch_of(share=0.5)

    def work(name):
        current_unit.set(UnitContext(name, "treatment"))
        for number in range(200):
            if (hit := switch.decide(f"{number}", 0)) is not None:
                switch.delivered(hit, "x")

    threads = [threading.Thread(target=work, args=(f"a/{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    landing = switch.landing()
    assert landing.eligible == 1600
    assert landing.injected == landing.effect["x"]
    assert 700 < landing.injected < 900


@pytest.mark.parametrize("draw", ["call", "attempt", "conversation"])
def test_the_same_draws_come_up_in_control_and_are_spared_there(draw):
    switch, came_up = switch_of(share=0.4, draw=draw), {}
    for arm in ("treatment", "control"):
        came_up[arm] = []
        for number in range(60):
            context = UnitContext(f"unit-{number}", arm)
            token = current_unit.set(context)
            hits = [switch.decide("call", 0)]
            current_unit.reset(token)
            assert (hits != [None]) == (arm == "treatment" and bool(context.drawn()))
            came_up[arm].append(context.drawn())
    assert came_up["treatment"] == came_up["control"]
    assert 10 < sum(1 for drawn in came_up["control"] if drawn == {"llm": 1}) < 40
    assert switch.landing().control_injected == 0
