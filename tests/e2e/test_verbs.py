"""The command line as a user meets it: verbs, exit codes, JSON, and how quickly help appears."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from refute.cli import VERBS, _exit_code, group, main
from refute.core.arming import Handle
from refute.core.errors import EXIT_INTERRUPTED, refuse
from refute.core.events import Event
from refute.core.process import ProcessIdentity, this_process
from refute.ledger import Ledger
from refute.safety.journal import Journal

GONE = ProcessIdentity(2**22 + 1, "1", "another boot")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refute(*arguments):
    done = subprocess.run([sys.executable, "-m", "refute.cli", *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def inside(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    told = capsys.readouterr()
    return ended.value.code, told.out, told.err


def live(rollback, *states, runner=GONE):
    journal = Journal(runner=runner)
    handle = Handle("nobody", rollback, {"arming": {"fault": "disk.full", "component": {"name": "db"}}}, id="h1")
    for state in ("intended", *states):
        journal.advance(handle, state, experiment="e1")


def test_help_imports_nothing_heavy_and_names_every_verb():
    script = "import sys; from refute.cli import group; group.main(['--help'], standalone_mode=False); print(sorted(sys.modules))"
    seen = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    help_text, _, modules = seen.rpartition("[")
    assert all(verb in help_text and line[:30] in help_text for verb, (_, line) in VERBS.items())
    for heavy in ("rich", "pydantic", "numpy", "yaml", "sqlite3", "urllib3", "asyncio"):
        assert f"'{heavy}'" not in modules


def test_help_is_quick():
    best = min(_seconds("--help") for _ in range(4))
    assert best < 0.6  # about 0.15 s on a quiet machine; the promise is 0.3 s


def _seconds(*arguments):
    start = time.perf_counter()
    assert refute(*arguments)[0] == 0
    return time.perf_counter() - start


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_can_be_loaded_and_has_help(verb):
    shown = CliRunner().invoke(group, [verb, "--help"])
    assert shown.exit_code == 0, shown.output
    assert shown.output.startswith("Usage:")


def test_a_wrong_verb_or_option_is_exit_2_with_a_hint(capsys):
    code, _, err = inside(capsys, "recovr")
    assert (code, "Did you mean 'recover'" in err) == (2, True)
    assert inside(capsys, "faults", "--nonsense")[0] == 2
    assert inside(capsys)[0] == 2
    assert inside(capsys, "--version")[:2] == (0, "refute 0.1.0\n")


def test_an_error_is_lines_on_stderr_or_json_on_stdout_and_its_exit_code(capsys):
    code, out, err = inside(capsys, "ledger", "verify")
    assert (code, out) == (2, "")
    assert "there is no ledger here [LEDGER-MISSING]" in err
    code, out, err = inside(capsys, "ledger", "verify", "--json")
    assert (code, err) == (2, "")
    problem, summary = map(json.loads, out.splitlines())
    assert problem["code"] == "LEDGER-MISSING"
    assert (summary["event"], summary["exit_code"]) == ("summary", 2)


def test_an_interrupt_is_130(monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("refute.cli.explain.get_close_matches", interrupted)
    assert _exit_code(["explain", "NO-SUCH"]) == EXIT_INTERRUPTED
    monkeypatch.setattr("refute.cli.explain.get_close_matches", lambda *_, **__: (_ for _ in ()).throw(refuse("X-Y", "x", exit_code=5)))
    assert _exit_code(["explain", "NO-SUCH"]) == 5


def test_ledger_verify_and_export(capsys, place):
    with Ledger.open() as ledger:
        ledger.append(Event("phase", {"experiment": "e1", "phase": "inject"}, 1.0))
        ledger.append(Event("verdict", {"experiment": "e1"}, 2.0))
        head = ledger.head()
    code, out, _ = inside(capsys, "ledger", "verify", "--json")
    assert (code, json.loads(out)) == (0, {"events": 2, "head": head, "problems": [], "ok": True})
    assert inside(capsys, "ledger", "verify", "--head", "ab" * 32)[0] == 2
    code, out, _ = inside(capsys, "ledger", "export", "--kind", "verdict")
    assert [json.loads(line)["event"] for line in out.splitlines()] == ["verdict"]
    code, out, _ = inside(capsys, "ledger", "export", "--output", "out.jsonl", "--json")
    assert (code, json.loads(out)) == (0, {"records": 2, "output": "out.jsonl"})
    assert len((place / "out.jsonl").read_text().splitlines()) == 2
    assert inside(capsys, "ledger", "export", "--output", "no/such/out.jsonl")[0] == 2
    assert inside(capsys, "ledger", "export", "--format", "parquet")[0] == 2
    assert inside(capsys, "ledger", "upgrade")[:2] == (0, ".refute/ledger.db: is of this version already\n")


def test_doctor_and_recover_tell_of_what_a_dead_runner_left(capsys):
    code, out, _ = inside(capsys, "doctor", "--json")
    found = json.loads(out.splitlines()[-1])
    assert found["live"] == []
    assert {"python", "click", "ledger", "journal", "transport httpx"} <= {check["name"] for check in found["checks"]}
    live("journalled", "applied")
    code, out, _ = inside(capsys, "doctor", "--json")
    (fault,) = json.loads(out)["live"]
    assert (code, fault["target"], fault["state"], fault["running"]) == (5, "db", "applied", False)
    code, out, _ = inside(capsys, "recover", "--json")
    assert (code, json.loads(out)["handles"][0]["ending"]) == (5, "unproven")
    code, out, _ = inside(capsys, "recover")
    assert "the injector 'nobody' is not installed" in out
    assert "next:" in out
    assert "refute recover" in inside(capsys, "doctor")[1]


def test_recover_mends_an_expiring_fault_of_an_earlier_boot(capsys):
    live("expiring", "applied")
    assert inside(capsys, "recover")[0] == 0
    assert inside(capsys, "recover")[:2] == (0, "nothing is live; nothing was left behind\n")


def test_doctor_says_where_the_journal_cannot_be_written(capsys, monkeypatch, place):
    (place / "file").write_text("x")
    monkeypatch.setenv("XDG_STATE_HOME", str(place / "file"))
    code, out, _ = inside(capsys, "doctor")
    assert code == 2
    assert "NOT OK journal" in out
    assert "JOURNAL-IO" in out


RUN = """
import signal, sys, time
from refute.core.arming import Handle
from refute.safety.journal import Journal
from refute.safety.runs import registered
handle = Handle("nobody", "expiring", {}, id="h1")
def stop(*_):
    for state in sys.argv[1:]: journal.advance(handle, state)
    sys.exit(4)
