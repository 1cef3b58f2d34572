import json

import pytest
from click.testing import CliRunner

from refute.cli import check as check_module
from refute.cli.check import check
from refute.cli.schema import schema
from refute.intent.schema import intent_schema, outcome_schema
from support.intents import FAULTS, changed, project


@pytest.fixture(autouse=True)
def catalogue(monkeypatch):
    monkeypatch.setattr(check_module, "catalogue", lambda: FAULTS)


def run(*arguments):
    return CliRunner().invoke(check, [str(argument) for argument in arguments])


def test_a_valid_intent_is_told_in_plain_lines(tmp_path):
    result = run(project(tmp_path))
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "support-assistant: valid; 5 components, 2 journeys, 2 beliefs",
        "rate-limits-absorbed: Provider rate limits never reach the customer",
        "  when llm.rate_limit at 30 % → llm, then answered >= 95%; confidence 90 %",
        "  decides: Launch without a second provider (if wrong: high)",
        "slow-retrieval-tolerated: Answers stay quick when retrieval is slow",
        "  when retriever.delay 2 s → retriever, then latency p95 worse by <= 1 s; confidence 80 %",
        "  decides: Size of the retriever's timeout (if wrong: medium)",
    ]


def test_json_tells_the_same(tmp_path):
    result = run(project(tmp_path), "--json")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["valid"], told["system"]) == (0, True, "support-assistant")
    assert [(belief["id"], belief["hazard"]) for belief in told["beliefs"]] == [
        ("rate-limits-absorbed", "availability"),
        ("slow-retrieval-tolerated", "availability"),
    ]


def test_problems_go_to_standard_error_and_exit_2(tmp_path):
    text, line = changed("rate: 5/s", "rate: 5")
    path = project(tmp_path, text)
    result = run(path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[0] == f"{path}:{line}: `workload.rate` is not a value with its unit [VALUE-UNIT]"
    assert result.stderr.splitlines()[-1] == f"1 problem in {path}; nothing was run."


def test_problems_as_json_go_to_standard_output(tmp_path):
    text, _line = changed("app.rag:search", "app.rag:serch")
    result = run(project(tmp_path, text), "--json")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["valid"], [problem["code"] for problem in told["problems"]]) == (2, False, ["REFERENCE-NAME"])


def test_imports_can_be_left_out(tmp_path):
    text, _line = changed("app.rag:search", "app.rag:serch")
    assert run(project(tmp_path, text), "--no-imports").exit_code == 0


def test_without_a_file_the_one_in_this_folder_is_checked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run()
    assert result.exit_code == 2
    assert "refute.yaml: there is no such file [FILE-MISSING]" in result.stderr
    assert "refute demo" in result.stderr
    project(tmp_path)
    assert run().exit_code == 0


def test_a_terminal_gets_a_table(tmp_path, monkeypatch):
    monkeypatch.setattr(check_module, "_on_terminal", lambda: True)
    result = run(project(tmp_path))
    assert result.exit_code == 0
    assert "support-assistant: valid" in result.stdout
    assert "│" in result.stdout


@pytest.mark.parametrize(("arguments", "made"), [([], intent_schema), (["intent"], intent_schema), (["outcome"], outcome_schema)])
def test_schemas_are_printed(arguments, made):
    result = CliRunner().invoke(schema, arguments)
    assert (result.exit_code, json.loads(result.stdout)) == (0, made())
