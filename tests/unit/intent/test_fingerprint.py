import hashlib
import json

import pytest

from refute.core.errors import RefuteError
from refute.intent import fingerprint, load
from support.intents import FAULTS, VALID, project

PARTS = ["prompts/", "app/llm.py", "model", "workload", "indicator", "criterion", "fault", "component", "graph", "cases"]


@pytest.fixture
def path(tmp_path):
    return project(tmp_path)


def marks(path, text=None):
    if text is not None:
        path.write_text(text)
    intent = load(path, faults=FAULTS)
    return fingerprint(intent, intent.beliefs["rate-limits-absorbed"])


def differing(before, after):
    return {name for name in before if before[name] != after[name]}


def test_everything_named_has_a_hash_but_plain_words(path):
    found = marks(path)
    assert list(found) == PARTS
    assert {name for name, digest in found.items() if len(digest) != 64} == {"model"}
    assert found["app/llm.py"] == hashlib.sha256(b'MODEL = "small"\n').hexdigest()


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("rate: 5/s", "rate: 6/s", {"workload"}),
        ("then: answered >= 95%", "then: answered >= 96%", {"criterion"}),
        ("then: answered >= 95%", "then:  answered   >= 95%", set()),
        ("share: 30%}", "share: 20%}", set()),
        ("llm, share: 30%}", "llm, share: 20%}", {"fault"}),
        ("8081/v1", "8082/v1", {"component"}),
        ("checks:answered", "checks:grounded", {"indicator"}),
        ("claim: Provider", "claim: The provider", set()),
        ("confidence: 90%", "confidence: 80%", set()),
    ],
)
def test_only_what_changed_differs(path, old, new, names):
    before = marks(path)
    text = VALID.replace(old, new, 1)
    if old == "share: 30%}":
        text = text.replace("share: 70%", "share: 80%", 1)
    assert differing(before, marks(path, text)) == names


def test_a_changed_file_differs_and_a_revert_restores(path):
    before = marks(path)
    prompt = path.parent / "prompts" / "system.txt"
    old = prompt.read_text()
    prompt.write_text("Answer at length.")
    assert differing(before, marks(path)) == {"prompts/"}
    prompt.write_text(old)
    assert marks(path) == before


def test_names_of_files_count_and_compiled_and_hidden_ones_do_not(path):
    before = marks(path)
    folder = path.parent / "prompts"
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "a.pyc").write_text("x")
    (folder / ".swap").write_text("x")
    assert marks(path) == before
    (folder / "system.txt").rename(folder / "other.txt")
    assert differing(before, marks(path)) == {"prompts/"}


def test_a_file_that_went_away_is_told(path):
    intent = load(path, faults=FAULTS)
    (path.parent / "app" / "llm.py").unlink()
    with pytest.raises(RefuteError) as caught:
        fingerprint(intent, intent.beliefs["rate-limits-absorbed"])
    assert [(problem.code, problem.seen) for problem in caught.value.problems] == [("DEPENDS-MISSING", "app/llm.py")]


def test_evidence_of_older_versions_still_answers_the_same_question(path):
    """What an indicator can say since is no part of the question where it does not say it."""
    stated = {"name": "answered", "kind": "ratio", "python": "app.checks:answered", "price": 0.0, "currency": ""}
    assert marks(path)["indicator"] == hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()
