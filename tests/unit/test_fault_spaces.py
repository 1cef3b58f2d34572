"""The file format of fault spaces."""

import json
from pathlib import Path

import pytest

from refute.core.errors import RefuteError
from refute.learning.propagation.space import Fault, faults_of, read_space, read_spaces, space_to_json
from refute.learning.propagation.worlds import generated_spaces

MEASURED = Path(__file__).parent.parent / "data" / "fault-spaces"


def test_measured_spaces_are_read():
    spaces = read_spaces(MEASURED)
    assert [len(space.runs) for space in spaces] == [90, 10, 110, 30]
    assert all(space.steady.available and not space.steady.faults for space in spaces)


@pytest.mark.parametrize("position", range(4))
def test_a_space_is_written_as_it_is_read(position):
    path = sorted(MEASURED.glob("*.json"))[position]
    written = space_to_json(read_space(path))
    measured = json.loads(path.read_text())
    assert written["calls"] == measured["calls"]
    assert [sorted(run["faults"]) for run in written["runs"]] == [sorted(run["faults"]) for run in measured["runs"]]
    assert [run["calls"] for run in written["runs"]] == [run["calls"] for run in measured["runs"]]


def test_faults_have_one_order():
    assert faults_of([("b", "CE"), ("a", "TO")]) == faults_of([("a", "TO"), ("b", "CE")]) == (Fault("a", "TO"), Fault("b", "CE"))


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        ("{", "JSONDecodeError"),
        ("[]", "TypeError"),
        ('{"application": "a", "calls": [], "runs": []}', "IndexError"),
        ('{"application": "a", "calls": [], "runs": [{"faults": [], "available": true, "degraded": false, "calls": ["x"]}]}', "x"),
        (
            '{"application": "a", "calls": [], "runs": [{"faults": [], "available": false, "degraded": false, "calls": []}]}',
            "was not available",
        ),
    ],
)
def test_what_is_no_space_is_refused(tmp_path, content, seen):
    path = tmp_path / "space.json"
    path.write_text(content)
    with pytest.raises(RefuteError, match="SPACE-UNREADABLE") as refused:
        read_space(path)
    assert seen in str(refused.value)
    assert refused.value.exit_code == 2


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(RefuteError, match="SPACE-NONE"):
        read_spaces(tmp_path)


def test_generated_spaces_repeat_with_their_seed_and_differ_without():
    first, again, other = generated_spaces(2, 5), generated_spaces(2, 5), generated_spaces(2, 6)
    assert first == again
    assert first != other
    for space in first:
        for run in space.runs:
            assert {fault.call for fault in run.faults} <= set(run.calls)  # only faults that struck
