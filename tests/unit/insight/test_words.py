from __future__ import annotations

import math

import pytest

from refute.insight import words


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.0, "0 %"),
        (1.0, "100 %"),
        (0.3068, "30.7 %"),
        (0.05, "5 %"),
        (0.9996, "> 99.9 %"),
        (0.0001, "< 0.1 %"),
        (0.954, "95.4 %"),
        (None, "–"),
    ],
)
def test_a_share_never_rounds_to_certainty(value, said):
    assert words.percent(value) == said


@pytest.mark.parametrize(("value_s", "said"), [(0.21, "0.21 s"), (12.4, "12 s"), (160, "2 min 40 s"), (120, "2 min"), (6000, "1.7 h")])
def test_durations_read_as_people_say_them(value_s, said):
    assert words.duration(value_s) == said


def test_landing_says_counts_share_and_control():
    data = {"eligible": 251, "injected": 77, "expected_share": 0.3, "control_injected": 0, "unattributed": 0, "reason": ""}
    assert words.landing(data) == "77 of 251 eligible calls hit: 30.7 % for a share of 30 %, none in control"


def test_a_hit_in_control_stands_out():
    data = {"eligible": 10, "injected": 3, "expected_share": 0.3, "control_injected": 2, "unattributed": 4, "reason": "two processes"}
    assert "2 IN CONTROL" in words.landing(data)
    assert "4 calls belonged to no unit" in words.landing(data)


def test_landing_without_eligible_calls_says_why():
    data = {"eligible": 0, "injected": 0, "expected_share": 0.3, "reason": "no call to llm was seen"}
    assert words.landing(data) == "0 of 0 eligible calls hit, none in control; no call to llm was seen"


def test_evidence_is_a_factor():
    assert [words.evidence(math.log(x)) for x in (20, 0.5, 1e-9, 1e30)] == ["20", "0.5", "< 0.01", "over 10\u202f000"]


def test_no_evidence_is_not_shown_as_a_factor_of_one():
    assert words.weighed({"hold": 0.0, "refute": 0.0, "bound": 0.0}) == "none was gathered"


def test_less_sure_is_learning_too():
    data = {"confidence_before": 0.9, "confidence_after": 0.6, "bits": -0.5, "surprise_bits": 0.4, "outcome_bits": 3.0, "counted": True}
    assert "less sure than before, which is learning too" in words.learned(data)
    assert words.foreseen(data) == "the forecast gave this outcome 12.5 %"


def test_an_outcome_that_no_forecast_names():
    assert words.foreseen({"outcome_bits": None}) == "the forecast said nothing of such an outcome"


def test_no_evidence_no_learning():
    assert words.gained({"counted": False, "bits": 0.0}) == "nothing: this run is no evidence"


def test_relative_criteria_allow_a_difference():
    assert words.allowed({"then": "answered worse by <= 5 points", "bound": 0.05}) == "at most 5 points more than control allowed"
    assert words.allowed({"then": "latency p95 worse by <= 1 s", "bound": 0.05}) == "at most 5 % allowed"
    assert words.allowed({"then": "not a criterion", "bound": 0.05}) == "at most 5 % allowed"


@pytest.mark.parametrize("verdict", ["held", "refuted", "aborted", "void", "inconclusive"])
def test_every_verdict_says_what_to_do_about_the_decision(verdict):
    assert "“Launch”" in words.advice({"verdict": verdict}, "Launch", "team")


def test_control_characters_never_reach_a_terminal():
    assert words.clean("a\x1b[31mb\r\nc\u202e") == "a [31mb  c"


def test_a_problem_of_a_run_carries_more_than_a_problem():
    lines = words.problem_lines({"code": "LINK-LOST", "what": "the worker is gone", "experiment": "e1", "next": "refute recover"})
    assert lines == ["the worker is gone [LINK-LOST]", "next: refute recover"]
