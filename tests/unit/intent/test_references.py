import os
import sys

import pytest

from refute.intent.references import check_references
from refute.intent.shape import IntentShape
from refute.intent.strict_yaml import parse
from support.intents import changed, problems, project


def told(path):
    return [(problem.code, problem.where, problem.suggestion) for problem in problems(path, resolve=True)]


def test_references_that_lead_to_functions_pass_and_leave_no_trace(tmp_path):
    path = project(tmp_path)
    before = list(sys.path), set(sys.modules), sorted(tmp_path.rglob("*"))
    assert told(path) == []
    assert before == (list(sys.path), set(sys.modules) & before[1], sorted(tmp_path.rglob("*")))


@pytest.mark.parametrize(
    ("old", "new", "code", "suggestion"),
    [
        ("app.rag:search", "app.rag:serch", "REFERENCE-NAME", "app.rag:search"),
        ("app.rag:search", "app.rags:search", "REFERENCE-MODULE", "app.rag:search"),
        ("app.rag:search", "apps.rag:search", "REFERENCE-MODULE", "app.rag:search"),
        ("app.rag:search", "app.llm:MODEL", "REFERENCE-CALLABLE", ""),
        ("app.main:running", "app.main:runing", "REFERENCE-NAME", "app.main:running"),
        ("app.checks:grounded", "app.checks:ground", "REFERENCE-NAME", "app.checks:grounded"),
    ],
)
def test_a_reference_that_leads_nowhere_is_told_with_what_is_close(tmp_path, old, new, code, suggestion):
    text, line = changed(old, new)
    path = project(tmp_path, text)
    assert told(path) == [(code, f"{path}:{line}", suggestion)]


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("import nothing_of_that_name\n", "ModuleNotFoundError: No module named 'nothing_of_that_name' (at rag.py:1)"),
        ("x = 1\nraise ValueError('no key')\n", "ValueError: no key (at rag.py:2)"),
        ("def search(:\n", "SyntaxError: invalid syntax (rag.py, line 1)"),
        ("import sys\nsys.exit('bye')\n", "SystemExit: bye (at rag.py:2)"),
        ("import os\nos._exit(3)\n", "ended the process (exit code 3)"),
    ],
)
def test_an_import_that_fails_is_told_with_its_reason(tmp_path, source, seen):
    path = project(tmp_path)
    (tmp_path / "app" / "rag.py").write_text(source)
    (problem,) = problems(path, resolve=True)
    assert (problem.code, problem.seen) == ("REFERENCE-IMPORT", seen)


def test_an_import_that_does_not_end_is_killed(tmp_path):
    path = project(tmp_path)
    pid = tmp_path / "pid"
    (tmp_path / "app" / "rag.py").write_text(f"import os, time\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)\n")
    document = parse(path.read_text(), "refute.yaml")
    (problem,) = check_references(IntentShape.model_validate(document.data), document, tmp_path, timeout_s=1.0)
    assert (problem.code, problem.where) == ("REFERENCE-LATE", "refute.yaml:8")
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_nothing_is_imported_unless_asked(tmp_path):
    path = project(tmp_path)
    (tmp_path / "app" / "rag.py").write_text("raise ValueError\n")
    assert problems(path) == ()
