"""Where a belief stands after several runs in the ledger."""

from __future__ import annotations

from dataclasses import replace

import pytest

from refute.campaign.standing import draw_of, standings
from refute.experiment.assess import Count, Look
from refute.intent import load
from support.intents import FAULTS, changed, project

ID = "rate-limits-absorbed"


@pytest.fixture
def intent(tmp_path):
    return load(project(tmp_path), faults=FAULTS)


@pytest.fixture
def relative(tmp_path):
    text, _line = changed("then: answered >= 95%", "then: answered worse by <= 10 points")
    return load(project(tmp_path, text), faults=FAULTS)


def stands(intent, events):
    return standings(intent, events, "")[ID]


def learned(intent, events, look, seed):
    """Return the events with one more, as a campaign writes it, and the confidence that it told."""
    draw = draw_of(intent, seed)
    before = stands(intent, events)
    after, seen = before.learned_from(look, draw)
    event = {
        "experiment": f"e{len(events)}", "belief": ID, "environment": "", "verdict": "held", "counted": True, "n": seen.counts.units,
        "breaches": seen.counts.breaches, "bound": seen.bound, "draw": draw, "marks": dict(before.marks),
    }  # fmt: skip
    return [*events, event], after.confidence


def clean(n, breaches=0.0):
    return Look(treatment=Count(n, breaches), control=Count(n, 0.0), bound=0.05)


def test_a_rerun_is_not_counted_as_if_it_were_independent(intent):
    once, sure = learned(intent, [], clean(60, 1), 1)
    again, told = learned(intent, once, clean(60, 1), 1)
    assert stands(intent, again).confidence == pytest.approx(sure) == pytest.approx(told)
    anew, surer = learned(intent, once, clean(60, 1), 2)
    assert stands(intent, anew).confidence == pytest.approx(surer)
    assert 1.0 - surer < 0.8 * (1.0 - sure)


def test_a_rerun_with_other_cases_is_a_new_draw(intent):
    before = draw_of(intent, 1)
    assert draw_of(intent, 2) != before == draw_of(intent, 1)
    intent.workload.cases.write_text('{"id": "other"}\n')
    assert draw_of(intent, 1) != before


def test_relative_evidence_of_each_run_stays_at_its_own_bound(relative):
    """Control fails in 2 %, later in 40 %; treatment is 20 points worse each time, and the last run's bound alone would hide the first."""
    first = Look(treatment=Count(100, 22.0), control=Count(100, 2.0), bound=0.1, absolute=False)
    later = replace(first, treatment=Count(100, 60.0), control=Count(100, 40.0))
    events, after_one = learned(relative, [], first, 1)
    events, told = learned(relative, events, later, 2)
    assert stands(relative, events).confidence == pytest.approx(told)
    assert told < after_one < 0.5
    assert told < stands(relative, events[1:]).confidence


def test_what_the_ledger_says_later_is_what_was_told(relative):
    events, look = [], Look(treatment=Count(80, 6.0), control=Count(80, 4.0), bound=0.1, absolute=False)
    for seed, rate in enumerate((4.0, 9.0, 1.0)):
        events, told = learned(relative, events, replace(look, control=Count(80, rate)), seed)
        assert stands(relative, events).confidence == pytest.approx(told)


def test_evidence_without_a_draw_counts_by_its_experiment(intent):
    events, _ = learned(intent, [], clean(60, 1), 1)
    events, _ = learned(intent, events, clean(60, 1), 1)
    for event in events:
        del event["draw"]
    assert stands(intent, events).claim.seen.units == 120


def test_any_amount_of_evidence_leaves_something_to_plan(intent):
    events = []
    for seed in range(12):
        events, told = learned(intent, events, clean(2_000), seed)
    assert 0.999999 < told < 1.0
    assert stands(intent, events).claim.information(100) >= 0.0
