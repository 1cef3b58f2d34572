import pytest

from refute.core.errors import RefuteError
from refute.intent import load
from support.intents import FAULTS, VALID, problems, project

LINES = VALID.splitlines(keepends=True)
AT = {name: LINES.index(f"{name}:\n") for name in ("system", "journeys", "workload", "indicators", "stop_when", "blast_radius", "beliefs")}
BELIEFS = "".join(line.removeprefix("  ") for line in LINES[AT["beliefs"] + 1 :])
REST = "".join(LINES[: AT["beliefs"]])


def told(path):
    return [(problem.code, problem.where.removeprefix(f"{path.parent}/")) for problem in problems(path)]


def test_a_section_may_be_a_file_of_its_own(tmp_path):
    whole = load(project(tmp_path / "whole"), faults=FAULTS)
    path = project(tmp_path / "split", REST + "beliefs: parts/beliefs.yaml\n")
    (path.parent / "parts").mkdir()
    (path.parent / "parts" / "beliefs.yaml").write_text(BELIEFS)
    split = load(path, faults=FAULTS)
    assert [belief.id for belief in split.beliefs.values()] == [belief.id for belief in whole.beliefs.values()]
    assert split.beliefs["rate-limits-absorbed"].where.endswith("split/parts/beliefs.yaml:1")
    assert split.digest != whole.digest


def test_a_mistake_in_a_sections_file_points_there(tmp_path):
    path = project(tmp_path, REST + "beliefs: beliefs.yaml\n")
    (tmp_path / "beliefs.yaml").write_text(BELIEFS.replace("confidence: 90%", "confidence: 90").replace("claim: Answers", "calim: Answers"))
    assert told(path) == [
        ("VALUE-UNIT", "beliefs.yaml:5"),
        ("KEY-MISSING", "beliefs.yaml:10"),
        ("KEY-UNKNOWN", "beliefs.yaml:11"),
    ]


def test_a_trap_in_a_sections_file_is_told_once(tmp_path):
    path = project(tmp_path, REST + "beliefs: beliefs.yaml\n")
    (tmp_path / "beliefs.yaml").write_text(BELIEFS.replace("confidence: 90%", "confidence: yes"))
    assert told(path) == [("YAML-BOOL", "beliefs.yaml:5")]


def test_a_missing_section_file_is_told_where_it_is_named(tmp_path):
    path = project(tmp_path, REST + "beliefs: none.yaml\n")
    assert told(path) == [("FILE-MISSING", f"refute.yaml:{AT['beliefs'] + 1}")]


def test_include_adds_names_and_list_entries(tmp_path):
    path = project(tmp_path, "include: [more.yaml]\n" + REST)
    (tmp_path / "more.yaml").write_text(
        "system: {components: {cache: {kind: cache}}}\nstop_when: [grounded < 10%]\nindicators: {quick: {latency: true}}\n"
        "beliefs:\n" + "".join(f"  {line}\n" for line in BELIEFS.splitlines())
    )
    intent = load(path, faults=FAULTS)
    assert list(intent.system.components) == ["assistant", "llm", "retriever", "orders", "payments", "cache"]
    assert [criterion.text for criterion in intent.stop_when][-1] == "grounded < 10%"
    assert "quick" in intent.indicators
    assert intent.beliefs["rate-limits-absorbed"].where.endswith("more.yaml:5")


def test_two_files_may_not_set_the_same_thing(tmp_path):
    path = project(tmp_path, VALID + "include: more.yaml\n")
    (tmp_path / "more.yaml").write_text("version: 1\nsystem: {name: other, components: {llm: {kind: llm}}}\nworkload: {rate: 1/s}\n")
    assert told(path) == [("INCLUDE-TWICE", "more.yaml:2"), ("INCLUDE-TWICE", "more.yaml:2"), ("INCLUDE-TWICE", "more.yaml:3")]


