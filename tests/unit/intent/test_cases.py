import pytest

from refute.intent.cases import MAX_PROBLEMS, check_cases


def told(tmp_path, content, journeys=("ask",)):
    path = tmp_path / "cases.jsonl"
    path.write_bytes(content)
    return [(problem.code, problem.where) for problem in check_cases(path, "cases.jsonl", journeys)[1]]


@pytest.mark.parametrize(
    ("content", "problems"),
    [
        (b'{"id": "a"}\n\n{"id": "b"}\n', []),
        (b'{"q": 1}\n{"q": 1}\n', []),
        (b'{"id": 1, "journey": "ask"}', []),
        (b"", [("CASES-EMPTY", "")]),
        (b"\n \n", [("CASES-EMPTY", "")]),
        (b'{"id": "a"}\n{"id": \n[1]\n"x"\n', [("CASES-FORMAT", f"cases.jsonl:{line}") for line in (2, 3, 4)]),
        (b'{"id": "a"}\n{"id": "a"}\n', [("CASES-TWICE", "cases.jsonl:2")]),
        (b'{"id": 2}\n{"q": 1}\n', [("CASES-TWICE", "cases.jsonl:2")]),
        (b'{"id": true}\n{"id": []}\n{"id": ""}\n', [("CASES-FORMAT", f"cases.jsonl:{line}") for line in (1, 2, 3)]),
        (b'{"journey": "aks"}\n', [("CASES-JOURNEY", "cases.jsonl:1")]),
        (b'{"journey": ["ask"]}\n', [("CASES-JOURNEY", "cases.jsonl:1")]),
        (b'{"journey": "ask"}\n{"q": 1}\n', [("CASES-JOURNEY", "cases.jsonl:2")]),
        (b'{"q": "\xff"}\n', [("CASES-FORMAT", "cases.jsonl")]),
        (b"[" * 20_000, [("CASES-FORMAT", "cases.jsonl:1")]),
    ],
)
def test_cases_are_objects_with_ids_and_known_journeys(tmp_path, content, problems):
    assert told(tmp_path, content) == problems


def test_many_bad_cases_are_summed_up(tmp_path):
    problems = told(tmp_path, b"x\n" * 500)
    assert len(problems) == MAX_PROBLEMS + 1


def test_the_journeys_that_cases_name_are_returned(tmp_path):
    path = tmp_path / "cases.jsonl"
    path.write_text('{"journey": "ask"}\n{"journey": "ask"}\n')
    assert check_cases(path, "cases.jsonl", ["ask", "buy"]) == (frozenset({"ask"}), [])
