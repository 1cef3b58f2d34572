"""Choosers, batches, random runs, stopping."""

import random
import subprocess
import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from refute.learning.planner.choosers import CHOOSERS, InformationPerRisk
from refute.learning.planner.information import Information, targets_of
from refute.learning.planner.lineage import Lineage
from refute.learning.planner.planner import BLOCK, Planner
from refute.learning.propagation.learner import learner_of
from refute.learning.propagation.plain import PlainLearner
from refute.learning.propagation.space import Run, faults_of, read_spaces
from refute.learning.stopping import StoppingRule, unseen
from refute.learning.value import Prices

KINDS = ("CE", "TO", "500", "502", "503")
SPACES = read_spaces(Path(__file__).parent.parent / "data" / "fault-spaces")


def planner(space, name, seed=0, audit=False):
    rng = random.Random(seed)
    return Planner(learner_of(space.calls, space.steady, KINDS), CHOOSERS[name](rng), rng, audit=audit)


@pytest.mark.parametrize("name", CHOOSERS)
@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.application)
def test_every_chooser_goes_through_a_space_without_repeating(name, space):
    plan, pool, done = planner(space, name), [run.faults for run in space.runs], []
    for _ in range(25):
        chosen = plan.ask(pool)
        if not chosen:
            break
        assert all(fault.call in plan.learner.calls for fault in chosen[0].faults)  # what nobody has seen cannot be aimed at
        pool.remove(chosen[0].faults)
        plan.tell(space.outcomes[chosen[0].faults], space.calls)
        done.append(chosen[0].faults)
    assert len(done) == len(set(done)) == min(25, len(space.runs))


def test_a_seed_repeats_a_campaign():
    def campaign(seed):
        plan, pool = planner(SPACES[2], "information", seed, audit=True), [run.faults for run in SPACES[2].runs]
        for _ in range(8):
            faults = plan.ask(pool)[0].faults
            pool.remove(faults)
            plan.tell(SPACES[2].outcomes[faults], SPACES[2].calls)
            yield faults

    assert list(campaign(3)) == list(campaign(3))


def test_a_batch_is_spread_over_calls():
    plan, pool = planner(SPACES[0], "uncertainty"), [run.faults for run in SPACES[0].runs if len(run.faults) == 1]
    batch = plan.ask(pool, 5)
    assert len({choice.faults[0].call for choice in batch}) == 5


