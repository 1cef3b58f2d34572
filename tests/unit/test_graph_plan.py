"""A plan over a large graph."""

import numpy as np
import pytest

from refute.learning.planner.graph import CallGraph, Candidates, GraphModel
from refute.learning.value import Prices


def graph(*calls, components=5, entries=(0,)):
    callers, callees, traffic = zip(*calls, strict=True) if calls else ((), (), ())
    return CallGraph(components, np.array(callers, int), np.array(callees, int), np.array(traffic, float), np.array(entries))


def every(model, dose=1.0):
    components = np.repeat(np.arange(model.graph.components), model.families)
    families = np.tile(np.arange(model.families), model.graph.components)
    return Candidates(components, families, np.full(len(components), dose))


def risk(model, component, family=0, dose=1.0):
    asked = Candidates(np.array([component]), np.array([family]), np.array([dose]))
    return float(model.score(asked, Prices()).risk[0])


def test_harm_fades_on_its_way_up():
    model = GraphModel(graph((0, 1, 1.0), (1, 2, 1.0), (2, 3, 1.0)), 1)
    assert risk(model, 0) >= risk(model, 1) > risk(model, 2) > risk(model, 3) > risk(model, 4) == 0.0


def test_cycles_and_disconnected_parts_do_no_harm():
    model = GraphModel(graph((0, 1, 1.0), (1, 2, 1.0), (2, 1, 1.0), (3, 4, 1.0), (4, 3, 1.0)), 1)
    scored = model.score(every(model), Prices())
    assert np.isfinite(scored.score).all()
    assert risk(model, 3) == risk(model, 4) == 0.0
    assert 0.0 < risk(model, 2) <= risk(model, 1) < 1.0


def test_a_component_without_traffic_is_worth_nothing():
    model = GraphModel(graph((0, 1, 1.0), (0, 2, 0.0)), 1)
    scored = model.score(every(model, dose=0.5), Prices())
    assert scored.risk[2] == 0.0
    assert scored.bits[2] == 0.0 < scored.bits[1]


def test_an_empty_graph_and_no_candidates_are_answered():
    model = GraphModel(graph(), 2)
    nothing = np.zeros(0, dtype=int)
    assert len(model.score(Candidates(nothing, nothing, np.zeros(0)), Prices()).best(5)) == 0


def test_more_of_a_fault_is_no_less_harmful():
    model = GraphModel(graph((0, 1, 1.0)), 1)
    risks = [risk(model, 1, dose=dose) for dose in np.linspace(0, 1, 21)]
    assert risks == sorted(risks)
    assert risks[0] == 0.0


def test_a_dose_that_was_stood_leaves_only_greater_ones_to_fear():
    model = GraphModel(graph((0, 1, 1.0)), 2)
    model.observe(1, 0, 0.5, failed=False, available=True)
    assert risk(model, 1, dose=0.5) < 0.02 < risk(model, 1, dose=0.9)
    assert risk(model, 1, family=1, dose=0.5) > 0.2  # of another family nothing is known


def test_outages_and_answers_move_the_risk_of_relatives():
    calls = graph((0, 1, 1.0), (0, 2, 1.0), (1, 3, 1.0))
    model, worse, better = GraphModel(calls, 2), GraphModel(calls, 2), GraphModel(calls, 2)
    for each, available in ((worse, False), (better, True)):
        each.score(every(each), Prices())
        for _ in range(4):
            each.observe(1, 0, 1.0, failed=True, available=available)
    assert risk(worse, 1) > risk(model, 1) > risk(better, 1)
    assert risk(worse, 1, family=1) > risk(model, 1) > risk(better, 1, family=1)
    assert risk(worse, 2) > risk(model, 2) > risk(better, 2)  # another call of the same caller


def test_contradictory_evidence_leaves_doubt():
    model = GraphModel(graph((0, 1, 1.0)), 1)
    model.score(every(model), Prices())
    for n in range(20):
        model.observe(1, 0, 1.0, failed=bool(n % 3), available=bool(n % 2))
    assert 0.05 < risk(model, 1) < 0.95


def test_what_was_tried_often_teaches_less():
    model = GraphModel(graph((0, 1, 1.0), (0, 2, 1.0)), 1)
    before = model.score(every(model), Prices()).bits[1]
    for _ in range(10):
        model.observe(1, 0, 1.0, failed=True, available=False)
    after = model.score(every(model), Prices()).bits
    assert after[1] < 0.6 * before


def test_best_is_ordered():
    model = GraphModel(graph((0, 1, 1.0), (1, 2, 0.5), (2, 3, 0.5)), 3)
    scored = model.score(every(model, dose=0.5), Prices())
    top = scored.best(6)
    assert scored.score[top].tolist() == sorted(scored.score.tolist(), reverse=True)[:6]
    assert len(scored.best(10_000)) == 15


@pytest.mark.parametrize("price", [0.0, 100.0])
def test_scores_are_bits_per_price(price):
    model = GraphModel(graph((0, 1, 1.0)), 1)
    scored = model.score(every(model, dose=0.7), Prices(2.0, price))
    assert scored.score == pytest.approx(scored.bits / (2.0 + price * scored.risk))
