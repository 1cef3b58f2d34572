from pathlib import Path

import pytest
import yaml

from refute.core.criterion import parse_criterion
from refute.core.errors import RefuteError
from refute.core.intent import BlastRadius, ErrorBudget, Indicator, Journey, When
from refute.core.units import Money
from refute.intent import load, loads
from refute.intent.build import default_hazards
from support.intents import FAULTS, VALID, problems, project


@pytest.fixture
def path(tmp_path):
    return project(tmp_path)


def test_a_valid_file_becomes_an_intent(path):
    intent = load(path, faults=FAULTS)
    assert intent.path == path
    assert intent.system.owner == "team-support"
    assert intent.system.components["assistant"].calls == ("retriever", "llm", "orders")
    assert intent.system.journeys["ask-about-order"] == Journey("ask-about-order", "assistant", 0.7, Money(0.4, "USD"))
    assert (intent.workload.kind, intent.workload.target, intent.workload.setup) == ("python", "app.main:answer", "app.main:running")
    assert (intent.workload.cases, intent.workload.rate_per_s, intent.workload.timeout_s) == (path.parent / "cases.jsonl", 5.0, 30.0)
    assert intent.indicators["answered"] == Indicator("answered", "ratio", "app.checks:answered")
    assert intent.indicators["latency"] == Indicator("latency", "latency")
    assert (intent.steady_window_s, intent.steady_holds) == (120.0, (parse_criterion("answered >= 95%"),))
    assert [criterion.text for criterion in intent.stop_when][2:4] == ["ask-about-order.answered worse by > 10 points", "loss > 5 USD"]
    assert intent.blast_radius == BlastRadius(
        0.5, 800, 300.0, frozenset({"payments"}), frozenset({"127.0.0.1"}), ErrorBudget(0.99, 30 * 86400, 0.02)
    )
    assert intent.environments["production"].allow == frozenset({"availability"})
    assert intent.raw["version"] == 1


def test_a_belief_carries_what_was_stated_and_where(path):
    intent = load(path, faults=FAULTS)
    belief = intent.beliefs["rate-limits-absorbed"]
    assert belief.when == When("llm.rate_limit", "llm", None, 0.3, "call")
    assert (belief.then.text, belief.confidence, belief.if_wrong, belief.among) == ("answered >= 95%", 0.9, "high", "eligible")
    assert belief.depends_on == ("prompts/", "app/llm.py", "model")
    assert belief.where == f"{path}:{VALID[: VALID.index('rate-limits-absorbed')].count(chr(10)) + 1}"
    other = intent.beliefs["slow-retrieval-tolerated"]
    assert (other.when.magnitude, other.when.share, other.owner, other.if_wrong) == (2.0, 1.0, "team-support", "medium")


def test_python_code_builds_the_same_objects(path):
    from_file = load(path, faults=FAULTS)
    from_code = loads(yaml.safe_load(VALID), path.parent, faults=FAULTS)
    for part in ("system", "workload", "indicators", "steady_holds", "stop_when", "blast_radius", "environments", "alpha", "raw", "path"):
        assert getattr(from_code, part) == getattr(from_file, part)
    assert [(belief.when, belief.then) for belief in from_code.beliefs.values()] == [
        (belief.when, belief.then) for belief in from_file.beliefs.values()
    ]
    assert from_code.beliefs["rate-limits-absorbed"].where == "beliefs[0]"


def test_what_was_loaded_loads_again(path):
    intent = load(path, faults=FAULTS)
    once = loads(intent.raw, path.parent, faults=FAULTS)
    assert loads(once.raw, path.parent, faults=FAULTS) == once


def test_the_callers_mapping_is_left_alone(path):
    data = yaml.safe_load(VALID) | {"include": "more.yaml"}
    (path.parent / "more.yaml").write_text("indicators: {quick: {latency: true}}\n")
    intent = loads(data, str(path.parent), faults=FAULTS)
    assert "quick" in intent.indicators
    assert "quick" not in data["indicators"]
    assert data["include"] == "more.yaml"


