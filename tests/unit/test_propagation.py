"""The propagation model: what it reads from calls, what it concludes, and that odd applications do it no harm."""

from pathlib import Path

import numpy as np
import pytest

from refute.learning.propagation.courses import courses
from refute.learning.propagation.kinds import UPSTREAM_KIND, partitions
from refute.learning.propagation.learner import learner_of
from refute.learning.propagation.space import Call, Run, Site, faults_of, read_spaces
from refute.learning.propagation.structure import structure_of, tree_of

KINDS = ("CE", "TO", "500", "502", "503")
MEASURED = Path(__file__).parent.parent / "data" / "fault-spaces"


def call(name, caller, callee, occurrence=1):
    return Call(name, Site(caller, callee, "GET"), occurrence)


def known(*calls):
    return {one.id: one for one in calls}


CHAIN = known(call("ab", "a", "b"), call("bc", "b", "c"), call("bd", "b", "d"), call("ae", "a", "e"))
STEADY = Run((), True, False, ("ab", "bc", "bd", "ae"))


def ran(faults, available, calls, degraded=False):
    return Run(faults_of(faults), available, degraded, tuple(calls))


def told(*runs, calls=CHAIN, steady=STEADY):
    learner = learner_of(calls, steady, KINDS)
    for run in runs:
        learner.observe(run, calls)
    return learner


def p(learner, *faults, calls=CHAIN):
    return float(learner.available([faults_of(faults)], calls)[0])


# What is read from calls


def test_calls_are_nested_by_who_makes_them():
    made = tree_of(STEADY, CHAIN)
    assert [one.call.id for one in made] == ["ab", "ae"]
    assert [one.call.id for one in made[0].inner] == ["bc", "bd"]


def test_a_retry_is_found_and_its_calls_are_those_of_the_first_attempt():
    space = read_spaces(MEASURED)[2]
    structure = structure_of(space.calls, space.steady)
    run = space.outcomes[faults_of([("call-1", "500")])]
    structure.know(space.calls[name] for name in run.calls)
    assert structure.learn(run)
    assert not structure.learn(run)  # nothing is new the second time
    assert list(structure.alternates.values()) == [(space.calls["call-1"].site,)]
    reached = {frozenset(course.calls) for course in courses(structure, ("call-2",)) if course.available}
    assert frozenset({"call-1", "call-2", "call-3"}) & frozenset.union(*reached)


@pytest.mark.parametrize("position", range(4))
def test_some_course_explains_each_measured_run(position):
    space = read_spaces(MEASURED)[position]
    learner = learner_of(space.calls, space.steady, KINDS)
    for run in space.runs:
        learner.observe(run, space.calls)
    for run in space.runs:
        struck = tuple(fault.call for fault in run.faults)
        assert any(
            course.available == run.available and course.calls == frozenset(run.calls) for course in learner.model.courses(struck)
        ), run


def test_partitions_tell_families_apart_first():
    ways = partitions([*KINDS, UPSTREAM_KIND])
    assert ways.members[0].sum() == 1  # all alike
    assert ways.weights.sum() == pytest.approx(1.0)
    together = np.einsum("p,pkm->km", ways.weights, ways.together[1:])
    assert together[2, 3] > together[0, 2]  # two statuses are rather treated alike than a refused connection and a status
    assert together[2, 5] > together[1, 5]  # what a callee that gives up answers is a status


# What is concluded


def test_an_outage_below_shows_that_every_caller_passed_it_on():
    learner = told(ran([("bc", "500")], False, ["ab", "bc"]))
    assert p(learner, ("bc", "502")) < 0.1
    assert p(learner, ("ab", "500")) < 0.2
    assert p(learner, ("ae", "500")) > 0.2  # nothing was seen of it


def test_later_calls_of_the_same_caller_show_that_a_failure_was_got_over():
    learner = told(ran([("bc", "500")], True, ["ab", "bc", "bd", "ae"]))
    assert p(learner, ("bc", "503")) > 0.85


def test_calls_that_are_missing_show_where_a_failure_stopped():
    """bd was not made, so b gave up (or answered early, which is rarer); ae was, so a got over that."""
    learner = told(ran([("bc", "500")], True, ["ab", "bc", "ae"]))
    assert p(learner, ("ab", "500")) > 0.65 > p(told(ran([("bc", "500")], True, STEADY.calls)), ("ab", "500"))
    assert p(learner, ("bd", "500")) > 0.7  # whatever b does of it, a gets over it


def test_kinds_share_what_is_known_until_they_differ():
    alike = told(ran([("ae", "500")], False, STEADY.calls))
    assert p(alike, ("ae", "502")) < p(alike, ("ae", "TO")) < 0.4
    differing = told(ran([("ae", "500")], False, STEADY.calls), ran([("ae", "TO")], True, STEADY.calls))
    assert p(differing, ("ae", "TO")) > 0.9
    assert p(differing, ("ae", "503")) < 0.2


def test_a_fault_that_never_fired_says_nothing():
    """Only what landed is told: a planned pair whose second call was never made is the single fault that struck."""
    learner = told(ran([("ab", "500")], False, ["ab"]))
    assert p(learner, ("ae", "500")) == pytest.approx(p(told(ran([("ab", "500")], False, ["ab"])), ("ae", "500")))
    assert learner.forecast(faults_of([("ab", "500"), ("ae", "500")])).landed < 0.3


