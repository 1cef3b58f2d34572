"""The rollback journal: order of states, what is on disk, what is refused."""

import errno
import json
import os
import stat
import sys
from pathlib import Path

import pytest

from refute.core.arming import Handle
from refute.core.errors import RefuteError
from refute.core.process import ProcessIdentity
from refute.safety import journal as journal_module
from refute.safety import state as state_module
from refute.safety.journal import STATES, Journal

RUNNER = ProcessIdentity(41, "7", "boot-1")


def handle(name="h1", rollback="journalled"):
    return Handle("files", rollback, {"arming": {"fault": "disk.full", "component": {"name": "db"}}}, id=name)


def code_of(function, *args, **kwargs):
    with pytest.raises(RefuteError) as caught:
        function(*args, **kwargs)
    return caught.value.problems[0].code


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal", runner=RUNNER, now=lambda: 50.0, monotonic=lambda: 5.0)


def test_a_handle_goes_through_its_states_and_is_then_put_away(journal):
    for state in STATES[:-1]:
        journal.advance(handle(), state, experiment="e1")
        (entry,) = journal.live()
        assert (entry.handle, entry.state, entry.experiment, entry.runner, entry.since) == (handle(), state, "e1", RUNNER, 50.0)
        assert entry.holders == (RUNNER,)
    journal.advance(handle(), "verified")
    assert journal.live() == []
    lines = [json.loads(line) for line in (journal.directory / "done" / "h1.jsonl").read_text().splitlines()]
    assert [line["state"] for line in lines] == list(STATES)
    assert all(line["process"] == RUNNER.to_json() and (line["wall"], line["monotonic"]) == (50.0, 5.0) for line in lines)


@pytest.mark.parametrize(
    ("before", "wrong"),
    [
        ([], "applied"),
        ([], "rolled_back"),
        ([], "verified"),
        (["intended"], "intended"),
        (["intended"], "verified"),
        (["intended", "applied"], "applied"),
        (["intended", "applied"], "intended"),
        (["intended", "applied"], "verified"),
        (["intended", "rolled_back"], "applied"),
        (["intended", "rolled_back", "verified"], "intended"),
        (["intended", "rolled_back", "verified"], "rolled_back"),
    ],
)
def test_a_step_out_of_order_is_refused_and_changes_nothing(journal, before, wrong):
    for state in before:
        journal.advance(handle(), state)
    seen = journal.live()
    assert code_of(journal.advance, handle(), wrong) == "JOURNAL-ORDER"
    assert journal.live() == seen
    assert len(list(journal.directory.glob("*.jsonl"))) == len(seen)


def test_a_rollback_may_be_tried_again(journal):
    for state in ("intended", "rolled_back", "rolled_back", "verified"):
        journal.advance(handle(), state)
    assert journal.live() == []


def test_an_id_that_is_no_file_name_is_refused(journal):
    for name in ("../x", "", "a/b", "x" * 65, "a\n"):
        assert code_of(journal.advance, handle(name), "intended") == "JOURNAL-NAME"


def test_nobody_else_may_read_it(journal):
    journal.advance(handle(), "intended")
    assert stat.S_IMODE(journal.directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((journal.directory / "h1.jsonl").stat().st_mode) == 0o600


@pytest.mark.skipif(sys.platform == "darwin", reason="looks descriptors up in /proc")
def test_file_and_directory_are_flushed_before_it_returns(journal, monkeypatch):
    flushed = []
    real = os.fsync

    def fsync(descriptor):
        flushed.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        real(descriptor)

    monkeypatch.setattr(state_module.os, "fsync", fsync)
    journal.advance(handle(), "intended")
    assert flushed[-2:] == [journal.directory / "h1.jsonl", journal.directory]
    flushed.clear()
    journal.advance(handle(), "applied")
    assert flushed == [journal.directory / "h1.jsonl"]


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.ENOSPC, "JOURNAL-FULL"), (errno.EACCES, "JOURNAL-PERMISSION"), (errno.EROFS, "JOURNAL-PERMISSION"), (errno.EIO, "JOURNAL-IO")],
)
@pytest.mark.parametrize("call", ["write", "fsync"])
def test_what_is_not_on_disk_is_refused_and_leaves_no_trace(journal, monkeypatch, number, code, call):
    def fails(*_):
        raise OSError(number, os.strerror(number))

    journal.advance(handle("other"), "intended")
    before = journal.live()
    with monkeypatch.context() as patched:
        patched.setattr(state_module.os, call, fails)
        assert code_of(journal.advance, handle(), "intended") == code
        assert code_of(journal.advance, handle("other"), "applied") == code
    assert journal.live() == before
    journal.advance(handle("other"), "applied")
    journal.advance(handle(), "intended")
    assert [entry.state for entry in journal.live()] == ["intended", "applied"]


def test_a_short_write_is_completed(journal, monkeypatch):
    real = os.write
    with monkeypatch.context() as patched:
        patched.setattr(state_module.os, "write", lambda descriptor, data: real(descriptor, bytes(data)[:7]))
        journal.advance(handle(), "intended")
    assert journal.live()[0].handle == handle()


def test_a_torn_last_line_is_ignored_and_written_over(journal):
    for state in ("intended", "applied"):
        journal.advance(handle(), state)
    path = journal.directory / "h1.jsonl"
    path.write_bytes(path.read_bytes()[:-10])
    assert journal.live()[0].state == "intended"
    journal.advance(handle(), "applied")
    assert len(path.read_text().splitlines()) == 2
    assert journal.live()[0].state == "applied"


