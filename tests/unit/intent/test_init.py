"""`refute init` drafts what loads, says what it did not find, and never overwrites."""

import sys

import pytest
from click.testing import CliRunner

from refute.cli import group
from refute.core.errors import RefuteError
from refute.faults.catalogue import catalogue
from refute.intent.loading import load
from refute.intent.survey import survey

APP = """
import anthropic
from openai import AsyncOpenAI as Client

client = Client(base_url="http://127.0.0.1:8081/v1", api_key="local")
def other(url): return anthropic.Anthropic(base_url=url), anthropic.Anthropic()

async def answer(case, *, retries=2): return case
def ask(question): return question
def run(): ...
def _reply(case): ...
def answered(case, answer): return bool(answer)
def compared(left, right): ...
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "shop" / "app.py").write_text(APP)
    (tmp_path / "shop" / "broken.py").write_text("def (:")
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "hidden.py").write_text("import openai\nopenai.OpenAI(base_url='http://nowhere')")
    (tmp_path / "numbers.jsonl").write_text("1\n2\n")
    (tmp_path / "questions.jsonl").write_text('{"question": "When?"}\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def drafted(*arguments):
    result = CliRunner().invoke(group, ["init", *arguments], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_the_sources_are_read_and_never_run(project):
    found = survey(project)
    assert [(client.endpoint, client.place) for client in found.clients] == [
        ("http://127.0.0.1:8081/v1", "shop/app.py:5"),
        ("https://api.anthropic.com", "shop/app.py:6"),
    ]
    assert found.answering == ("shop.app:answer", "shop.app:ask")
    assert found.judging == ("shop.app:answered",)
    assert found.cases == ("questions.jsonl",)
    assert "shop.app" not in sys.modules


def test_what_was_found_stands_in_a_file_that_loads(project):
    drafted()
    intent = load(project / "refute.yaml", faults=catalogue())
    assert [component.endpoint for component in intent.system.components.values() if component.endpoint] == [
        "http://127.0.0.1:8081/v1",
        "https://api.anthropic.com",
    ]
    assert [belief.when.fault for belief in intent.beliefs.values()] == ["llm.rate_limit"]


def test_what_was_not_found_is_asked_for_and_the_file_is_whole(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = drafted("--traces", "traces/*.json")
    assert "not found: a function that takes one case" in text
    assert "not found: one real question a line" in text
    assert 'traces: ["traces/*.json"]' in text


def test_what_is_there_is_never_overwritten(project):
    (project / "refute.yaml").write_text("mine")
    with pytest.raises(RefuteError, match="FILE-EXISTS") as refused:
        drafted()
    assert refused.value.exit_code == 2
    assert (project / "refute.yaml").read_text() == "mine"


def test_a_folder_that_is_not_there_is_told(project):
    with pytest.raises(RefuteError, match="FILE-MISSING"):
        drafted("nowhere/refute.yaml")
