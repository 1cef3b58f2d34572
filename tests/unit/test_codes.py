"""Every code in the source is explained, and nothing else is."""

import ast
import re
from pathlib import Path

import pytest

import refute
from refute.cli import VERBS
from refute.core.codes import CODES
from refute.intent.codes import CODES as INTENT_CODES

SOURCE = Path(refute.__file__).parent
CODE = re.compile(r"[A-Z][A-Z0-9]*(-[A-Z0-9]+)+")
NO_CODES = {"UTF-8", "ZEBRA-7141"}
CATALOGUES = {*SOURCE.rglob("*codes.py")}


def codes_in_source():
    for path in SOURCE.rglob("*.py"):
        if path in CATALOGUES or "support_assistant" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value):
                yield node.value, f"{path.relative_to(SOURCE)}:{node.lineno}"


def test_every_code_in_the_source_is_explained():
    unexplained = {code: place for code, place in codes_in_source() if code not in CODES | INTENT_CODES | dict.fromkeys(NO_CODES)}
    assert unexplained == {}


def test_every_verb_that_a_message_names_is_there():
    texts = [
        node.value
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    named = {verb for text in texts for verb in re.findall(r"(?:^|`)refute ([a-z]+)", text)}
    assert len(named) > 10
    assert named <= VERBS.keys()


def test_no_code_is_explained_that_no_message_has():
    used = {code for code, _ in codes_in_source()}
    assert set(CODES) - used == set()
    assert not CODES.keys() & INTENT_CODES.keys()


@pytest.mark.parametrize("code", sorted(CODES))
def test_an_explanation_has_a_title_a_meaning_and_something_to_do(code):
    title, meaning, then = CODES[code]
    assert CODE.fullmatch(code)
    assert title
    assert not title.endswith(".")
    assert meaning.endswith(".")
    assert then.endswith(".")
