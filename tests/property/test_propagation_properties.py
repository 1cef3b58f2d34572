"""What holds of every application, however odd."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from refute.learning.planner.graph import CallGraph, Candidates, GraphModel
from refute.learning.propagation.courses import courses
from refute.learning.propagation.kinds import UPSTREAM_KIND, partitions
from refute.learning.propagation.learner import learner_of
from refute.learning.propagation.space import Call, Run, Site, faults_of
from refute.learning.propagation.weighing import flat
from refute.learning.relatives import Relative, Traits, predicted
from refute.learning.value import Prices

KINDS = ("CE", "TO", "500", "503")
SERVICES = st.sampled_from("abcd")


@st.composite
def applications(draw):
    """Calls between any services, cycles and strangers among them, and runs that need not make sense."""
    pairs = draw(st.lists(st.tuples(SERVICES, SERVICES), min_size=1, max_size=6))
    calls, counts = {}, {}
    for caller, callee in pairs:
        counts[caller, callee] = counts.get((caller, callee), 0) + 1
        name = f"{caller}{callee}{counts[caller, callee]}"
        calls[name] = Call(name, Site(caller, callee, "GET"), counts[caller, callee])
    names = list(calls)
    steady = Run((), True, False, tuple(names[: draw(st.integers(1, len(names)))]))
    runs = []
    for _ in range(draw(st.integers(0, 5))):
        made = draw(st.lists(st.sampled_from(names), min_size=1, max_size=8, unique=True))
        struck = draw(st.lists(st.sampled_from(made), min_size=1, max_size=2, unique=True))
        faults = faults_of((name, draw(st.sampled_from(KINDS))) for name in struck)
        runs.append(Run(faults, draw(st.booleans()), draw(st.booleans()), tuple(made)))
    return calls, steady, runs


@settings(max_examples=60, deadline=None)
@given(applications())
def test_forecasts_are_probabilities_whatever_was_seen(application):
    calls, steady, runs = application
    learner = learner_of(calls, steady, KINDS)
    for run in runs:
        learner.observe(run, calls)
    sets = [faults_of([(name, kind)]) for name in calls for kind in KINDS]
    sets += [faults_of([(one, "CE"), (other, "503")]) for one in calls for other in calls if one < other]
    said = learner.available(sets, calls)
    assert ((said > 0) & (said < 1)).all()
    landed, _ = learner.model.forecast(sets, calls)
    assert ((landed >= 0) & (landed <= 1 + 1e-9)).all()


@settings(max_examples=60, deadline=None)
@given(applications())
def test_courses_leave_nothing_out_and_exclude_one_another(application):
    calls, steady, runs = application
    learner = learner_of(calls, steady, KINDS)
    for run in runs:
        learner.observe(run, calls)
    known = sorted(learner.calls)
    for struck in [(name,) for name in known] + [tuple(known[:2])]:
        if len(courses(learner.model.structure, struck)) >= 256 or len(set(struck)) < len(struck):
            continue
        sets = learner.model.weighing((faults_of((name, "500") for name in struck),))
        total = float(sets.courses(flat(learner.model.responses.table())).sum())
        assert abs(total - 1) < 1e-6


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["CE", "TO", "500", "502", "429", "cut", "slow"]), min_size=1, unique=True))
def test_every_partition_covers_every_kind_once(kinds):
    ways = partitions([*kinds, UPSTREAM_KIND])
    assert (ways.members @ ways.blocks == 1).all()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.floats(0, 1)), max_size=12),
    st.lists(st.tuples(st.integers(0, 5), st.floats(0, 1), st.booleans(), st.booleans()), max_size=6),
)
def test_a_plan_over_any_graph_is_finite(calls, runs):
    callers, callees, traffic = (np.array(column) for column in zip(*calls, strict=True)) if calls else (np.zeros(0, int),) * 3
    model = GraphModel(CallGraph(6, callers.astype(int), callees.astype(int), traffic.astype(float), np.array([0])), 1)
    asked = Candidates(np.arange(6), np.zeros(6, int), np.linspace(0, 1, 6))
    model.score(asked, Prices())
    for component, dose, failed, available in runs:
        model.observe(component, 0, dose, failed=failed, available=available)
    scored = model.score(asked, Prices())
    assert np.isfinite(scored.score).all()
    assert (scored.bits >= 0).all()
    assert ((scored.risk >= 0) & (scored.risk <= 1)).all()


@given(st.floats(0.01, 0.99), st.lists(st.tuples(st.floats(0.01, 0.99), st.floats(0, 1)), max_size=8))
def test_relatives_leave_a_probability(stated, relatives):
    traits = Traits("llm", "llm", "", "llm.rate_limit")
    said = predicted((traits,), stated, [Relative((traits,), *one) for one in relatives])
    assert 0.0 < said.confidence < 1.0
