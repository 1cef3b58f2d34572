"""What services tell of live traffic, put into one order."""

import random

import pytest

from refute.core.audience import arm_of
from refute.core.cohort import Seal, Start, report, start_report
from refute.experiment.sightings import ORDER_S, Allotment, Sightings
from refute.experiment.tape import ObservedTape

TIMEOUT_S = 2.0
SEAL = Seal("token")


class Phase:
    """Sightings of one phase that began at 100 s, with units told as services tell them."""

    def __init__(self, planned=100, seal=SEAL):
        self.tape = ObservedTape("inject", planned, TIMEOUT_S)
        self.sightings = Sightings(self.tape, 100.0, TIMEOUT_S, SEAL)
        self.seal = seal

    def start(self, key, at_s, *, side="treatment", subject="", journey="", share=0.5, step=0):
        baggage = self.seal.baggage(key, arm_of(side))
        self.sightings.hear(start_report(baggage, Start(key, side, subject, journey, at_s, share, step)))
        return baggage

    def met(self, baggage, *counts):
        for count in counts:
            self.sightings.hear(report(baggage, count, "llm"))

    def end(self, *keys, error="", late=(), **values):
        ended = [{"unit": key, "latency_s": 0.1, "values": values, "error": error, "cost": {"tokens": 7.0}} for key in keys]
        self.sightings.take({"op": "units", "phase": "inject", "begun": 0, "ended": ended, "late": list(late)})

    def advance(self, now_s):
        self.tape.elapsed_s = now_s - 100.0
        return self.sightings.advance(now_s)


def test_units_get_their_places_by_their_start_whatever_is_heard_of_first():
    phase = Phase()
    phase.start("b", 101.0, side="control")
    phase.start("a", 100.99)
    phase.end("b", served=1.0)
    assert phase.advance(101.0 + ORDER_S / 2) == []  # an earlier start may still be told
    (outcome,) = phase.advance(101.0 + ORDER_S)
    assert (outcome.unit, outcome.index, outcome.arm, outcome.start_s) == ("b", 1, "control", pytest.approx(1.0))
    assert [slot.arm for slot in phase.tape.slots()] == ["treatment", "control"]
    assert phase.tape.slots()[0].outcome is None
    assert not phase.sightings.settled


def test_what_its_calls_met_is_in_the_outcome_whoever_told_it():
    phase = Phase()
    baggage = phase.start("a", 101.0)
    phase.met(baggage, "eligible", "drawn", "hit")
    phase.end("a", late=[report(baggage, "eligible", "llm").decode()])
    (outcome,) = phase.advance(102.0)
    assert (outcome.eligible, outcome.drawn, outcome.hits) == ({"llm": 2}, {"llm": 1}, {"llm": 1})
    assert phase.sightings.settled


def test_a_place_keeps_whose_it_is_by_which_share_it_was_drawn_and_who_is_outside():
    phase = Phase()
    phase.start("a/1", 101.0, subject="a", share=0.1, step=0)
    phase.start("b/1", 101.1, subject="b", share=0.1, step=0, side="outside")
    phase.tape.widen(2, 0.5)
    phase.start("a/2", 101.2, subject="a", share=0.5, step=1, journey="ask")
    phase.end("a/1", "b/1", "a/2")
    assert [(outcome.arm, outcome.cluster) for outcome in phase.advance(102.0)] == [
        ("treatment", "a"),
        ("outside", "b"),
        ("treatment", "a"),
    ]
    assert [(slot.share, slot.step, slot.subject, slot.journey) for slot in phase.tape.slots()] == [
        (0.1, 0, "a", ""), (0.1, 0, "b", ""), (0.5, 1, "a", "ask"),
    ]  # fmt: skip
    assert phase.tape.step == 1
    assert phase.tape.treated_left(lambda slot: slot.step == 1) == 97


def test_a_unit_that_went_with_its_process_has_failed_where_it_could_have_been_hit_and_is_left_open_where_nobody_knows():
    phase = Phase()
    phase.met(phase.start("a", 101.0), "eligible")
    phase.start("b", 101.0)
    assert phase.advance(102.5) == []
    assert not phase.sightings.settled
    (outcome,) = phase.advance(104.1)
    assert (outcome.unit, outcome.error, outcome.eligible) == ("a", "lost", {"llm": 1})
    assert [slot.outcome is None for slot in phase.tape.slots()] == [False, True]
    assert phase.sightings.settled  # nobody waits for it any longer
    assert [late.error for late in phase.tape.overdue()] == ["timeout"]


def test_forged_and_garbled_reports_count_for_nothing():
    phase = Phase(seal=Seal("another"))
    phase.met(phase.start("a", 101.0), "eligible")
    for datagram in (b"", b"{}", b"[1,2,3]", b'["x","start",["a","b","c"]]'):
        phase.sightings.hear(datagram)
    assert phase.advance(102.0) == []
    assert phase.tape.slots() == []


@pytest.mark.parametrize("seed", range(20))
def test_all_processes_together_never_begin_more_than_there_may_be_and_hardly_fewer(seed):
    rng = random.Random(seed)
    most, names = rng.randrange(2, 500), [f"process {number}" for number in range(rng.randrange(1, 6))]
    allotment = Allotment(most)
    granted, begun = {name: allotment.first(name) for name in names}, dict.fromkeys(names, 0)
    weights = [rng.random() ** 3 for _ in names]
    for _ in range(20_000):
        if allotment.full:
            break
        for name in rng.choices(names, weights, k=rng.randrange(4)):
            begun[name] = min(granted[name], begun[name] + 1)
        who = rng.choice(names)
        granted[who] = allotment.more(who, begun[who]) or granted[who]
        assert sum(begun.values()) <= sum(granted.values()) <= most
    assert allotment.full
    assert sum(begun.values()) >= most * 0.95 - 2 * len(names)


def test_what_a_killed_process_was_granted_is_neither_waited_for_nor_handed_out_again():
    allotment = Allotment(10)
    allotment.first("killed")
    allotment.more("killed", 1)
    granted, begun = allotment.first("living"), 0
    allotment.drop("killed")
    while not allotment.full:
        begun = min(granted, begun + 1)
        granted = allotment.more("living", begun) or granted
    assert 2 <= begun <= 7
