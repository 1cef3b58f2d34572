import re
from dataclasses import replace

import pytest

from refute.core.errors import RefuteError
from refute.intent import load
from refute.intent.checks.safety import refused_in
from support.intents import FAULTS, VALID, changed, problems, project

MISTAKES = [
    ("version: 1", "version: 2", "VERSION-UNKNOWN"),
    ("version: 1", 'version: "1"', "VERSION-UNKNOWN"),
    ("version: 1", "version: true", "VERSION-UNKNOWN"),
    ("name: support-assistant", 'name: ""', "VALUE-EMPTY"),
    ("name: support-assistant", "name: 5", "VALUE-TYPE"),
    ("  owner: team-support", "  ownr: team-support", "KEY-UNKNOWN"),
    ("  owner: team-support", "  traces: [1]", "VALUE-TYPE"),
    ("kind: agent", "kind: agnet", "VALUE-CHOICE"),
    ("calls: [retriever, llm, orders]", "calls: retriever", "VALUE-TYPE"),
    ("kind: agent, ", "", "KEY-MISSING"),
    ("  grounded:", "  groun ded:", "NAME-SYNTAX"),
    ('"http://127.0.0.1:8081/v1"', '"127.0.0.1:8081"', "VALUE-URL"),
    ('"http://127.0.0.1:8081/v1"', '"http://me:secret@127.0.0.1/v1"', "VALUE-URL"),
    ('"http://127.0.0.1:8081/v1"', '"http://127.0.0.1:99999/v1"', "VALUE-URL"),
    ('"http://127.0.0.1:8081/v1"', '"http://[/v1"', "VALUE-URL"),
    ('"app.rag:search"', '"app.rag.search"', "VALUE-REFERENCE"),
    ('"app.rag:search"', '"app/rag.py:search"', "VALUE-REFERENCE"),
    ("value: 0.40 USD", "value: 0.40", "VALUE-UNIT"),
    ("share: 70%", "share: 0.7", "VALUE-UNIT"),
    ("share: 70%", "share: 0%", "VALUE-RANGE"),
    ('  python: "app.main:answer"', '  comand: "app.main:answer"', "KEY-UNKNOWN"),
    ('  python: "app.main:answer"', '  observe: "no name!"', "NAME-SYNTAX"),
    ('  setup: "app.main:running"', "  command: run", "NOT-YET"),
    ('  setup: "app.main:running"', "  start: run", "NOT-YET"),
    ("  cases: cases.jsonl", "  cases: [cases.jsonl]", "VALUE-TYPE"),
    ("rate: 5/s", "rate: 5", "VALUE-UNIT"),
    ("rate: 5/s", "rate: 0/s", "VALUE-UNIT"),
    ("unit: request", "unit: conversation", "NOT-YET"),
    ("unit: request", "unit: requests", "VALUE-CHOICE"),
    ("timeout: 30 s", "timeout: 30", "VALUE-UNIT"),
    ("timeout: 30 s", "timeout: 1e999 s", "VALUE-UNIT"),
    ("timeout: 30 s", "timeout: 30 parsecs", "VALUE-UNIT"),
    ("{latency: true}", "{latency: false}", "VALUE-CHOICE"),
    ("{latency: true}", "{latency: true, ratio: a:b}", "KEY-ONE-OF"),
    ("{latency: true}", "{}", "KEY-ONE-OF"),
    ("{latency: true}", "{judge: gpt}", "NOT-YET"),
    ('holds: ["answered >= 95%"]', 'hold: ["answered >= 95%"]', "KEY-UNKNOWN"),
    ("window: 2 min", "window: 2", "VALUE-UNIT"),
    ("- answered < 70%", "- answered drops 10%", "CRITERION-SYNTAX"),
    ("- answered < 70%", "- answered < much", "CRITERION-SYNTAX"),
    ("- answered < 70%", "- latency p99 > 1e999 s", "CRITERION-SYNTAX"),
    ("- answered < 70%", "- [answered]", "CRITERION-SYNTAX"),
    ("cohort: 50%", "cohort: 100%", "VALUE-RANGE"),
    ("cohort: 50%", "cohort: 0.5", "VALUE-UNIT"),
    ("units: 800", "units: 1", "VALUE-RANGE"),
    ("units: 800", 'units: "800"', "VALUE-TYPE"),
    ("objective: 99%", "objective: 100%", "VALUE-RANGE"),
    ("never: [payments]", "never: payments", "VALUE-TYPE"),
    ("{allow: [availability]}", "{allow: [availabilty]}", "VALUE-CHOICE"),
    ("{allow: [availability]}", "{approvals: {need: 1, not: author}}", "KEY-MISSING"),
    ("{allow: [availability]}", '{windows: "Mon-Thu 9-16"}', "WINDOW-SYNTAX"),
    ("id: rate-limits-absorbed", "id: rate limits", "NAME-SYNTAX"),
    ("id: rate-limits-absorbed\n    claim: Provider rate limits never reach the customer\n", "id: rate-limits-absorbed\n", "KEY-MISSING"),
    ("target: llm, share", "share", "KEY-MISSING"),
    ("llm, share: 30%}", "llm, share: 30}", "VALUE-UNIT"),
    ("llm, share: 30%}", "llm, share: 0%}", "VALUE-RANGE"),
    ("llm, share: 30%}", "llm, draw: burst}", "NOT-YET"),
    ("llm, share: 30%}", "llm, draw: conversations}", "VALUE-CHOICE"),
    ("llm, share: 30%}", "llm, turn: 0}", "VALUE-RANGE"),
    ("llm, share: 30%}", "llm, draw: dice}", "VALUE-CHOICE"),
    ("llm, share: 30%}", "llm, magnitude: [2]}", "VALUE-TYPE"),
    ("then: answered >= 95%", "then: answered at least 95%", "CRITERION-SYNTAX"),
    ("confidence: 90%", "confidence: 0.9", "VALUE-UNIT"),
    ("confidence: 90%", "confidence: 100%", "CONFIDENCE-CERTAIN"),
    ("confidence: 90%", "confidence: 0%", "CONFIDENCE-CERTAIN"),
    ("confidence: 90%", "confidence: {at_least: 1 s}", "VALUE-TYPE"),
    ("if_wrong: high", "if_wrong: catastrophic", "VALUE-CHOICE"),
    ("if_wrong: high", "if_wrong: 5000", "VALUE-CHOICE"),
    ("if_wrong: high", "among: all", "VALUE-CHOICE"),
    ("    decides: Launch", "    judge: me\n    decides: Launch", "KEY-UNKNOWN"),
    ("beliefs:", "judges: {}\nbeliefs:", "NOT-YET"),
    ("beliefs:", "verdict: {alpha: 5}\nbeliefs:", "VALUE-UNIT"),
    ("beliefs:", "verdict: {alpha: 50%}\nbeliefs:", "VALUE-RANGE"),
]


