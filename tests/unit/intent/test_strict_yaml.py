import pytest

from refute.intent.strict_yaml import parse

TRAPS = [
    ("a: 1\nb: 2\na: 3\n", "YAML-TWICE", 3),
    ("then: >= 95%\n", "YAML-FOLD", 1),
    ("x: 1\nthen: > 95%\n", "YAML-FOLD", 2),
    ("x: {then: >= 95%}", "YAML-FOLD", 1),
    ("holds:\n  - >= 95%\n", "YAML-FOLD", 2),
    ("a: 1\non: 2\n", "YAML-BOOL", 2),
    ("a: {no: 1}", "YAML-BOOL", 1),
    ("a: off", "YAML-BOOL", 1),
    ("a:\n  - yes\n", "YAML-BOOL", 2),
    ("a: 1:30", "YAML-NUMBER", 1),
    ("a: 1:30.5", "YAML-NUMBER", 1),
    ("a: 010", "YAML-NUMBER", 1),
    ("a: 0x1F", "YAML-NUMBER", 1),
    ("a: 0b11", "YAML-NUMBER", 1),
    ("a: 1_000", "YAML-NUMBER", 1),
    ("a: .nan", "YAML-NUMBER", 1),
    ("a: -.inf", "YAML-NUMBER", 1),
    ("a: 99999999999999999999", "YAML-NUMBER", 1),
    ("a: 2026-01-31", "YAML-DATE", 1),
    ("1: a", "YAML-KEY", 1),
    ("~: a", "YAML-KEY", 1),
    ("2026-01-31: a", "YAML-KEY", 1),
    ("? [a]\n: b", "YAML-KEY", 1),
    ("a: !!python/object:os.system x", "YAML-TAG", 1),
    ("a: !mine {b: 1}", "YAML-TAG", 1),
    ("a: !undefined!b c", "YAML-TAG", 1),
    ("a:\n\tb: 1", "YAML-TAB", 2),
    ("a: 1\n\tb: 1", "YAML-TAB", 2),
    ("claim: one: two", "YAML-QUOTE", 1),
    ("a: *.jsonl", "YAML-QUOTE", 1),
    ("a: @b", "YAML-QUOTE", 1),
    ("a: %b", "YAML-QUOTE", 1),
    ("a: =", "YAML-QUOTE", 1),
    ("a: *b", "YAML-ALIAS", 1),
    ("a: 1\n<<: 3", "YAML-ALIAS", 2),
    ("a: 1\n---\nb: 2\n", "YAML-MANY", 2),
    ("a: [1", "YAML-SYNTAX", 1),
    ("a: 'b\n", "YAML-SYNTAX", 2),
    ("a: 1\nb: \x01", "FILE-ENCODING", 2),
    ('a: "\\ud800"', "FILE-ENCODING", 1),
    ('"\\ud800": a', "FILE-ENCODING", 1),
    ("a: &a [*a, *a]", "YAML-DEEP", 1),
    ("[" * 60 + "]" * 60, "YAML-DEEP", 1),
]


@pytest.mark.parametrize(("text", "code", "line"), TRAPS)
def test_a_trap_is_told_with_its_line(text, code, line):
    document = parse(text, "f")
    assert [(problem.code, problem.where) for problem in document.problems] == [(code, f"f:{line}")]


def test_thousands_of_open_brackets_are_too_deep():
    assert [problem.code for problem in parse("[" * 50_000, "f").problems] == ["YAML-DEEP"]


def test_a_bomb_of_aliases_does_not_go_off():
    layers = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))
    assert [problem.code for problem in parse(f"a0: &a0 [x]\n{layers}\n", "f").problems] == ["YAML-ALIAS"]


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("a: 1", {"a": 1}),
        ("a: -2.5e3", {"a": "-2.5e3"}),
        ("a: -2.5", {"a": -2.5}),
        ("a: 2.5e+3", {"a": 2500.0}),
        ("a: true\nb: False", {"a": True, "b": False}),
        ("a:\nb: ~", {"a": None, "b": None}),
        ("a: 'no'\nb: \"1:30\"\n'on': \"2026-01-31\"", {"a": "no", "b": "1:30", "on": "2026-01-31"}),
        ("a: !!str 5", {"a": "5"}),
        ("a: answered >= 95%", {"a": "answered >= 95%"}),
        ("a: 30 %\nb: 5/s\nc: 0.40 USD", {"a": "30 %", "b": "5/s", "c": "0.40 USD"}),
        ("a: &x {b: 1}\nc: {<<: *x, d: 2}", {"a": {"b": 1}, "c": {"d": 2, "b": 1}}),
        ("a: &x {b: 1}\nc: {<<: [*x, {e: 3}], b: 2}", {"a": {"b": 1}, "c": {"b": 2, "e": 3}}),
        ("\ufeffa: 1".removeprefix("\ufeff"), {"a": 1}),
    ],
)
def test_plain_values_are_what_they_look_like(text, data):
    document = parse(text, "f")
    assert (document.data, document.problems) == (data, [])


def test_places_are_those_of_values_and_of_the_keys_of_blocks():
    document = parse("a:\n  b: 1\n  c:\n    - x\n    - y: 2\n", "f")
    assert {steps: place for steps, place in document.places.items() if steps} == {
        ("a",): "f:1",
        ("a", "b"): "f:2",
        ("a", "c"): "f:3",
        ("a", "c", 0): "f:4",
        ("a", "c", 1): "f:5",
        ("a", "c", 1, "y"): "f:5",
    }


def test_the_word_to_write_instead_is_named():
    suggestions = [problem.suggestion for problem in parse("on: no\na: 1:30\n", "f").problems]
    assert suggestions == ['"on":', 'false, or "no" as text', '"1:30"']


@pytest.mark.parametrize(
    ("text", "data", "told"),
    [
        ("then: >= 95%\nb: off\n", {"then": ">= 95%", "b": "off"}, ["YAML-FOLD", "YAML-BOOL"]),
        ("holds: [>= 95%, > 3 s]\nb: 1\n", {"holds": [">= 95%", "> 3 s"], "b": 1}, ["YAML-FOLD"]),
        ("claim: one: two\nb: @c\n", {"claim": "one: two", "b": "@c"}, ["YAML-QUOTE", "YAML-QUOTE"]),
        ("a: >\n  folded\nb: 1\n", {"a": "folded\n", "b": 1}, []),
    ],
)
def test_a_value_that_only_wants_quotes_does_not_hide_the_rest(text, data, told):
    document = parse(text, "f")
    assert (document.data, [problem.code for problem in document.problems]) == (data, told)
