import json
import random
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from refute.core.outcome import Outcome
from refute.intent.schema import intent_schema, outcome_schema
from support.intents import ASSISTANT, VALID, changed

GOLDEN = Path(__file__).parents[2] / "golden" / "intent"
SCHEMAS = {"intent-1.json": intent_schema, "outcome-1.json": outcome_schema}


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_published_schema_changes_only_on_purpose(name):
    assert json.loads((GOLDEN / name).read_text()) == SCHEMAS[name]()


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_one(name):
    made = SCHEMAS[name]()
    Draft202012Validator.check_schema(made)
    assert made["$id"].endswith(f"/{name}")


def described(node):
    yield from node.get("properties", {}).items()
    for definition in node.get("$defs", {}).values():
        yield from described(definition)


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_key_is_described(name):
    made = SCHEMAS[name]()
    for key, about in described(made):
        target = made["$defs"][about["$ref"].rpartition("/")[2]] if "$ref" in about else about
        assert about.get("description") or target.get("description"), key


def demo_intents():
    source = Path(__file__).parents[3] / "src" / "refute" / "demo"
    return [ASSISTANT / "refute.yaml", *source.rglob("refute.yaml")]


@pytest.mark.parametrize("path", demo_intents(), ids=lambda path: path.parent.name)
def test_intents_of_our_own_follow_the_schema(path):
    Draft202012Validator(intent_schema()).validate(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("rate: 5/s", "rate: 5"),
        ("share: 70%", "share: 0.7"),
        ("  owner:", "  ownr:"),
        ("  owner: team-support", "  traces: []"),
        ("kind: agent", "kind: agnet"),
        ("    payments:", "    pay ments:"),
        ("unit: request", "unit: conversation"),
        ("version: 1", "version: 2"),
        ("then: answered >= 95%", "then: answered"),
        ("beliefs:", "believes:"),
    ],
)
def test_editors_see_the_same_mistakes(old, new):
    text, _line = changed(old, new)
    assert not Draft202012Validator(intent_schema()).is_valid(yaml.safe_load(text))


def test_sections_in_files_and_includes_follow_the_schema():
    validator = Draft202012Validator(intent_schema())
    validator.validate(yaml.safe_load(VALID) | {"beliefs": "beliefs.yaml", "include": ["more.yaml"]})
    validator.validate({"version": 1, "include": "all.yaml"})
    assert not validator.is_valid({"version": 1})


def test_outcomes_follow_their_schema():
    validator = Draft202012Validator(outcome_schema())
    rng = random.Random(1)
    for number in range(20):
        values = {"answered": rng.choice([None, 0.0, 1.0])}
        outcome = Outcome(f"c/{number}", "c", "control", "", number, rng.random(), rng.random(), values, {"llm": 1}, {}, "", {"USD": 0.1})
        validator.validate(outcome.to_json())
    assert not validator.is_valid({"unit": "c/0"})
