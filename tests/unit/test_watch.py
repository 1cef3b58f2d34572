"""Watching: within hours, stale first, one in twenty at random, whatever goes wrong with a run."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from played import played, ran

from refute.campaign import Budget, Watch, new_campaign, unfinished
from refute.campaign.choosing import is_random
from refute.core.errors import refuse
from refute.intent import load
from support.intents import VALID, project

PAUSE_S = 3600.0
HOURS = 'environments:\n  office: {windows: "Mon-Fri 09:00-16:00 UTC", freezes: "2026-12-24 to 2026-12-26 UTC"}\n'


@pytest.fixture
def path(tmp_path):
    return project(tmp_path, VALID.replace("environments:\n", HOURS))


def watch(made, path, *, turns, environment=""):
    """Return a watch that ends after so many pauses."""
    left = iter(range(turns))
    made.environment = made.told.environment = environment

    async def sleep(seconds):
        if next(left, None) is None:
            raise asyncio.CancelledError
        made.now += seconds

    past = unfinished(made.campaigns(), environment, "watch") or new_campaign("watch", environment, 1, Budget(float("inf"), None, 10.0))
    return Watch(made, past, lambda: load(path), PAUSE_S, sleep)


def states(made):
    return [(event["state"], event["reason"]) for event in made.record.kept("campaign")]


def test_it_runs_what_is_worth_it_then_waits_and_tests_again_what_went_stale(path, tmp_path):
    made = played(load(path), tmp_path)
    watching = watch(made, path, turns=12)
    assert asyncio.run(watching.run()) == 0
    first = [beliefs for beliefs, _, _ in ran(made)]
    assert {belief for beliefs in first for belief in beliefs} == set(made.intent.beliefs)
    assert states(made)[0][0] == "started"
    assert any(state == "waiting" and "nothing is left" in reason for state, reason in states(made))
    (tmp_path / "app" / "llm.py").write_text('MODEL = "large"\n')
    assert asyncio.run(watch(made, path, turns=3).run()) == 0
    again = [beliefs for beliefs, _, drawn in ran(made)[len(first) :] if not drawn]
    assert again[0] == ("rate-limits-absorbed",)
    assert any(state == "resumed" for state, _ in states(made))


def test_stale_comes_before_what_is_worth_more(tmp_path):
    more = "\n  - {id: dear, claim: c, when: {fault: llm.server_error, target: llm}, then: answered >= 95%, confidence: 50%}\n"
    path = project(tmp_path, VALID)
    made = played(load(path), tmp_path)
    asyncio.run(watch(made, path, turns=4).run())
    path.write_text(VALID.rstrip() + more)
    (tmp_path / "app" / "llm.py").write_text('MODEL = "large"\n')
    made = played(load(path), tmp_path)
    assert made.plan().proposals[0].beliefs[0].id == "dear"
    before = len(ran(made))
    asyncio.run(watch(made, path, turns=1).run())
    assert ran(made)[before][0] == ("rate-limits-absorbed",) or ran(made)[before][2]


@pytest.mark.parametrize(
    ("at", "opens"),
    [
        (datetime(2026, 11, 28, 12, tzinfo=UTC), datetime(2026, 11, 30, 9, tzinfo=UTC)),  # a Saturday
        (datetime(2026, 12, 23, 17, tzinfo=UTC), datetime(2026, 12, 28, 9, tzinfo=UTC)),  # a freeze, then a weekend
    ],
)
def test_it_waits_for_working_hours_and_the_end_of_a_freeze(path, tmp_path, at, opens):
    made = played(load(path), tmp_path)
    made.now = at.timestamp()
    asyncio.run(watch(made, path, turns=130, environment="office").run())
    times = [event["at"] for event in made.record.kept("experiment")]
    assert times
    assert min(times) >= opens.timestamp()
    assert min(times) < opens.timestamp() + PAUSE_S
    waited = [reason for state, reason in states(made) if state == "waiting"]
    assert waited[0].startswith("`office` is")
    assert len(waited) < 12, "what is waited for is said once"


def test_one_turn_in_twenty_is_random_even_where_nothing_is_worth_a_run(path, tmp_path):
    made = played(load(path), tmp_path)
    asyncio.run(watch(made, path, turns=25).run())
    for number, (_, seed, drawn) in enumerate(ran(made)):
        assert seed == 1 + number
        assert drawn == is_random(1, number)


def test_a_run_that_fails_does_not_end_it(path, tmp_path):
    def outcome(belief, number):
        if belief.id == "rate-limits-absorbed" and number < 2:
            return refuse("WORKLOAD-SETUP", f"the workload could not be set up ({number})", exit_code=3)
        return 0, 150

    made = played(load(path), tmp_path, outcome=outcome)
    asyncio.run(watch(made, path, turns=30).run())
    tested = [beliefs[0] for beliefs, _, _ in ran(made)]
    assert "slow-retrieval-tolerated" in tested[:3], "others have their turn meanwhile"
    assert made.standings()["rate-limits-absorbed"].verdict == "held"


def test_an_intent_file_that_breaks_meanwhile_is_waited_for(path, tmp_path):
    made = played(load(path), tmp_path)
    good = path.read_text()
    watching = watch(made, path, turns=6)
    path.write_text("version: 1\nbeliefs: [")
    read, count = watching.read, iter(range(100))

    def mended():
        if next(count) == 2:
            path.write_text(good)
        return read()

    watching.read = mended
    assert asyncio.run(watching.run()) == 0
    assert ran(made)
    assert [state for state, _ in states(made)][:2] == ["started", "waiting"]


def test_the_risk_of_long_ago_is_forgotten(path, tmp_path):
    made = played(load(path), tmp_path, outcome=lambda _belief, _number: (100, 150))
    watching = watch(made, path, turns=3)
    watching.past.budget = Budget(float("inf"), 0.0001, 10.0)
    asyncio.run(watching.run())
    spoiled = watching._loop.recent().spoiled
    made.now += 40 * 86_400
    assert spoiled >= watching._loop.recent().spoiled == 0
