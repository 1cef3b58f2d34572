import re
from pathlib import Path

import refute.intent
from refute.intent.codes import CODES

SOURCES = [path.read_text() for path in Path(refute.intent.__file__).parent.rglob("*.py") if not path.name.endswith("codes.py")]
USED = {code for source in SOURCES for code in re.findall(r'"([A-Z]+(?:-[A-Z]+)+)"', source)}


def test_every_code_is_explained_and_none_that_is_never_used():
    assert set(CODES) == USED


def test_every_explanation_has_a_title_a_meaning_and_something_to_do():
    for code, (title, meaning, to_do) in CODES.items():
        assert title, code
        assert not title.endswith("."), code
        assert meaning.endswith((".", ")")), code
        assert to_do.endswith((".", ")")), code
