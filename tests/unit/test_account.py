import pytest

from refute.learning import account


def intent(**stated):
    return {"event": "intent", "beliefs": [{"id": name, "claim": name, "stated_confidence": z} for name, z in stated.items()]}


def prediction(by, held, *, named=False, belief="a"):
    return {"event": "prediction", "belief": belief, "by": by, "named": named, "held": held, "refuted": 1 - held, "inconclusive": 0.0}


def run(name, verdict, *, belief="a", locked=(0.5, 0.3, 0.2), bits=0.5, risk=0.01, counted=True):
    held, refuted, inconclusive = locked
    yield {"event": "experiment", "experiment": name, "beliefs": [{"id": belief}], "proposal": {"risk": risk}}
    beliefs = {belief: {"held": held, "refuted": refuted, "inconclusive": inconclusive}}
    yield {"event": "forecast", "experiment": name, "beliefs": beliefs}
    yield {"event": "verdict", "experiment": name, "belief": belief, "verdict": verdict, "claim": belief}
    yield {"event": "learned", "experiment": name, "belief": belief, "counted": counted, "bits": bits, "surprise_bits": 1.0}


def test_bits_are_summed_per_run_and_per_risk():
    found = account([intent(a=0.8), *run("1", "held", bits=0.5), *run("2", "held", bits=-0.1)])
    assert (found.runs, found.bits, found.bits_per_run) == (2, pytest.approx(0.4), pytest.approx(0.2))
    assert found.bits_per_risk == pytest.approx(0.4 / 0.02)


def test_what_gave_no_evidence_teaches_no_bits_and_shows_in_the_quality():
    found = account([intent(a=0.8, b=0.5), *run("1", "void", counted=False)])
    assert (found.bits, found.beliefs["a"].quality, found.beliefs["b"].quality) == (0.0, "unsound", "untested")
    assert account([intent(a=0.8), *run("1", "inconclusive")]).beliefs["a"].quality == "weak"


def test_nothing_run_has_no_rates():
    found = account([intent(a=0.8)])
    assert (found.bits_per_run, found.bits_per_risk, found.planner, found.team, found.stated) == (None, None, None, None, None)


def test_the_planner_is_scored_on_every_forecast_that_it_locked():
    found = account([intent(a=0.8), *run("1", "held", locked=(1.0, 0.0, 0.0)), *run("2", "refuted", locked=(1.0, 0.0, 0.0))])
    assert found.planner.calibration.count == 2
    assert found.planner.calibration.brier == pytest.approx(1.0)
    low, high = found.planner.brier_interval
    assert low <= 1.0 <= high


def test_void_and_aborted_runs_score_nobody():
    assert account([intent(a=0.8), prediction("ada", 0.5), *run("1", "void"), *run("2", "aborted")]).planner is None


def test_a_person_is_scored_once_by_the_first_verdict_after_it_and_may_change_their_mind_before():
    events = [intent(a=0.8), prediction("ada", 0.1), prediction("ada", 1.0), *run("1", "held"), *run("2", "refuted")]
    found = account(events)
    assert found.team.calibration.count == 1
    assert found.team.calibration.brier == pytest.approx(0.0)


def test_what_is_said_while_a_run_is_under_way_waits_for_the_next():
    first = list(run("1", "held"))
    found = account([intent(a=0.8), *first[:2], prediction("ada", 0.9), *first[2:]])
    assert found.team is None


def test_scores_by_name_are_for_those_who_opted_in():
    events = [intent(a=0.8), prediction("ada", 0.5, named=True), prediction("bob", 0.5), *run("1", "held")]
    found = account(events)
    assert (list(found.people), found.team.calibration.count) == (["ada"], 2)


def test_stated_confidence_is_scored_by_the_first_decided_verdict_only():
    found = account([intent(a=0.8), *run("1", "inconclusive"), *run("2", "refuted"), *run("3", "held")])
    assert found.stated.calibration.count == 1
    assert found.stated.calibration.brier == pytest.approx(0.64)
