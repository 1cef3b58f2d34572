"""False verdicts and false stops stay within alpha where the cohort grows step by step, and where a user's units share an arm.

Fixed seeds, the library's own tape, ramp, stops and evidence, outcomes that come late. A claimed rate stands unless the lower
Clopper-Pearson bound of what was seen is above it.
"""

from __future__ import annotations

import random

import pytest

from support.radius import Course, breaches_of, cases, experiment
from support.simulation import share_of, within

RUNS = 100
RAMP = (0.05, 0.2)


def courses(criterion, base, harm, *, pool, spread=None, runs=RUNS, **more):
    for seed in range(runs):
        rng = random.Random(f"{criterion}/{base}/{harm}/{seed}")
        yield Course(experiment(criterion, seed=seed, **more), pool, breaches_of(base, harm, rng, spread))


@pytest.mark.parametrize(("base", "harm", "wrong"), [(0.1, 0.0, "refuted"), (0.1, 0.0, "held"), (0.02, 0.0, "refuted"), (0.1, 0.1, "held")])
def test_an_absolute_verdict_under_a_ramp(base, harm, wrong):
    ran = list(courses("answered >= 90%", base, harm, pool=cases(100), ramp=RAMP))
    falsely = [course.decision == wrong for course in ran]
    print(f"absolute, breach rate {base + harm:.0%}: falsely {wrong} {share_of(falsely):.3f}; top step in {share_of(topped(ran)):.2f}")
    assert within(falsely)
    assert share_of(topped(ran)) > 0.9


@pytest.mark.parametrize(("base", "harm", "wrong"), [(0.1, 0.1, "refuted"), (0.1, 0.1, "held"), (0.3, 0.0, "refuted"), (0.1, 0.25, "held")])
def test_a_comparison_under_a_ramp(base, harm, wrong):
    ran = list(courses("answered worse by <= 10 points", base, harm, pool=cases(100), ramp=RAMP))
    falsely = [course.decision == wrong for course in ran]
    print(f"worse by {harm:.0%}, 10 points allowed: falsely {wrong} {share_of(falsely):.3f}")
    assert within(falsely)


def test_a_ramp_keeps_its_power():
    refuted = [course.decision == "refuted" for course in courses("answered >= 90%", 0.01, 0.4, pool=cases(100), ramp=RAMP, runs=60)]
    held = [course.decision == "held" for course in courses("answered >= 80%", 0.02, 0.0, pool=cases(100), ramp=RAMP, runs=60)]
    compared = [
        course.decision == "refuted" for course in courses("answered worse by <= 5 points", 0.05, 0.5, pool=cases(100), ramp=RAMP, runs=60)
    ]
    assert min(map(share_of, (refuted, held, compared))) >= 0.9


@pytest.mark.parametrize("ramp", [(), RAMP])
@pytest.mark.parametrize(("criterion", "base", "harm", "wrong"), [
    ("answered >= 80%", 0.2, 0.0, "refuted"),
    ("answered >= 80%", 0.2, 0.0, "held"),
    ("answered worse by <= 5 points", 0.3, 0.05, "refuted"),
    ("answered worse by <= 5 points", 0.3, 0.05, "held"),
])  # fmt: skip
def test_users_that_always_end_alike_count_once(ramp, criterion, base, harm, wrong):
    pool = cases(300, users=100)
    ran = list(courses(criterion, base, harm, pool=pool, spread=True, by="user", ramp=ramp, units=400))
    falsely = [course.decision == wrong for course in ran]
    print(f"{criterion}, users, {len(ramp)} steps before: falsely {wrong} {share_of(falsely):.3f}")
    assert within(falsely)
    assert max(course.counted for course in ran) <= 100, "no user counts twice"


def test_counting_each_unit_of_users_would_mislead(monkeypatch):
    import refute.core.feed
    import refute.experiment.tape

    for module in (refute.core.feed, refute.experiment.tape):
        monkeypatch.setattr(module, "independent", iter)
    pool = cases(40, users=10)
    ran = courses("answered worse by <= 5 points", 0.3, 0.0, pool=pool, spread=True, by="user", units=400, runs=60)
    assert not within([course.decision == "refuted" for course in ran]), "what is simulated here would mislead"


@pytest.mark.parametrize("ramp", [(), RAMP])
def test_a_comparing_stop_does_not_fire_because_users_differ(ramp):
    pool = cases(160, users=40)
    ran = courses(
        "answered >= 1%",
        0.3,
        0.0,
        pool=pool,
        spread=True,
        by="user",
        ramp=ramp,
        units=400,
        runs=100,
        stop_when=["answered worse by > 10 points"],
    )
    fired = [bool(course.stopped) for course in ran]
    print(f"false stops with users, {len(ramp)} steps before: {share_of(fired):.3f}")
    assert within(fired)


def test_a_ramp_meets_harm_with_fewer_units():
    stop = ["answered < 70%"]
    plain = [course.tape for course in courses("answered >= 1%", 0.0, 0.9, pool=cases(100), stop_when=stop, runs=50)]
    ramped = [course.tape for course in courses("answered >= 1%", 0.0, 0.9, pool=cases(100), ramp=RAMP, stop_when=stop, runs=50)]
    hit, hit_with_ramp = (sum(slot.arm == "treatment" for tape in tapes for slot in tape.slots()) / 50 for tapes in (plain, ramped))
    print(f"treatment units started by the time of the stop: {hit:.1f} at once, {hit_with_ramp:.1f} with a ramp")
    assert hit_with_ramp < 0.75 * hit
    assert max(tape.step for tape in ramped) < len(RAMP), "the last step does not begin where the stop is near"


def topped(ran):
    return [course.step == len(course.one.shares) - 1 or bool(course.decision) for course in ran]