def test_a_call_that_appears_is_a_fallback_and_the_pair_is_feared():
    calls = known(call("ab", "a", "b"), call("ax", "a", "x"))
    steady = Run((), True, False, ("ab",))
    learner = learner_of(calls, steady, KINDS)
    before = p(learner, ("ab", "500"), ("ax", "500"), calls=calls)
    assert before < 0.45  # a call that nobody has seen can only stand in for another
    learner.observe(ran([("ab", "500")], True, ["ab", "ax"], degraded=True), calls)
    assert set(learner.calls) == {"ab", "ax"}
    assert p(learner, ("ab", "TO"), calls=calls) > 0.85
    assert p(learner, ("ab", "500"), ("ax", "500"), calls=calls) < 0.45
    assert learner.forecast(faults_of([("ab", "TO")])).degraded > 0.5


def test_pairs_fail_if_one_of_them_does_and_tolerated_pairs_may_interact():
    calm = [ran([(name, "500")], True, STEADY.calls) for name in ("bc", "bd")]
    learner = told(*calm)
    assert 0.75 < p(learner, ("bc", "500"), ("bd", "500")) < p(learner, ("bc", "502"))
    together = told(*calm, ran([("bc", "500"), ("bd", "500")], False, STEADY.calls))
    assert p(together, ("bc", "TO"), ("bd", "CE")) < 0.4  # fatal together, whatever the kinds
    assert p(together, ("bc", "TO")) > 0.8  # and each alone still is not


# Odd applications


def test_cycles_do_no_harm():
    calls = known(call("ab", "a", "b"), call("ba", "b", "a"), call("ab2", "a", "b", 2))
    learner = told(ran([("ba", "500")], True, ["ab", "ba"]), calls=calls, steady=Run((), True, False, ("ab", "ba", "ab2")))
    assert 0.0 < p(learner, ("ab", "CE"), calls=calls) < 1.0
    assert len(courses(learner.model.structure, ("ab",))) < 256


def test_a_template_that_calls_itself_ends():
    calls = known(call("ab", "a", "b"), call("bb", "b", "b"))
    learner = learner_of(calls, Run((), True, False, ("ab", "bb")), KINDS)
    assert 0.0 < p(learner, ("bb", "CE"), calls=calls) < 1.0


def test_two_fallbacks_that_lead_to_one_place_are_one_slot():
    calls = known(call("aa1", "a", "a"), call("aa2", "a", "a", 2), call("ab1", "a", "b"))
    runs = [
        ran([("aa1", "CE"), ("aa2", "CE")], False, ["aa1", "aa2", "ab1"]),
        ran([("aa1", "CE")], False, ["aa1"]),
        ran([("aa1", "CE"), ("ab1", "CE")], False, ["aa1", "ab1", "aa2"]),
    ]
    learner = told(*runs, calls=calls, steady=Run((), True, False, ("aa1",)))
    slots = learner.model.structure.slots()
    assert len(slots) == len(set(slots))
    assert p(learner, ("aa1", "TO"), calls=calls) < 0.4


def test_disconnected_parts_do_no_harm():
    calls = known(call("ab", "a", "b"), call("xy", "x", "y"))
    learner = told(ran([("xy", "500")], True, ["ab", "xy"]), calls=calls, steady=Run((), True, False, ("ab", "xy")))
    assert p(learner, ("xy", "503"), calls=calls) > 0.8


def test_contradictory_evidence_leaves_doubt():
    learner = told(*[ran([("ae", "500")], bool(n % 2), STEADY.calls) for n in range(8)])
    assert 0.1 < p(learner, ("ae", "502")) < 0.9
    assert 0.2 < p(learner, ("ae", "500")) < 0.8


def test_an_application_without_calls_can_be_asked():
    learner = learner_of({}, Run((), True, False, ()), KINDS)
    assert 0.0 < p(learner, ("ab", "500"), calls=CHAIN) < 1.0


def test_impossible_calls_and_unknown_callers_are_forecast():
    learner = told()
    odd = known(call("zz", "nobody", "nowhere"), *CHAIN.values())
    assert 0.0 < p(learner, ("zz", "500"), calls=odd) < 1.0
    assert 0.0 < p(learner, ("bc", "500"), ("zz", "TO"), calls=odd) < 1.0


# Trust


def test_forecasts_widen_when_they_fail():
    surprised = told(*[ran([("ae", kind)], bool(n % 2), STEADY.calls) for n, kind in enumerate(KINDS)])
    calm = told(*[ran([("ae", kind)], True, STEADY.calls) for kind in KINDS])
    assert surprised.trust.slip > 2 * calm.trust.slip


def test_random_runs_tell_when_the_model_is_out_of_its_depth():
    learner = told()
    for _ in range(12):
        learner.trust.see(np.array([0.97, 0.9]), outcome=False, random=True)
        learner.trust._log_weights = None  # as if nothing had been learned from it
    assert learner.trust.out_of_depth
    calm = told()
    for _ in range(12):
        calm.trust.see(np.array([0.97, 0.9]), outcome=True, random=True)
    assert not calm.trust.out_of_depth


def test_what_was_tried_is_remembered():
    learner = told(ran([("ae", "500")], False, STEADY.calls))
    assert p(learner, ("ae", "500")) < 0.01
