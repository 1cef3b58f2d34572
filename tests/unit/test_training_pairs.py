"""Which pairs of runs breach a criterion, and what a belief's evidence comes to."""

from __future__ import annotations

import pytest

from refute.core.criterion import parse_criterion
from refute.core.intent import Indicator
from refute.core.outcome import Outcome
from refute.experiment.assess import Count
from refute.experiment.design import Experiment, aim
from refute.experiment.training.assess import Pair, PairAssessor, beyond
from refute.intent import loads

ACCURACY, LOSS = Indicator("accuracy", "metric", source="accuracy"), Indicator("loss", "metric", source="loss", higher=False)
NOTICED, LOST = Indicator("noticed", "ratio", source="noticed"), Indicator("lost", "metric", source="steps_lost", higher=False)


@pytest.mark.parametrize(
    ("text", "indicator", "control", "treatment", "breach"),
    [
        ("accuracy worse by <= 2 points", ACCURACY, 0.95, 0.93, False),
        ("accuracy worse by <= 2 points", ACCURACY, 0.95, 0.929, True),
        ("accuracy worse by <= 2 points", ACCURACY, 0.95, 0.99, False),
        ("accuracy worse by <= 2 points", ACCURACY, 0.95, None, True),
        ("loss worse by <= 0.1", LOSS, 0.5, 0.61, True),
        ("loss worse by <= 0.1", LOSS, 0.5, 0.2, False),
        ("accuracy >= 0.9", ACCURACY, 0.95, 0.9, False),
        ("accuracy >= 0.9", ACCURACY, 0.95, 0.89, True),
        ("lost <= 20", LOST, 0.0, 20.0, False),
        ("lost <= 20", LOST, 0.0, None, True),
        ("noticed >= 90%", NOTICED, 0.0, 1.0, False),
        ("noticed >= 90%", NOTICED, 0.0, 0.0, True),
        ("noticed <= 10%", NOTICED, 0.0, 1.0, True),
    ],
)
def test_what_is_beyond(text, indicator, control, treatment, breach):
    assert beyond(parse_criterion(text), indicator, control, treatment) is breach


def assessed(tmp_path, then, runs, seeds=20):
    """Evidence after pairs of (control, treatment, error of the treatment, landed)."""
    intent = loads(
        {
            "version": 1, "system": {"name": "s", "components": {"trainer": {"kind": "trainer"}}},
            "workload": {"training": {"python": "train:run", "seeds": seeds}},
            "indicators": {"accuracy": {"metric": "accuracy"}, "lost": {"training": "steps_lost"}, "noticed": {"training": "noticed"}},
            "beliefs": [
                {"id": "b", "claim": "c", "when": {"fault": "rank.killed", "target": "trainer"}, "then": then, "confidence": "80%"}
            ],
        },
        tmp_path,
    )  # fmt: skip
    belief = intent.beliefs["b"]
    assessor = PairAssessor(belief, Experiment("id", intent, (belief,), aim(intent, belief, 1), 2 * seeds))
    name = belief.then.indicator
    pairs = [
        Pair(
            Outcome(f"{seed}c", str(seed), "control", "", 2 * seed, 0.0, 1.0, {name: one}),
            Outcome(f"{seed}t", str(seed), "treatment", "", 2 * seed + 1, 0.0, 1.0, {name: other}, error=error),
            landed,
        )
        for seed, (one, other, error, landed) in enumerate(runs, 1)
    ]
    return assessor.look(pairs, Count(1, 0.0))


def test_six_pairs_that_agree_decide_and_five_do_not(tmp_path):
    worse = (0.95, 0.5, "", True)
    assert assessed(tmp_path, "accuracy worse by <= 2 points", [worse] * 5).decision == ""
    look = assessed(tmp_path, "accuracy worse by <= 2 points", [worse] * 6)
    assert look.decision == "refuted"
    assert look.middle == pytest.approx(0.45)
    assert look.counts == "6 of 6 pairs were worse by more than 2 points, median 0.45; at most 50 % may"
    assert assessed(tmp_path, "accuracy worse by <= 2 points", [(0.95, 0.95, "", True)] * 6).decision == "held"


def test_a_pair_whose_fault_did_not_strike_is_no_evidence(tmp_path):
    look = assessed(tmp_path, "accuracy worse by <= 2 points", [(0.95, 0.95, "", False)] * 10)
    assert look.n == 0
    assert look.log_hold == 0.0


def test_a_run_that_failed_breaches_whatever_it_had_told_before(tmp_path):
    assert assessed(tmp_path, "accuracy worse by <= 2 points", [(0.95, 0.95, "exit code 1", True)] * 6).decision == "refuted"
    assert assessed(tmp_path, "lost <= 40", [(0.0, 0.0, "timeout", True)] * 6).decision == "refuted"
    assert assessed(tmp_path, "noticed >= 50%", [(0.0, 1.0, "exit code 1", True)] * 6).decision == "held"


def test_a_decision_out_of_reach_ends_the_run(tmp_path):
    mixed = [(0.95, 0.5, "", True), (0.95, 0.95, "", True)] * 3
    assert assessed(tmp_path, "accuracy worse by <= 2 points", mixed, seeds=8).futile
    assert not assessed(tmp_path, "accuracy worse by <= 2 points", mixed, seeds=40).futile


def test_a_quantile_is_a_claim_about_more_pairs(tmp_path):
    assert assessed(tmp_path, "accuracy p90 worse by <= 2 points", []).bound == pytest.approx(0.1)
    assert assessed(tmp_path, "accuracy p10 >= 0.9", []).bound == pytest.approx(0.1)
    assert assessed(tmp_path, "lost p90 <= 40", []).bound == pytest.approx(0.1)
