"""The plan reckons with what relatives showed; what people stated stays."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from refute.campaign import kin
from refute.campaign.batch import batch
from refute.campaign.plan import Question, ask
from refute.campaign.standing import Standing
from refute.cli import group
from refute.intent import load
from refute.learning import Claim, Counts
from support.intents import VALID, project


@pytest.fixture
def intent(tmp_path):
    return load(project(tmp_path, VALID))


def standings(intent, **verdicts):
    told = {}
    for belief in intent.beliefs.values():
        word = verdicts.get(belief.id.replace("-", "_"), "")
        seen = {"held": Counts(0, 200), "refuted": Counts(60, 200)}.get(word, Counts())
        told[belief.id] = Standing(belief, Claim(belief.confidence, 0.05, seen), word)
    return told


ANOTHER = """  - id: errors-retried
    claim: Answers come when the provider fails
    when: {fault: llm.server_error, target: llm, share: 30%}
    then: answered >= 95%
    confidence: 80%
"""


@pytest.fixture
def kindred(tmp_path):
    return load(project(tmp_path, f"{VALID.rstrip()}\n{ANOTHER}"))


def test_an_untested_belief_starts_from_its_relatives_and_a_tested_one_from_itself(kindred):
    told = standings(kindred, rate_limits_absorbed="refuted")
    fallen = kin.informed(kindred, kindred.beliefs["errors-retried"], told)
    assert 0.3 < fallen.confidence < 0.75
    tested = kindred.beliefs["rate-limits-absorbed"]
    assert kin.informed(kindred, tested, told) is told[tested.id]
    risen = kin.informed(kindred, kindred.beliefs["errors-retried"], standings(kindred, rate_limits_absorbed="held"))
    assert risen.confidence > 0.8


def test_reasons_say_what_relatives_did(kindred):
    belief = kindred.beliefs["errors-retried"]
    assert kin.reason(kindred, belief, standings(kindred)) is None
    said = kin.reason(kindred, belief, standings(kindred, rate_limits_absorbed="refuted"))
    assert said is not None
    assert said.startswith("a tested relative did worse than stated")
    assert said.endswith("80 % stated")


def test_a_refuted_relative_makes_the_plan_expect_more_and_the_locked_forecast_stays(kindred):
    def proposal(**verdicts):
        plan = ask(kindred, standings(kindred, **verdicts), Question())
        return next(one for one in plan.proposals if one.beliefs[0].id == "errors-retried")

    fresh, warned = proposal(), proposal(rate_limits_absorbed="refuted")
    assert warned.bits["errors-retried"] > fresh.bits["errors-retried"]
    assert warned.risk > fresh.risk
    assert warned.answerable == fresh.answerable
    assert any("relative" in reason for reason in warned.reasons)
    assert warned.reach["ask-about-order"] > fresh.reach["ask-about-order"] > 0.0
    assert warned.to_json()["reach"] == dict(warned.reach)


def test_relatives_never_take_the_place_of_a_test(kindred):
    """However well relatives did, a belief that nobody has tested is still proposed."""
    many = standings(kindred, rate_limits_absorbed="held")
    sure = {
        name: replace(one, claim=replace(one.claim, seen=Counts(0, 4000) if one.claim.seen.units else Counts()))
        for name, one in many.items()
    }
    plan = ask(kindred, sure, Question())
    assert "errors-retried" in {belief.id for one in plan.proposals for belief in one.beliefs}


TOGETHER = """  - id: both-borne
    claim: Both at once are borne
    when: [{fault: llm.rate_limit, target: llm, share: 30%}, {fault: llm.server_error, target: llm, share: 30%}]
    then: answered >= 95%
    confidence: 85%