def test_one_id_in_two_files_is_told_in_the_second(tmp_path):
    path = project(tmp_path, VALID + "include: more.yaml\n")
    (tmp_path / "more.yaml").write_text("beliefs:\n" + "".join(f"  {line}\n" for line in BELIEFS.splitlines()))
    assert told(path) == [("BELIEF-TWICE", "more.yaml:2"), ("BELIEF-TWICE", "more.yaml:11")]


def test_files_may_not_include_each_other_in_a_circle(tmp_path):
    path = project(tmp_path, VALID + "include: a.yaml\n")
    (tmp_path / "a.yaml").write_text("include: [b.yaml]\n")
    (tmp_path / "b.yaml").write_text("# first\ninclude: [a.yaml]\n")
    (problem,) = problems(path)
    assert (problem.code, problem.where, problem.seen) == ("INCLUDE-CYCLE", f"{tmp_path}/b.yaml:2", "a.yaml → b.yaml → a.yaml")


def test_a_file_may_not_include_itself(tmp_path):
    assert told(project(tmp_path, VALID + "include: ./refute.yaml\n")) == [("INCLUDE-CYCLE", f"refute.yaml:{len(LINES) + 1}")]


def test_a_file_that_two_others_include_counts_once(tmp_path):
    path = project(tmp_path, VALID + "include: [a.yaml, b.yaml]\n")
    for name in "ab":
        (tmp_path / f"{name}.yaml").write_text("include: c.yaml\n")
    (tmp_path / "c.yaml").write_text("indicators: {quick: {latency: true}}\n")
    assert "quick" in load(path, faults=FAULTS).indicators


def test_includes_are_relative_to_the_file_that_names_them(tmp_path):
    path = project(tmp_path, VALID + "include: parts/a.yaml\n")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "a.yaml").write_text("include: b.yaml\n")
    (tmp_path / "parts" / "b.yaml").write_text("indicators: {quick: {latency: fast}}\n")
    assert told(path) == [("VALUE-CHOICE", "parts/b.yaml:1")]


def test_a_missing_include_does_not_also_count_as_missing_sections(tmp_path):
    path = project(tmp_path, REST + "include: none.yaml\n")
    assert told(path) == [("FILE-MISSING", f"refute.yaml:{AT['beliefs'] + 1}")]


@pytest.mark.parametrize("named", ["include: 5", "include: {a: b}", "include: ['']", "include:"])
def test_include_names_files(tmp_path, named):
    assert told(project(tmp_path, f"{VALID}{named}\n")) == [("VALUE-TYPE", f"refute.yaml:{len(LINES) + 1}")]


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        (b"", "FILE-EMPTY", ""),
        (b"# nothing yet\n", "FILE-EMPTY", ""),
        (b"version: 1\nname: caf\xe9\n", "FILE-ENCODING", ":2"),
        ("version: 1".encode("utf-16"), "FILE-ENCODING", ":1"),
        (b"a: " + b"x" * 300_000, "FILE-SIZE", ""),
        (b"- 1\n", "VALUE-TYPE", ":1"),
        (b"just text\n", "VALUE-TYPE", ":1"),
    ],
)
def test_what_is_no_intent_at_all_gets_one_message(tmp_path, content, code, line):
    assert told(project(tmp_path, content)) == [(code, f"refute.yaml{line}")]


def test_a_byte_order_mark_does_no_harm(tmp_path):
    assert told(project(tmp_path, b"\xef\xbb\xbf" + VALID.encode())) == []


@pytest.mark.parametrize("name", ["none.yaml", "."])
def test_a_missing_file_names_the_way_to_one(tmp_path, name):
    with pytest.raises(RefuteError) as caught:
        load(tmp_path / name)
    (problem,) = caught.value.problems
    assert (problem.code, problem.next, caught.value.exit_code) == ("FILE-MISSING", "refute init (or, to see one at work: refute demo)", 2)