signal.signal(signal.SIGTERM, stop)
with registered("shop", "e1"):
    journal = Journal()
    for state in ("intended", "applied"): journal.advance(handle, state, experiment="e1")
    print("up", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize(("states", "expected"), [(("rolled_back", "verified"), 0), ((), 5)])
def test_abort_stops_live_runs_and_says_whether_anything_is_left(capsys, states, expected):
    run = subprocess.Popen([sys.executable, "-c", RUN, *states], stdout=subprocess.PIPE, text=True)
    run.stdout.readline()
    assert inside(capsys, "recover", "--json")[0] == 0
    code, out, _ = inside(capsys, "abort", "--json")
    told = json.loads(out)
    assert run.wait(5) == 4
    assert told["runs"] == [{"system": "shop", "experiment": "e1", "pid": run.pid, "ended": True}]
    assert (code, len(told["live"])) == (expected, 0 if states else 1)


def test_abort_with_nothing_live(capsys):
    assert inside(capsys, "abort")[:2] == (0, "no experiment was live\n")


def test_faults_are_listed_filtered_and_shown(capsys):
    _, out, _ = inside(capsys, "faults", "--json")
    assert len(json.loads(out)["faults"]) >= 6
    _, out, _ = inside(capsys, "faults", "--kind", "embedder", "--family", "embedder", "--hazard", "wrong_answer")
    assert [line.split("\t")[0] for line in out.splitlines()] == ["embedder.swapped"]
    _, out, _ = inside(capsys, "faults", "--protocol", "mcp", "--family", "mcp")
    assert len(out.splitlines()) == 9
    assert inside(capsys, "faults", "--family", "retreiver")[0] == 2
    _, out, _ = inside(capsys, "faults", "show", "retriever.delay")
    assert "magnitude: 0.01 to 120 s, typically 2 s: time added before the search" in out
    assert json.loads(inside(capsys, "faults", "show", "tool.error", "--json")[1])["seams"] == ["exchange", "python"]
    code, _, err = inside(capsys, "faults", "show", "retriever.dely")
    assert (code, "retriever.delay" in err) == (2, True)
    assert inside(capsys, "faults", "--kind", "toaster")[0] == 2


def test_every_fault_can_be_shown(capsys):
    for each in json.loads(inside(capsys, "faults", "--json")[1])["faults"]:
        code, out, err = inside(capsys, "faults", "show", each["name"])
        assert (code, err) == (0, ""), each["name"]
        assert out.startswith(f"{each['name']}: {each['summary']}")
        assert "A belief to start from" in out


def test_explain(capsys):
    code, out, _ = inside(capsys, "explain", "[ledger-full]")
    assert code == 0
    assert out.startswith("LEDGER-FULL: No room for the ledger")
    assert json.loads(inside(capsys, "explain", "YAML-TAB", "--json")[1])["code"] == "YAML-TAB"
    code, _, err = inside(capsys, "explain", "LEDGER-FUL")
    assert (code, "did you mean: LEDGER-FULL" in err) == (2, True)


BLOCKER = """
import time
import refute.cli
import refute.cli.explain
def wait(*_, **__):
    print("up", flush=True)
    time.sleep(60)
refute.cli.explain.get_close_matches = wait
refute.cli.main(["explain", "NO-SUCH"])
"""


def test_a_process_ended_by_ctrl_c_exits_130(place):
    process = subprocess.Popen([sys.executable, "-c", BLOCKER], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "up\n"
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(5) == EXIT_INTERRUPTED


def test_a_running_runner_is_not_an_orphan(capsys):
    live("expiring", "applied", runner=this_process())
    code, out, _ = inside(capsys, "doctor", "--json")
    assert json.loads(out)["live"][0]["running"] is True
    assert code != 5