@pytest.mark.parametrize(("old", "new", "code"), MISTAKES)
def test_a_mistake_is_told_with_its_code_and_its_line(tmp_path, old, new, code):
    text, line = changed(old, new)
    path = project(tmp_path, text)
    assert [(problem.code, problem.where) for problem in problems(path)] == [(code, f"{path}:{line}")]


@pytest.mark.parametrize(
    ("old", "new", "suggestion"),
    [
        ("kind: agent", "kind: agnet", "agent"),
        ("  owner:", "  ownr:", "owner"),
        ("llm, share: 30%}", "llm, share: 0.3}", "30%"),
        ("llm, share: 30%}", "llm, share: 30}", "30%"),
        ("rate: 5/s", "rate: 5", "5/s"),
        ("timeout: 30 s", 'timeout: "30"', "30 s"),
        ('"app.rag:search"', '"app.rag.search()"', "app.rag:search"),
        ("never: [payments]", "never: payments", "[payments]"),
        ("id: rate-limits-absorbed", "id: rate limits!", "rate-limits"),
        ("{allow: [availability]}", "{allow: [availabilty]}", "availability"),
    ],
)
def test_what_was_probably_meant_is_suggested(tmp_path, old, new, suggestion):
    text, _line = changed(old, new)
    assert [problem.suggestion for problem in problems(project(tmp_path, text))] == [suggestion]


