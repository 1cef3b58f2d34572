"""Evidence of one belief from a tape of outcomes, without processes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from refute.core.arming import Arming
from refute.core.criterion import parse_criterion
from refute.core.draws import in_treatment
from refute.core.intent import Belief, BlastRadius, Indicator, Intent, System, When, Workload
from refute.core.outcome import Outcome
from refute.core.system import Component
from refute.experiment.assess import assessor, judge
from refute.experiment.cases import draw_units
from refute.experiment.design import Experiment
from refute.experiment.tape import Tape

CASES = [{"id": str(number)} for number in range(50)]
INDICATORS = {
    "answered": Indicator("answered", "ratio", "a:b"),
    "quality": Indicator("quality", "score", "a:b"),
    "latency": Indicator("latency", "latency"),
    "tokens": Indicator("tokens", "cost", "a:b", 0.001, "USD"),
}


def experiment(criterion: str, units: int = 400, **more) -> Experiment:
    belief = Belief("b", "claim", When("llm.rate_limit", "llm"), parse_criterion(criterion), 0.9, **more)
    workload = Workload("python", "app:answer", Path("cases.jsonl"), 5.0)
    radius = BlastRadius(units=units)
    intent = Intent(Path("refute.yaml"), System("s", {}), workload, INDICATORS, {"b": belief}, blast_radius=radius)
    arming = Arming(Component("llm", "llm", endpoint="http://127.0.0.1:1/v1"), "llm.rate_limit", 1.0, 1.0, "call", 0.5, 7)
    return Experiment("e", intent, (belief,), arming, units)


def outcomes(one: Experiment, phase: str, make):
    """Return a tape and the outcomes that `make(arm, rng)` gives: (value or error, eligible, hit, latency)."""
    tape = Tape(phase, draw_units(CASES, {}, 7, phase), one.units, 7, 0.5)
    rng, made = random.Random(3), []
    for unit, _ in zip(draw_units(CASES, {}, 7, phase), range(one.units), strict=False):
        arm = "treatment" if in_treatment(7, unit.key, 0.5) else "control"
        fields = {"values": {}, "eligible": {"llm": 1}, "hits": {}, "error": "", "latency_s": 0.1} | make(arm, rng)
        fields["cost"] = {"tokens": 100.0} | fields.get("cost", {})
        fields["values"] = {"latency": fields["latency_s"]} | fields["values"]
        made.append(Outcome(unit=unit.key, cluster=unit.cluster, arm=arm, journey="", index=unit.index, start_s=0.0, **fields))
    return tape, made


def verdict(criterion: str, make, units: int = 400, **more):
    one = experiment(criterion, units, **more)
    baseline, before = outcomes(one, "baseline", lambda _arm, _rng: {"values": {"answered": 1.0, "quality": 0.9}})
    baseline.add(one.units, before)
    reader = assessor(one.beliefs[0], one, baseline)
    tape, made = outcomes(one, "inject", make)
    for number, outcome in enumerate(made, 1):
        tape.add(number, [outcome])
        look = reader.look(tape)
        if look.over:
            break
    return judge(look, [], ""), look


def good(_arm, _rng):
    return {"values": {"answered": 1.0, "quality": 0.9}}


def dear(arm):
    return {"cost": {"tokens": 300.0 if arm == "treatment" else 100.0}}


def half_bad(arm, rng):
    return {"values": {"answered": float(arm == "control" or rng.random() < 0.5), "quality": 0.9 if arm == "control" else 0.5}}


@pytest.mark.parametrize(
    ("criterion", "make", "word"),
    [
        ("answered >= 95%", good, "held"),
        ("answered >= 95%", half_bad, "refuted"),
        ("answered worse by <= 10 points", half_bad, "refuted"),
        ("quality >= 0.8", good, "held"),
        ("quality >= 0.8", half_bad, "refuted"),
        ("latency p95 <= 1 s", good, "held"),
        ("latency p95 <= 1 s", lambda arm, rng: good(arm, rng) | {"latency_s": 3.0 if arm == "treatment" else 0.1}, "refuted"),
        ("latency p95 worse by <= 1 s", lambda arm, rng: good(arm, rng) | {"latency_s": 3.0 if arm == "treatment" else 0.1}, "refuted"),
        ("answered >= 95%", lambda _arm, _rng: {"error": "timeout"}, "void"),
        ("tokens p95 <= 150", good, "held"),
        ("tokens p95 <= 150", lambda arm, rng: good(arm, rng) | dear(arm), "refuted"),
        ("tokens p95 <= 0.15 USD", good, "held"),
        ("tokens p95 <= 0.15 USD", lambda arm, rng: good(arm, rng) | dear(arm), "refuted"),
        ("tokens p95 worse by <= 50", good, "held"),
        ("tokens p95 worse by <= 50", lambda arm, rng: good(arm, rng) | dear(arm), "refuted"),
        ("tokens p95 worse by <= 0.05 USD", lambda arm, rng: good(arm, rng) | dear(arm), "refuted"),
    ],
)
def test_the_word_follows_the_data(criterion, make, word):
    assert verdict(criterion, make)[0].word == word


def test_a_clean_run_holds_as_soon_as_the_theory_says():
    _, look = verdict("answered >= 95%", good)
    assert look.n == 74


def test_units_that_never_met_the_fault_do_not_count():
    def make(arm, rng):
        met = rng.random() < 0.5
        return half_bad(arm, rng) | {"eligible": {"llm": 1} if met else {}} if met else good(arm, rng) | {"eligible": {}}

    decided, look = verdict("answered >= 95%", make)
    assert decided.word == "refuted"
    assert 0.3 < look.treatment.breaches / look.n < 0.7


def test_an_indicator_that_is_missing_is_the_worst_case_for_both_verdicts():
    decided, look = verdict("answered >= 95%", lambda _arm, _rng: {"values": {"answered": None}})
    assert decided.word == "inconclusive"
    assert look.n == 0


def test_a_check_that_no_longer_works_ends_the_injection_early():
    seen = iter(range(10_000))
    decided, look = verdict("answered >= 99%", lambda _arm, _rng: {"values": {"answered": 1.0 if next(seen) < 60 else None}})
    assert (decided.word, decided.reasons[0]) == ("inconclusive", "the criterion could not be read in 20 units in a row")
    assert 15 < look.n < 45


def test_one_that_works_now_and_then_does_not_end_it():
    _, look = verdict("answered >= 95%", lambda _arm, rng: {"values": {"answered": 1.0 if rng.random() < 0.4 else None}})
    assert not look.blind


def test_among_faulted_reads_only_units_that_were_hit():
    def make(arm, rng):
        drawn = rng.random() < 0.3
        return {"values": {"answered": float(not drawn or arm == "control")}, "drawn": {"llm": 1} if drawn else {}}

    decided, look = verdict("answered >= 50%", make, among="faulted")
    assert decided.word == "refuted"
    assert look.treatment.breaches == look.n


def test_among_faulted_compares_with_the_units_of_control_that_would_have_been_hit():
    """Units whose draw comes up are harder ones: they call more often. Control fails in them as often as treatment does."""

    def make(_arm, rng):
        drawn = rng.random() < 0.4
        return {"values": {"answered": float(rng.random() > (0.4 if drawn else 0.02))}, "drawn": {"llm": 1} if drawn else {}}

    decided, look = verdict("answered worse by <= 5 points", make, units=1200, among="faulted")
    assert decided.word != "refuted"
    assert 0.25 < look.control.breaches / look.control.n < 0.55
    assert abs(look.control.n - look.treatment.n) < 120


def test_what_is_out_of_reach_ends_early():
    decided, look = verdict("answered >= 95%", lambda arm, rng: {"values": {"answered": float(rng.random() > 0.05)}}, units=60)
    assert decided.word == "inconclusive"
    assert look.futile