"""


@pytest.fixture
def combined(tmp_path):
    return load(project(tmp_path, f"{VALID.rstrip()}\n{ANOTHER}{TOGETHER}"))


def test_a_combination_is_no_surer_than_a_part_that_fell_and_a_part_no_less_than_a_combination_that_held(combined):
    both, part = combined.beliefs["both-borne"], combined.beliefs["errors-retried"]
    fallen = standings(combined, errors_retried="refuted")
    assert kin.prediction(combined, both, fallen).confidence <= fallen[part.id].confidence < 0.05
    held = standings(combined, both_borne="held")
    assert kin.prediction(combined, part, held).confidence >= held[both.id].confidence > 0.9
    assert kin.prediction(combined, both, standings(combined)).confidence == pytest.approx(0.85)


def test_a_combination_harms_what_any_of_its_faults_harms(combined):
    both, one = (combined.beliefs[name] for name in ("both-borne", "errors-retried"))
    told = standings(combined)
    learned = kin.passed_on(combined, told)
    assert kin.reach(combined, kin.harm(combined, both, learned)) == kin.reach(combined, kin.harm(combined, one, learned)), (
        "they strike one component"
    )
    apart = replace(both, when=replace(both.when, also=(replace(both.when.also[0], target="retriever"),)))
    more, less = (
        kin.reach(combined, kin.harm(combined, apart, learned)),
        kin.reach(combined, kin.harm(combined, one, learned)),
    )
    assert all(more[name] >= chance for name, chance in less.items())
    assert any(more[name] > chance for name, chance in less.items())


def test_a_batch_takes_the_best_and_then_what_is_unlike_it(kindred):
    """Two beliefs about failures of the model teach nearly the same: one about the search goes first, though it is worth less."""
    by_id = {one.beliefs[0].id: one for one in ask(kindred, standings(kindred), Question()).proposals}
    scores = {"rate-limits-absorbed": 1.0, "errors-retried": 0.9, "slow-retrieval-tolerated": 0.8}
    proposals = [replace(by_id[name], score=score) for name, score in scores.items()]
    chosen = batch(kindred, proposals, 3)
    assert [one.beliefs[0].id for one in chosen] == ["rate-limits-absorbed", "slow-retrieval-tolerated", "errors-retried"]
    unlike = "unlike those before it, so that it teaches something else"
    assert [unlike in one.reasons for one in chosen[:2]] == [False, True]


@pytest.mark.parametrize("count", [1, 2, 50])
def test_a_batch_is_no_larger_than_asked_and_repeats_nothing(kindred, count):
    proposals = ask(kindred, standings(kindred), Question()).proposals
    chosen = batch(kindred, proposals, count)
    assert len(chosen) == min(count, len(proposals))
    assert chosen[0].beliefs == proposals[0].beliefs
    assert len({one.beliefs[0].id for one in chosen}) == len(chosen)


def test_plan_shows_a_batch_and_refuses_one_of_nothing(tmp_path):
    path = project(tmp_path, f"{VALID.rstrip()}\n{ANOTHER}")
    done = CliRunner().invoke(group, ["plan", "--batch", "2", "--json", str(path)])
    assert done.exit_code == 0, done.output
    plan = next(event for event in map(json.loads, done.output.splitlines()) if event["event"] == "plan")
    assert len(plan["proposals"]) == 2
    assert CliRunner().invoke(group, ["plan", "--batch", "0", str(path)]).exit_code == 2


def test_what_runs_harmed_outweighs_what_beliefs_say(combined):
    """The run was refuted by its criterion, and yet the journey was spared: that is what counts for what comes next."""
    told = standings(combined)
    journey = next(iter(combined.system.journeys))
    belief = next(one for one in combined.beliefs.values() if len(one.when.targets) == 1)
    (target,) = belief.when.targets

    def reach(*became):
        blasts = [{"target": target, "actual": {"journeys": {journey: {"became": one}}}} for one in became]
        return kin.reach(combined, kin.harm(combined, belief, kin.passed_on(combined, told, blasts)))[journey]

    assert reach("spared", "spared") < reach("spared") < reach() == reach("unclear") < reach("harmed") < reach("harmed", "harmed")
