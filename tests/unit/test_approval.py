import json
import shutil
import subprocess
from dataclasses import replace

import pytest

from refute.core.errors import RefuteError
from refute.safety.approval import Approved, Need, approve, missing_approval, read_approvals

WANTED = Approved("shop", "production", "d" * 64, ("a", "b"), "", 0.0)
NOW = 1000.0


@pytest.fixture
def people(tmp_path):
    """Ada, Bob and Eve have keys; Eve is not among those who may approve."""
    keys = {}
    lines = []
    for name in ("ada", "bob", "eve"):
        path = tmp_path / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path, "-C", name], check=True)
        keys[name] = path
        if name != "eve":
            lines.append(f"{name}@example.org {path.with_suffix('.pub').read_text()}")
    signers = tmp_path / "signers"
    signers.write_text("".join(lines))
    return keys, signers


def yes(tmp_path, key, by, **changes):
    given = replace(WANTED, **{"by": f"{by}@example.org", "until": NOW + 60, **changes})
    return approve(given, key, tmp_path / "approvals")


def missing(tmp_path, signers, people=1, author="", wanted=WANTED):
    return missing_approval(wanted, Need(people, signers, author), read_approvals(tmp_path / "approvals"), NOW)


def test_a_signed_yes_of_somebody_else_is_enough(tmp_path, people):
    keys, signers = people
    assert missing(tmp_path, signers, author="ada@example.org").code == "GATE-APPROVAL"
    yes(tmp_path, keys["bob"], "bob")
    assert missing(tmp_path, signers, author="ada@example.org") is None
    assert missing(tmp_path, signers, wanted=replace(WANTED, beliefs=("a",))) is None


def test_who_starts_the_run_cannot_approve_it(tmp_path, people):
    keys, signers = people
    yes(tmp_path, keys["ada"], "ada")
    assert "cannot approve" in missing(tmp_path, signers, author="ada@example.org").seen


def test_two_are_two_people_not_two_signatures(tmp_path, people):
    keys, signers = people
    yes(tmp_path, keys["bob"], "bob")
    yes(tmp_path, keys["bob"], "bob", until=NOW + 90)
    assert missing(tmp_path, signers, people=2).seen == "1 of 2"
    yes(tmp_path, keys["ada"], "ada")
    assert missing(tmp_path, signers, people=2) is None


def test_one_key_is_one_person_under_however_many_names(tmp_path, people):
    keys, signers = people
    signers.write_text(f"*@example.org {keys['bob'].with_suffix('.pub').read_text()}")
    yes(tmp_path, keys["bob"], "bob")
    yes(tmp_path, keys["bob"], "carol")
    assert missing(tmp_path, signers) is None
    assert missing(tmp_path, signers, people=2).seen == "1 of 2"


def test_who_starts_the_run_cannot_approve_it_under_another_name(tmp_path, people):
    keys, signers = people
    signers.write_text(f"*@example.org {keys['ada'].with_suffix('.pub').read_text()}")
    yes(tmp_path, keys["ada"], "bob")
    assert "signed with a key of ada@example.org" in missing(tmp_path, signers, author="ada@example.org").seen


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"digest": "e" * 64}, "changed since"),
        ({"until": NOW}, "run out"),
        ({"beliefs": ("a",)}, "0 of 1"),
        ({"environment": "staging"}, "0 of 1"),
        ({"system": "other"}, "0 of 1"),
    ],
)
def test_a_yes_to_something_else_is_none(tmp_path, people, changes, told):
    keys, signers = people
    yes(tmp_path, keys["bob"], "bob", **changes)
    assert told in missing(tmp_path, signers).seen


def test_nobody_signs_for_somebody_else(tmp_path, people):
    keys, signers = people
    yes(tmp_path, keys["eve"], "bob")
    assert "not that of bob" in missing(tmp_path, signers).seen


def test_a_changed_approval_is_none(tmp_path, people):
    keys, signers = people
    path = yes(tmp_path, keys["bob"], "bob", until=NOW - 1)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"until": NOW + 60}))
    assert "not that of bob" in missing(tmp_path, signers).seen


def test_files_that_are_no_approvals_approve_nothing(tmp_path, people):
    _, signers = people
    folder = tmp_path / "approvals"
    folder.mkdir()
    for number, text in enumerate(["", "[]", "{}", '{"signature": 1}', '{"beliefs": null, "signature": ""}']):
        (folder / f"{number}.json").write_text(text)
    assert missing(tmp_path, signers).seen == "0 of 1"


def test_a_key_that_cannot_sign_is_told(tmp_path):
    with pytest.raises(RefuteError, match="APPROVAL-SIGN"):
        yes(tmp_path, tmp_path / "no-key", "bob")


def test_without_openssh_the_line_to_type_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(RefuteError, match="APPROVAL-TOOL"):
        yes(tmp_path, tmp_path / "key", "bob")