def test_a_torn_first_line_means_that_nothing_was_applied(journal):
    journal.advance(handle(), "intended")
    path = journal.directory / "h1.jsonl"
    path.write_bytes(path.read_bytes()[:30])
    assert journal.live() == journal.damaged() == []
    journal.advance(handle(), "intended")
    assert journal.live()[0].state == "intended"


def test_a_lost_first_line_is_reported_as_damage(journal):
    for state in ("intended", "applied"):
        journal.advance(handle(), state)
    path = journal.directory / "h1.jsonl"
    path.write_bytes(b"\x00\x00\n" + path.read_bytes().split(b"\n", 1)[1])
    assert journal.live() == []
    assert journal.damaged() == [path]


def test_finished_and_empty_files_are_pruned(journal, monkeypatch):
    monkeypatch.setattr(journal_module, "_KEPT", 2)
    journal._now = lambda: 4e9
    for number in range(4):
        for state in STATES:
            journal.advance(handle(f"h{number}"), state)
    (journal.directory / "h9.jsonl").write_bytes(b'{"torn')
    done = journal.directory / "done"
    (done / "h3.jsonl").rename(journal.directory / "h3.jsonl")  # killed between the last line and the move
    assert journal.live() == []
    journal.prune()
    assert list(journal.directory.glob("*.jsonl")) == []
    assert len(list(done.glob("*.jsonl"))) == 2


@pytest.mark.parametrize("tidies", ["advance", "prune"])
def test_a_file_that_another_process_puts_away_first_is_put_away(journal, monkeypatch, tidies):
    for state in STATES[:-1] if tidies == "advance" else STATES:
        journal.advance(handle(), state)
    path, done = journal.directory / "h1.jsonl", journal.directory / "done"
    if tidies == "prune":
        (done / path.name).rename(path)

    def quicker(directory):
        if path.exists() and b"verified" in path.read_bytes():
            path.rename(directory / path.name)

    monkeypatch.setattr(journal_module, "make_directory", quicker)
    journal.advance(handle(), "verified") if tidies == "advance" else journal.prune()
    assert [one.name for one in done.iterdir()] == [path.name]
    assert journal.state("h1") == "verified"


def test_a_file_that_vanishes_while_the_journal_is_tidied_up_is_no_matter(journal, monkeypatch):
    journal.advance(handle(), "intended")
    gone = [journal.directory / "h2.jsonl", *journal._files()]
    monkeypatch.setattr(journal, "_files", lambda: gone)
    journal.prune()
    assert [entry.handle.id for entry in journal.live()] == ["h1"]


def test_an_unreadable_place_says_so(tmp_path):
    (tmp_path / "file").write_text("x")
    assert code_of(Journal(tmp_path / "file" / "journal").advance, handle(), "intended") == "JOURNAL-IO"
    assert Journal(tmp_path / "nowhere").live() == []


def test_the_state_directory_follows_xdg(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert Journal().directory == tmp_path / "refute" / "journal"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert state_module.state_directory() == Path("/home/somebody/.local/state/refute")


@pytest.mark.parametrize(
    "content",
    [
        b"\n",
        bytes(range(256)) * 8,
        b'{"state": "applied"}\n',
        b'{"state": "applied", "handle": {}, "process": {}, "holders": [], "experiment": "e", "wall": 1}\n',
        b'{"state": "applied", "handle": [], "process": 3, "holders": null, "experiment": "e", "wall": "x"}\n',
        b'{"state": "applied", "handle": null}\n',
    ],
)
def test_a_file_that_makes_no_sense_is_told_kept_and_keeps_nobody_from_the_others(journal, content):
    journal.advance(handle(), "intended", experiment="e1")
    odd = journal.directory / "odd.jsonl"
    odd.write_bytes(content)
    journal._now = lambda: 4e9
    journal.prune()
    assert journal.damaged() == [odd]
    assert [entry.handle.id for entry in journal.live()] == ["h1"]


def test_a_file_that_speaks_of_another_handle_is_not_believed(journal):
    journal.advance(handle(), "intended", experiment="e1")
    copy = journal.directory / "copy.jsonl"
    copy.write_bytes((journal.directory / "h1.jsonl").read_bytes())
    assert (journal.damaged(), len(journal.live())) == ([copy], 1)


def test_what_is_no_file_is_left_alone(journal):
    journal.advance(handle(), "intended", experiment="e1")
    os.mkfifo(journal.directory / "pipe.jsonl")
    (journal.directory / "folder.jsonl").mkdir()
    journal.prune()
    assert (journal.damaged(), len(journal.live())) == ([], 1)


def test_nobody_else_may_write_to_the_state_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    place = tmp_path / "refute" / "journal"
    place.mkdir(parents=True)
    for loose in (place, place.parent):
        loose.chmod(0o777)
    Journal().live()
    assert [stat.S_IMODE(one.stat().st_mode) for one in (place, place.parent)] == [0o700, 0o700]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_what_somebody_else_has_written_is_not_believed(tmp_path):
    place = tmp_path / "journal"
    place.mkdir()
    os.chown(place, 65534, 65534)
    assert code_of(Journal(place).live) == code_of(Journal(place).advance, handle(), "intended") == "JOURNAL-PERMISSION"