@pytest.mark.parametrize("section", ["system", "workload", "indicators", "beliefs"])
def test_a_missing_section_is_told(tmp_path, section):
    lines = VALID.splitlines(keepends=True)
    start = lines.index(f"{section}:\n")
    end = next((n for n in range(start + 1, len(lines)) if not lines[n].startswith(" ")), len(lines))
    text = "".join(lines[:start] + lines[end:])
    told = [(problem.code, problem.what) for problem in problems(project(tmp_path, text))]
    assert told == [("KEY-MISSING", f"`{section}` is missing")]


@pytest.mark.parametrize("section", ["components:", "indicators:", "beliefs:"])
def test_an_empty_section_is_told(tmp_path, section):
    lines = VALID.splitlines(keepends=True)
    start = next(n for n, line in enumerate(lines) if line.strip() == section)
    indent = len(lines[start]) - len(lines[start].lstrip())
    end = next((n for n in range(start + 1, len(lines)) if len(lines[n]) - len(lines[n].lstrip()) <= indent), len(lines))
    empty = lines[start].rstrip() + (" []\n" if section == "beliefs:" else " {}\n")
    path = project(tmp_path, "".join([*lines[:start], empty, *lines[end:]]))
    assert [(problem.code, problem.where) for problem in problems(path)] == [("VALUE-EMPTY", f"{path}:{start + 1}")]


def test_a_second_way_to_run_is_one_too_many(tmp_path):
    text, _line = changed("  setup:", '  http: "http://127.0.0.1:8000/ask"\n  setup:')
    assert [problem.code for problem in problems(project(tmp_path, text))] == ["KEY-ONE-OF"]


def test_every_problem_names_the_next_command(tmp_path):
    text, _line = changed("rate: 5/s", "rate: 5")
    text, _line = changed("confidence: 90%", "confidence: 1", text)
    assert [problem.next for problem in problems(project(tmp_path, text))] == ["refute explain VALUE-UNIT"] * 2


OBSERVING = VALID.replace('  python: "app.main:answer"\n', "  observe: [assistant, tools]\n")


def test_live_traffic_has_neither_cases_nor_setup(tmp_path):
    assert OBSERVING != VALID
    assert [problem.code for problem in problems(project(tmp_path, OBSERVING))] == ["WORKLOAD-CASES"]


def test_a_workload_that_makes_units_has_cases(tmp_path):
    without = re.sub(r"\n  cases: .*", "", VALID)
    assert [problem.code for problem in problems(project(tmp_path, without))] == ["WORKLOAD-CASES"]


def test_what_a_rollback_does_not_undo_is_refused_on_live_traffic_wherever_no_environment_is_named(tmp_path):
    writes = FAULTS | {"llm.rate_limit": replace(FAULTS["llm.rate_limit"], hazard="state_write")}
    observing = re.sub(r"\n  (setup|cases): .*", "", OBSERVING)
    intent = load(project(tmp_path, observing.replace("allow: [availability]", "allow: [availability, wrong_answer]")), faults=FAULTS)
    assert {problem.code for problem in refused_in(intent, "", writes).values()} == {"HAZARD-NOT-ALLOWED"}
    assert refused_in(intent, "", FAULTS) == {}
    none_named = observing.replace("  production: {allow: [availability]}\n", "").replace("environments:\n", "")
    with pytest.raises(RefuteError) as caught:
        load(project(tmp_path, none_named), faults=writes)
    assert {problem.code for problem in caught.value.problems} == {"HAZARD-PRODUCTION"}
