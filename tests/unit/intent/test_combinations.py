"""Beliefs about several faults at once: how they are written, and which cannot be."""

from __future__ import annotations

import pytest

from refute.core.errors import RefuteError
from refute.core.intent import When
from refute.faults.catalogue import catalogue
from refute.intent import load
from refute.intent.fingerprint import fingerprint
from support.intents import VALID, project

BELIEF = """
  - id: together
    claim: They are borne at once
    when:
WHEN
    then: answered >= 90%
    confidence: CONFIDENCE
"""


def stated(tmp_path, *faults, confidence="80%"):
    when = "\n".join(f"      - {{{fault}}}" for fault in faults)
    text = VALID.rstrip() + BELIEF.replace("WHEN", when).replace("CONFIDENCE", confidence)
    return project(tmp_path, text)


def problems(path):
    try:
        load(path, faults=catalogue())
    except RefuteError as error:
        return [problem for problem in error.problems if problem.code not in {"FAULT-SEAM", "HAZARD-NOT-ALLOWED"}]
    return []


def test_a_list_of_faults_is_one_belief(tmp_path):
    path = stated(tmp_path, "fault: llm.rate_limit, target: llm, share: 30%", "fault: retriever.delay, target: retriever, magnitude: 3 s")
    intent = load(path, faults=catalogue())
    when = intent.beliefs["together"].when
    assert when.parts == (When("llm.rate_limit", "llm", share=0.3), When("retriever.delay", "retriever", 3.0))
    assert when.targets == ("llm", "retriever")
    assert when.also[0].also == ()
    apart = load(stated(tmp_path / "b", "fault: llm.rate_limit, target: llm, share: 30%"), faults=catalogue())
    assert apart.beliefs["together"].when == When("llm.rate_limit", "llm", share=0.3)
    marks = [fingerprint(one, one.beliefs["together"]) for one in (intent, apart)]
    assert marks[0]["fault"] != marks[1]["fault"]
    assert marks[0]["component"] != marks[1]["component"]


@pytest.mark.parametrize(
    ("faults", "code", "word"),
    [
        (("fault: llm.rate_limit, target: llm", "fault: llm.rate_limit, target: llm"), "FAULT-COMBINE", "twice"),
        (("fault: llm.rate_limit, target: llm", "fault: llm.delay, target: llm"), "FAULT-COMBINE", "nothing is left for `llm.delay`"),
        (("fault: content.truncated, target: llm", "fault: llm.rate_limit, target: llm"), "FAULT-COMBINE", "finds no reply to change"),
        (("fault: llm.delay, target: llm", "fault: llm.delai, target: llm"), "FAULT-UNKNOWN", "llm.delai"),
        (("fault: llm.delay, target: llm", "fault: retriever.delay, target: retriver"), "COMPONENT-UNKNOWN", "retriver"),
        (
            ("fault: llm.delay, target: llm", "fault: retriever.delay, target: retriever, magnitude: 9000 s"),
            "MAGNITUDE-RANGE",
            "out of range",
        ),
        (("fault: llm.delay, target: llm", "fault: retriever.delay, tarjet: retriever"), "KEY-UNKNOWN", "tarjet"),
        (("fault: llm.delay, target: llm", "fault: retriever.delay"), "KEY-MISSING", "target"),
        ((), "VALUE-TYPE", "when"),
    ],
)
def test_what_cannot_be_combined_is_refused_where_it_stands(tmp_path, faults, code, word):
    path = stated(tmp_path, *faults)
    found = problems(path)
    assert code in [problem.code for problem in found]
    problem = next(problem for problem in found if problem.code == code)
    assert word in problem.what
    if faults:
        line = int(problem.where.rpartition(":")[2])
        assert "- {" in path.read_text().splitlines()[line - 1]
        assert "<" not in problem.what


@pytest.mark.parametrize(
    "faults",
    [
        ("fault: llm.rate_limit, target: llm, share: 30%", "fault: llm.delay, target: llm"),
        ("fault: llm.delay, target: llm", "fault: llm.rate_limit, target: llm"),
        ("fault: llm.delay, target: llm, share: 50%", "fault: content.truncated, target: llm"),
        ("fault: content.truncated, target: llm", "fault: llm.wrong_model, target: llm"),
    ],
)
def test_what_can_be_combined_is_not(tmp_path, faults):
    assert not problems(stated(tmp_path, *faults))


def test_an_empty_list_is_no_belief(tmp_path):
    path = stated(tmp_path)
    path.write_text(path.read_text().replace("    when:\n\n", "    when: []\n"))
    assert [problem.code for problem in problems(path)] == ["VALUE-EMPTY"]


def test_a_threshold_of_several_faults_is_refused(tmp_path):
    faults = "fault: llm.delay, target: llm", "fault: retriever.delay, target: retriever"
    path = stated(tmp_path, *faults, confidence="{at_least: 1 s, sure: 80%}")
    assert [problem.code for problem in problems(path)] == ["THRESHOLD-COMBINED"]