def test_tuples_count_as_lists_and_odd_keys_are_told(path):
    data = yaml.safe_load(VALID)
    data["stop_when"] = tuple(data["stop_when"])
    data["system"]["components"]["assistant"]["calls"] = ("retriever", "llm")
    assert loads(data, path.parent, faults=FAULTS).system.components["assistant"].calls == ("retriever", "llm")
    with pytest.raises(RefuteError) as caught:
        loads(data | {3: 4}, path.parent, faults=FAULTS)
    assert [(problem.code, problem.where) for problem in caught.value.problems] == [("KEY-UNKNOWN", "3")]


def test_problems_of_python_code_name_the_way_to_the_value(path):
    data = yaml.safe_load(VALID)
    data["beliefs"][1]["when"]["magnitude"] = "2 h"
    data["beliefs"][1]["then"] = "latency <= 4 s"
    with pytest.raises(RefuteError) as caught:
        loads(data, path.parent, faults=FAULTS)
    assert [(problem.code, problem.where) for problem in caught.value.problems] == [
        ("CRITERION-STATISTIC", "beliefs[1].then"),
        ("MAGNITUDE-RANGE", "beliefs[1].when.magnitude"),
    ]


def test_journeys_without_shares_split_what_is_left(path):
    text = VALID.replace("share: 70%, ", "").replace(", share: 30%", "")
    path.write_text(text)
    assert [journey.share for journey in load(path, faults=FAULTS).system.journeys.values()] == [0.5, 0.5]


def test_an_environment_holds_its_tightened_bounds(path):
    path.write_text(VALID.replace("{allow: [availability]}", "{blast_radius: {cohort: 5%, never: [orders]}}"))
    environment = load(path, faults=FAULTS).environments["production"]
    assert environment.allow == {"availability", "wrong_answer"}
    assert environment.blast_radius is not None
    assert (environment.blast_radius.cohort, environment.blast_radius.units) == (0.05, 800)
    assert environment.blast_radius.never == {"payments", "orders"}


def test_paths_are_relative_to_the_file_wherever_one_stands(path, monkeypatch):
    monkeypatch.chdir(path.parent.parent)
    relative = Path(path.parent.name) / "refute.yaml"
    intent = load(relative, faults=FAULTS)
    assert intent.workload.cases == path.parent / "cases.jsonl"
    assert intent.beliefs["rate-limits-absorbed"].where.startswith(f"{relative}:")


def test_the_digest_follows_the_content(path):
    before = load(path, faults=FAULTS).digest
    assert load(path, faults=FAULTS).digest == before
    path.write_text(VALID + "# a remark\n")
    assert load(path, faults=FAULTS).digest != before


@pytest.mark.parametrize(("environment", "state_write"), [("production", False), ("Prod", False), ("staging", True)])
def test_production_that_says_nothing_allows_only_what_a_rollback_undoes(environment, state_write):
    assert ("state_write" in default_hazards(environment)) is state_write
    assert "availability" in default_hazards(environment)


def test_unknown_names_are_told_beside_values_that_are_misshapen(tmp_path):
    text = VALID.replace("cohort: 50%", "cohort: 150%").replace("fault: llm.rate_limit,", "fault: llm.rate_limt,")
    told = [problem.code for problem in problems(project(tmp_path, text.replace("then: answered >= 95%", "then: >= 95%")))]
    assert sorted(told) == ["FAULT-UNKNOWN", "VALUE-UNIT", "YAML-FOLD"]


def test_no_name_is_called_unknown_while_a_file_that_may_declare_it_is_missing(tmp_path):
    text = VALID.replace("version: 1\n", "version: 1\ninclude: more.yaml\n").replace("target: llm,", "target: elsewhere,")
    assert [problem.code for problem in problems(project(tmp_path, text))] == ["FILE-MISSING"]
