"""Recovery, doctor and gates, with made-up processes and injectors."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from refute.core.arming import Arming, Handle
from refute.core.process import ProcessIdentity, this_process
from refute.core.system import Component, Place
from refute.injectors.host.ballast import INJECTOR as BALLAST
from refute.safety import doctor
from refute.safety.gates import RollbackNeedsGuardian, refusals
from refute.safety.journal import Journal
from refute.safety.recover import recover

DEAD = ProcessIdentity(41, "7", "boot-1")
WORKER = ProcessIdentity(42, "8", "boot-1")


@dataclass
class Files:
    """A journalled injector whose faults are names in a set."""

    broken: set = field(default_factory=set)
    calls: list = field(default_factory=list)
    stuck: bool = False
    error: Exception | None = None
    name: str = "files"

    def rollback(self, handle):
        self.calls.append(handle.id)
        if self.error is not None:
            raise self.error
        if not self.stuck:
            self.broken.discard(handle.id)

    def verify(self, handle):
        return handle.id not in self.broken


def handle(name, rollback="journalled"):
    return Handle("files", rollback, {"arming": {"fault": "disk.full", "component": {"name": "db"}}}, id=name)


def nothing_runs(_process):
    return False


@pytest.fixture
def journal(tmp_path):
    times = iter(range(1000))
    return Journal(tmp_path / "journal", runner=DEAD, now=lambda: float(next(times)))


def intend(journal, name, *more, rollback="journalled", holders=()):
    journal.advance(handle(name, rollback), "intended", experiment="e1", holders=holders)
    for state in more:
        journal.advance(handle(name, rollback), state)


@pytest.mark.parametrize("states", [(), ("applied",), ("applied", "rolled_back")])
def test_journalled_faults_of_a_dead_runner_are_rolled_back_from_any_state(journal, states):
    intend(journal, "a", *states)
    files = Files({"a"})
    recovery = recover(journal, {"files": files}, running=nothing_runs)
    assert [(one.handle, one.ending, one.target, one.experiment) for one in recovery.handles] == [("a", "recovered", "db", "e1")]
    assert (recovery.exit_code, files.broken, journal.live()) == (0, set(), [])
    again = recover(journal, {"files": files}, running=nothing_runs)
    assert (again.handles, again.exit_code, files.calls) == ((), 0, ["a"])


def test_the_youngest_is_rolled_back_first(journal):
    for name in ("a", "b", "c"):
        intend(journal, name, "applied")
    files = Files()
    recover(journal, {"files": files}, running=nothing_runs)
    assert files.calls == ["c", "b", "a"]


def test_a_living_runner_is_left_to_do_it_unless_forced(journal):
    intend(journal, "a", "applied")
    files = Files({"a"})
    recovery = recover(journal, {"files": files}, running=lambda process: process == DEAD)
    assert (recovery.handles[0].ending, recovery.exit_code, files.calls) == ("running", 0, [])
    assert recovery.handles[0].next == "refute abort"
    assert recover(journal, {"files": files}, force=True, running=lambda process: process == DEAD).handles[0].ending == "recovered"


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"files": Files({"a"}, stuck=True)}, "still seen"),
        ({"files": Files({"a"}, error=OSError("device is busy"))}, "OSError: device is busy"),
        ({}, "'files' is not installed"),
    ],
)
def test_what_cannot_be_proven_gone_is_exit_5_and_stays_live(journal, files, reason):
    intend(journal, "b", "applied")
    intend(journal, "a", "applied")
    recovery = recover(journal, files, running=nothing_runs)
    assert recovery.exit_code == 5
    assert reason in recovery.handles[0].reason
    assert recovery.handles[0].next
    assert "a" in [entry.handle.id for entry in journal.live()]
    if files and not files["files"].error:
        assert recovery.handles[1].ending == "recovered"


def test_an_expiring_fault_is_gone_with_all_its_processes(journal):
    intend(journal, "a", "applied", rollback="expiring", holders=[WORKER])
    recovery = recover(journal, {}, running=lambda process: process == WORKER)
    assert (recovery.handles[0].ending, recovery.exit_code) == ("unproven", 5)
    assert "process 42, which still runs" in recovery.handles[0].reason
    assert recover(journal, {}, running=nothing_runs).handles[0].ending == "recovered"
    assert journal.live() == []


def test_after_a_reboot_no_process_is_what_it_was(tmp_path):
    me = this_process()
    journal = Journal(tmp_path / "journal", runner=ProcessIdentity(me.pid, me.started, "an earlier boot"))
    intend(journal, "a", "applied", rollback="expiring")
    intend(journal, "b", "applied")
    recovery = recover(journal, {"files": Files({"b"})})
    assert [one.ending for one in recovery.handles] == ["recovered", "recovered"]


def test_a_damaged_file_is_exit_5(journal):
    intend(journal, "a", "applied")
    path = journal.directory / "a.jsonl"
    path.write_bytes(b"rubbish\n" + path.read_bytes().split(b"\n", 1)[1])
    recovery = recover(journal, {"files": Files()}, running=nothing_runs)
    assert (recovery.exit_code, recovery.damaged) == (5, (str(path),))


def test_doctor_lists_what_is_live(tmp_path):
    journal = Journal(tmp_path / "journal", now=lambda: 3.0)
    intend(journal, "a", "applied")
    assert doctor.live(journal) == [
        {
            "experiment": "e1", "handle": "a", "injector": "files", "rollback": "journalled", "fault": "disk.full", "state": "applied",
            "pid": this_process().pid, "running": True, "since": 3.0, "target": "db", "host": "",
        }
    ]  # fmt: skip


def test_journalled_rollbacks_need_a_guardian():
    lasting, expiring = SimpleNamespace(handles=[handle("a")]), SimpleNamespace(handles=[handle("a", "expiring")])
    gate = RollbackNeedsGuardian(lambda: "nobody is there")
    ((name, problem),) = refusals([gate], lasting)
    assert (name, problem.code, problem.seen) == ("rollback_needs_guardian", "GATE-GUARDIAN", "nobody is there")
    assert refusals([gate], expiring) == refusals([RollbackNeedsGuardian(lambda: "")], lasting) == []


def test_a_journal_that_names_a_strangers_file_has_nothing_deleted(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("keep")
    arming = Arming(Component("data", "datastore", place=Place(directory=str(tmp_path))), "disk.full").to_json()
    handle = Handle("ballast", "journalled", {"arming": arming, "file": str(precious), "device": tmp_path.stat().st_dev}, id="h1")
    journal = Journal(tmp_path / "journal", runner=DEAD)
    for state in ("intended", "applied"):
        journal.advance(handle, state, experiment="e")
    recovery = recover(journal, {"ballast": BALLAST})
    assert (recovery.exit_code, [one.ending for one in recovery.handles]) == (5, ["unproven"])
    assert precious.read_text() == "keep"