def test_one_run_in_every_block_of_twenty_is_random_with_its_propensity():
    plan = planner(SPACES[0], "exhaustive", audit=True)
    pool = [run.faults for run in SPACES[0].runs]
    asked = [plan.ask(pool)[0] for _ in range(5 * BLOCK)]
    at = [position for position, choice in enumerate(asked) if choice.random]
    assert [position // BLOCK for position in at] == [0, 1, 2, 3, 4]
    assert len({position % BLOCK for position in at}) > 1
    known = sum(all(fault.call in plan.learner.calls for fault in faults) for faults in pool)
    chosen = next(choice for choice in asked if not choice.random)
    assert chosen.propensity == pytest.approx(0.95 + 0.05 / known)
    drawn = next(choice for choice in asked if choice.random)
    assert drawn.propensity == pytest.approx(0.05 / known + 0.95 * (drawn.faults == pool[0]))


def test_a_leaf_tells_more_than_what_is_above_it():
    """An outage from far below shows that each caller passed it on; its bits say so."""
    space = SPACES[0]
    learner = learner_of(space.calls, space.steady, KINDS)
    singles = [faults_of([(name, "500")]) for name in ("call-1", "call-5", "call-8")]
    bits = [one.bits for one in Information(random.Random(0)).prospects(learner, singles)]
    assert bits[1] > bits[0]
    assert all(one >= 0.0 for one in bits)


def test_what_is_known_teaches_nothing():
    space = SPACES[1]
    learner = learner_of(space.calls, space.steady, KINDS)
    pool = [run.faults for run in space.runs]
    information = Information(random.Random(0))
    before = sum(one.bits for one in information.prospects(learner, pool))
    for run in space.runs[:-1]:
        learner.observe(run, space.calls)
    after = information.prospects(learner, [space.runs[-1].faults])[0].bits
    assert after < 0.02 * before


def test_what_the_plain_learner_would_say_after_a_run_is_what_it_says_then():
    space, learner = SPACES[0], PlainLearner()
    for run in space.runs[:40:7]:
        learner.observe(run)
    sets = [run.faults for run in space.runs]
    runs = [space.runs[3], space.runs[-1], replace(space.runs[-1], available=not space.runs[-1].available)]
    supposed = learner.supposing(sets, [(run.faults, run.available) for run in runs])
    for run, said in zip(runs, supposed, strict=True):
        after = deepcopy(learner)
        after.observe(run)
        assert said == pytest.approx(after.forecast(sets))


def test_where_the_model_has_failed_prospects_are_those_of_what_is_trusted_instead():
    """All forecasts are of the plain learner then, and what only the model would learn is worth nothing."""
    space = SPACES[0]
    learner = learner_of(space.calls, space.steady, KINDS)
    for run in space.runs[:40:7]:
        learner.observe(run, space.calls)
    asked = [run.faults for run in space.runs if len(run.faults) == 1 and run.faults not in learner.tried]
    asked = [faults for faults in asked if faults[0].call in learner.calls]
    believing = Information(random.Random(0)).prospects(learner, asked)
    learner.trust._log_weights = np.log(learner.trust.weights[::-1] * [[1e-9], [1.0]])
    doubting = Information(random.Random(0)).prospects(learner, asked)
    assert [one.risk for one in doubting] == pytest.approx(1 - learner.available(asked), abs=1e-6)
    assert max(abs(one.risk - other.risk) for one, other in zip(believing, doubting, strict=True)) > 0.05
    chance = np.array([one.risk for one in doubting])
    binary = -chance * np.log2(chance) - (1 - chance) * np.log2(1 - chance)
    assert [one.surprise for one in doubting] == pytest.approx(binary, abs=1e-6)  # which calls are made is the model's knowledge


def test_a_price_on_risk_makes_the_plan_shy():
    space = SPACES[2]
    learner = learner_of(space.calls, space.steady, KINDS)
    learner.observe(space.outcomes[faults_of([("call-1", "500")])], space.calls)
    pool = [run.faults for run in space.runs if all(fault.call in learner.calls for fault in run.faults)]

    def risk(price):
        rule = InformationPerRisk(random.Random(0), Prices(1.0, price))
        return 1 - learner.available([pool[int(np.argmax(rule.scores(learner, pool)))]])[0]

    assert risk(1000.0) < risk(0.0)


def test_targets_of_many_calls_are_a_weighted_sample():
    few = targets_of(["a", "b"], KINDS, random.Random(0))
    assert few.weights.sum() == pytest.approx(2 * 5 + 25)
    many = targets_of([f"c{n}" for n in range(40)], KINDS, random.Random(0))
    assert len(many.sets) < 400
    assert many.weights.sum() == pytest.approx(40 * 5 + 25 * 40 * 39 / 2)


def test_lineage_hits_every_known_way_and_then_leaves_what_is_found():
    space = SPACES[3]
    learner = learner_of(space.calls, space.steady, KINDS)
    rule = Lineage(random.Random(0))
    single, pair = faults_of([("call-1", "500")]), faults_of([("call-1", "500"), ("call-2", "TO")])
    rule.scores(learner, [single])
    rule.told(space.outcomes[single])
    learner.observe(space.outcomes[single], space.calls)
    other = faults_of([("call-1", "TO")])
    assert np.argmax(rule.scores(learner, [other, pair])) == 1  # another kind of the same leaves the way over call-2
    rule.told(space.outcomes[pair])
    again = faults_of([("call-1", "CE"), ("call-2", "CE")])
    assert rule.scores(learner, [again])[0] < 3.0


def test_unseen_mass_follows_good_turing_and_chao():
    assert unseen([]).mass == 1.0
    left = unseen(["a", "a", "b", "b", "c", "d"])
    assert left.mass == pytest.approx(2 / 6)
    assert left.kinds == pytest.approx(5 / 6 * 2 * 1 / (2 * 3))
    assert unseen(["a"] * 9).mass == 0.0


def test_unseen_mass_is_right_on_average():
    rng = np.random.default_rng(5)
    shares = 0.5 ** np.arange(1, 12)
    shares /= shares.sum()
    estimated, true = [], []
    for _ in range(400):
        drawn = rng.choice(len(shares), 25, p=shares)
        estimated.append(unseen(drawn.tolist()).mass)
        true.append(shares[[n not in drawn for n in range(len(shares))]].sum())
    error = np.array(estimated) - np.array(true)
    assert abs(error.mean()) < 3 * error.std() / 20 + 0.01


def test_a_campaign_may_stop_when_little_is_left():
    rule = StoppingRule()
    assert rule.reached(0.01, unseen(["a"] * 10))
    assert not rule.reached(0.5, unseen(["a"] * 10))
    assert not rule.reached(0.01, unseen(list("abcdefghij")))
    assert not rule.reached(0.01, unseen(["a"]))


def test_an_empty_pool_is_answered_with_nothing():
    plan = planner(SPACES[1], "information")
    assert plan.ask([]) == []
    assert plan.may_stop([])
    plan.tell(Run((), True, False, SPACES[1].steady.calls), SPACES[1].calls)  # a run without faults is no evidence
    assert plan.learner.tried == {}


def test_numpy_is_imported_by_nothing_that_does_not_plan():
    code = "import sys, refute.cli, refute.learning, refute.campaign; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
