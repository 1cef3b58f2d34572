"""Who is hit, and what is counted."""

from __future__ import annotations

import threading

import pytest

from refute.core.arming import Arming, Landing
from refute.core.cohort import TravellingUnit
from refute.core.context import UnitContext, current_unit, shielded
from refute.core.errors import RefuteError
from refute.core.lease import Lease
from refute.core.system import Component
from refute.injectors import _calls
from refute.injectors._calls import Reading
from refute.injectors.switch import Switch, Ticks

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


class Message:
    """A request of a client that numbers its attempts, or does not."""

    def __init__(self, body, attempt=-1):
        self.body, self.number = body, attempt


READING = Reading(lambda message: [message], lambda trace: trace[0].body, lambda message: message.body)


def glancing(**fields):
    return Switch(Arming(LLM, "llm.rate_limit", **fields), Lease(20), reading=READING)


def hit_by(switch, unit, message):
    """Decide as an injector does: at a glance, else in full."""
    if switch.missed(message) is not None:
        return False
    attempt = switch.attempt(unit, message.body, message.number)
    return attempt is not None and attempt.hit is not None


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 1.0])
@pytest.mark.parametrize("arm", ["treatment", "control"])
def test_a_glance_decides_as_the_long_way_does(share, arm):
    glance, full = glancing(share=share), switch_of(share=share)
    counts = []
    for number in range(60):
        units = [UnitContext(f"a/{number}", arm) for _ in range(2)]
        messages = [Message(f"{place % 7}", 0) for place in range(number % 21)]
        decided = []
        for switch, unit in zip((glance, full), units, strict=True):
            token = current_unit.set(unit)
            if switch is glance:
                decided.append([hit_by(switch, unit, message) for message in messages])
            else:
                decided.append([switch.decide(message.body, message.number) is not None for message in messages])
            current_unit.reset(token)
        assert decided[0] == decided[1]
        assert units[0].eligible() == units[1].eligible()
        assert units[0].drawn() == units[1].drawn()
        counts.append(sum(units[0].eligible().values()))
    assert glance.landing() == full.landing()
    assert glance.landing().eligible + glance.landing().control_eligible == sum(counts) > 500
    assert arm == "treatment" or glance.landing().injected == 0


@pytest.mark.parametrize("before", [0, 1, 9])
def test_a_numbered_retry_of_a_call_that_seemed_to_go_well_is_known(unit, before):
    switch = glancing(share=0.0)
    for number in range(before):
        assert switch.missed(Message(f"earlier {number}", 0)) is unit
    assert switch.missed(Message("x", 0)) is unit
    retry = Message("x", 1)  # its reply broke off after its head had come
    assert switch.missed(retry) is None
    assert switch.attempt(unit, "x", 1).hit is None
    assert switch.landing().eligible == unit.eligible()["llm"] == before + 1


@pytest.mark.parametrize("before", [0, 1, 9])
def test_a_silent_retry_of_a_call_that_failed_is_known(unit, before):
    switch = glancing(share=0.0)
    for number in range(before):
        assert switch.missed(Message(f"earlier {number}")) is unit
    first = Message("x")
    assert switch.missed(first) is unit
    switch.failed(unit, first)
    assert switch.missed(Message("x")) is None
    switch.attempt(unit, "x", -1).ended(failed=False)
    assert switch.landing().eligible == unit.eligible()["llm"] == before + 1
    assert not hit_by(switch, unit, Message("x"))
    assert switch.landing().eligible == unit.eligible()["llm"] == before + 2


def test_the_same_request_sent_again_is_another_call(unit):
    switch, message = glancing(share=0.0), Message("x")
    for _ in range(3):
        assert not hit_by(switch, unit, message)
    assert switch.landing().eligible == unit.eligible()["llm"] == 3


def test_a_glance_leaves_alone_whatever_is_not_plainly_a_miss(unit):
    lease = Lease(20)
    switch = Switch(Arming(LLM, "llm.rate_limit", share=0.0), lease)
    token = shielded.set(True)
    assert switch.missed("shielded") is None
    shielded.reset(token)
    token = current_unit.set(None)
    assert switch.missed("background") is None
    current_unit.reset(token)
    token = current_unit.set(TravellingUnit("a/1", "treatment", lambda count, component: None))
    assert switch.missed("travelling") is None
    current_unit.reset(token)
    lease.revoke()
    assert switch.missed("too late") is None
    assert switch.landing() == Landing()


def test_a_lone_process_is_glanced_at_too():
    lone = UnitContext("process", "treatment")
    switch = Switch(Arming(LLM, "llm.rate_limit", share=0.0), Lease(20), lone_unit=lone)
    assert all(switch.missed(f"call {number}") is lone for number in range(30))
    assert switch.landing().eligible == 30


def test_glances_agree_over_threads_of_one_unit():
    switch, shared = glancing(share=0.3), UnitContext("a/0", "treatment")
    hits, barrier = [], threading.Barrier(8)

    def work(name):
        current_unit.set(shared)
        barrier.wait()
        hits.append(sum(hit_by(switch, shared, Message(f"{name}/{number}")) for number in range(200)))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert switch.landing().eligible == shared.eligible()["llm"] == 1600
    alone, again = glancing(share=0.3), UnitContext("a/0", "treatment")
    token = current_unit.set(again)
    assert sum(hits) == sum(hit_by(alone, again, Message(f"{number}")) for number in range(1600))
    current_unit.reset(token)


def test_a_counter_that_is_read_still_counts_right():
    ticks = Ticks()
    threads = [threading.Thread(target=lambda: [ticks.tick() for _ in range(5000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    read = [ticks.read() for _ in range(100)]
    for thread in threads:
        thread.join()
    assert read == sorted(read)
    assert ticks.read() == ticks.read() == 20_000


def test_a_user_is_hit_whenever_they_come_again():
    switch = switch_of(share=0.5, draw="user")
    hit: dict[str, set[bool]] = {}
    for number in range(120):
        context = UnitContext(f"user-{number % 40}/{number}", "treatment")
        made = [switch.attempt(context, f"call {call}", -1).hit is not None for call in range(3)]
        hit.setdefault(context.user, set()).update(made)
        assert (context.hits() == {}) or made[0]
    assert all(len(seen) == 1 for seen in hit.values())
    assert 8 < sum(seen == {True} for seen in hit.values()) < 32
    assert switch.landing().eligible == 40


def test_a_user_in_both_arms_is_hit_in_treatment_only():
    switch = switch_of(share=1.0, draw="user")
    arms = {arm: switch.attempt(UnitContext("ada/1", arm), "call", -1).hit for arm in ("treatment", "control")}
    assert arms["treatment"] is not None
    assert arms["control"] is None
    assert (switch.landing().eligible, switch.landing().control_eligible) == (1, 1)


def test_only_the_turn_that_is_named_is_hit(unit):
    switch = switch_of(turn=3)
    made = [switch.attempt(unit, f"call {number}", -1).hit is not None for number in range(5)]
    assert made == [False, False, True, False, False]
    assert (switch.landing().eligible, unit.eligible()) == (1, {"llm": 1})


def test_a_retry_of_another_turn_is_not_counted_as_the_next_turn(unit):
    switch = switch_of(turn=2)
    first = switch.attempt(unit, "call", -1)
    first.ended(failed=True)
    assert switch.attempt(unit, "call", -1).hit is None
    assert switch.attempt(unit, "another", -1).hit is not None
