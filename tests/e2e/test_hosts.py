"""Runs against a guardian on another host: three hosts, real processes, real faults, cut lines, and a runner's host that dies whole."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from refute.experiment.design import LEASE_TTL_S
from refute.safety.journal import Journal
from refute.safety.summon import ask_now
from support.hosts import Host, Hosts, answers, networked, until

pytestmark = pytest.mark.host

SHOP = Path(__file__).parents[1] / "support" / "shop"
PORT = 8091
ALLOWED_S = 5.0
"""After the lease has ended, no fault may be live for longer."""


@dataclass
class Branch:
    """The shop on the runner's host, its stock service and a guardian on the target's."""

    hosts: Hosts
    folder: Path
    guardian: str

    def edit(self, old: str, new: str) -> None:
        file = self.folder / "refute.yaml"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    def start(self, port: int = PORT):
        where = {"SHOP_HOST": self.hosts.target.address, "SHOP_PORT": str(port), "SHOP_SERVED": "1"}
        return self.hosts.runner.start(sys.executable, "-m", "refute", "run", "--json", cwd=self.folder, **where)

    def ran(self):
        process = self.start()
        out, err = process.communicate(timeout=90)
        return process.returncode, [json.loads(line) for line in out.splitlines()], err

    def answers(self, by: Host | None = None) -> bool:
        return answers(by or self.hosts.third, (self.hosts.target.address, PORT))

    def injecting(self, answering: bool = False):
        process = self.start()
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "progress" and event["phase"] == "inject":
                break
        else:
            raise AssertionError(process.stderr.read())
        assert self.answers() == answering, "the fault is there"
        return process

    def journal(self, host: Host) -> Journal:
        return Journal(host.home / "state" / "refute" / "journal")

    def well(self) -> bool:
        """Nothing is live on the target's host: its service answers, its journal says so, no rule is left."""
        return self.answers() and not self.journal(self.hosts.target).live() and "REFUTE" not in self.hosts.target.rules()


OTHER_CLOCK = ("unshare", "--time", "--boottime", "864000", "--monotonic", "864000", "--fork", "--kill-child")


@pytest.fixture
def branch(tmp_path, request):
    for hosts in networked(tmp_path):
        folder = tmp_path / "runner" / "shop"
        shutil.copytree(SHOP, folder)
        target = hosts.target
        target.start(sys.executable, str(SHOP / "stock.py"), str(PORT), str(target.home / "stock.pid"), SHOP_HOST=target.address)
        made = Branch(hosts, folder, target.listening("runner", "third", within=getattr(request, "param", ())))
        made.edit("process: {pidfile: stock.pid}", f"process: {{pidfile: {target.home}/stock.pid}}, host: branch-1")
        made.edit("http://127.0.0.1:PORT", f"http://{target.address}:{PORT}")
        made.edit("  components:", f'  hosts:\n    branch-1: {{guardian: "{made.guardian}"}}\n  components:')
        made.edit("duration: 30 s", "duration: 60 s")
        until(made.answers, 8)
        yield made


def long(branch):
    branch.edit("units: 120", "units: 1500")
    branch.edit("answered >= 90%", "answered >= 98%")  # takes long enough to be met


def test_a_paused_process_of_another_host_is_felt_and_is_back_after_the_run(branch):
    code, lines, err = branch.ran()
    (verdict,) = lines[-1]["verdicts"]
    assert (code, verdict["verdict"], verdict["landed"], verdict["rolled_back"]) == (0, "held", True, True), (lines[-3:], err)
    assert branch.well()
    assert not branch.journal(branch.hosts.runner).live()
    assert not branch.hosts.runner.post.directory.exists(), "no guardian was needed there"


def test_a_delayed_port_of_another_host_is_felt_there_and_no_rule_is_left(branch):
    branch.edit("process.pause", "network.delay, magnitude: 500 ms")
    code, lines, err = branch.ran()
    (verdict,) = lines[-1]["verdicts"]
    landing = next(line for line in lines if line["event"] == "landing")
    assert (code, verdict["landed"], verdict["rolled_back"]) == (0, True, True), (lines[-3:], err)
    assert landing["effect"]["connect_s"] >= 0.4
    assert branch.well()


def test_a_killed_runner_leaves_the_other_host_running_and_recover_says_so(branch):
    long(branch)
    process = branch.injecting()
    process.kill()
    process.wait()
    assert until(branch.well, LEASE_TTL_S + ALLOWED_S) < 2.0, "the guardian sees the connection close"
    runner = branch.hosts.runner
    code, lines, _ = runner.refute("doctor", "--json")
    (fault,) = lines[-1]["live"]
    assert (code, fault["host"], fault["running"], fault["said"]) == (5, "branch-1", False, "branch-1 says: gone")
    code, lines, _ = runner.refute("recover", "--json")
    assert (code, [one["ending"] for one in lines[-1]["handles"]]) == (0, ["recovered"]), lines
    assert runner.refute("recover", "--json")[1][-1]["handles"] == []


def test_when_the_runners_host_dies_whole_the_fault_ends_with_its_lease(branch):
    long(branch)
    branch.injecting()
    branch.hosts.runner.link("down")  # a host that loses power says no goodbye
    branch.hosts.runner.kill_all()
    assert until(branch.well, LEASE_TTL_S + ALLOWED_S) > 1.0, "nobody told the guardian: the lease has ended"
    code, lines, _ = branch.hosts.third.refute("doctor", "--guardian", branch.guardian, "--json")
    assert (code, lines[-1]["live"]) == (0, [])
    assert "process.pause, process.kill by signals" in [check["name"] for check in lines[-1]["checks"]], "what that host permits"
    branch.hosts.runner.link("up")
    code, lines, _ = branch.hosts.runner.refute("recover", "--json")
    assert (code, [one["ending"] for one in lines[-1]["handles"]]) == (0, ["recovered"]), lines


def test_with_the_line_cut_the_run_is_unproven_and_the_guardian_rolls_back_by_itself(branch):
    long(branch)
    process, runner = branch.injecting(), branch.hosts.runner
    rule = ["-p", "tcp", "--sport", branch.guardian.rpartition(":")[2], "-j", "DROP"]
    branch.hosts.runner.filter("-A", "INPUT", *rule)
    branch.hosts.runner.filter("-A", "OUTPUT", *(word.replace("--sport", "--dport") for word in rule))
    until(branch.well, LEASE_TTL_S + ALLOWED_S)
    out, err = process.communicate(timeout=60)
    lines = [json.loads(line) for line in out.splitlines()]
    (verdict,) = lines[-1]["verdicts"]
    assert (process.returncode, verdict["verdict"], verdict["rolled_back"]) == (5, "void", False), (lines[-3:], err)
    rollback = next(line for line in reversed(lines) if line["event"] == "rollback")
    assert (rollback["ok"], rollback["remove_by_hand"]) == (False, "refute recover")
    assert "its lease has ended there" in rollback["proof"]
    code, lines, _ = runner.refute("recover", "--json")
    assert (code, [one["ending"] for one in lines[-1]["handles"]]) == (5, ["unproven"]), "it still cannot know"
    assert "no answer in time" in lines[-1]["handles"][0]["reason"]
    runner.filter("-F")
    assert runner.refute("recover", "--json")[0] == 0
    assert runner.refute("doctor", "--json")[1][-1]["live"] == []
    assert branch.well()


def test_a_line_that_is_back_in_time_proves_the_rollback_and_the_run_is_void(branch):
    long(branch)
    process = branch.injecting()
    branch.hosts.target.link("down")
    time.sleep(LEASE_TTL_S + 1.5)
    branch.hosts.target.link("up")
    out, err = process.communicate(timeout=60)
    lines = [json.loads(line) for line in out.splitlines()]
    (verdict,) = lines[-1]["verdicts"]
    assert (process.returncode, verdict["verdict"], verdict["rolled_back"]) == (3, "void", True), (lines[-3:], err)
    assert [line["code"] for line in lines if line["event"] == "problem"] == ["GUARDIAN-LOST"]
    until(branch.well, 5)


def test_the_service_cut_off_from_everybody_is_still_continued_by_the_guardian_beside_it(branch):
    long(branch)
    process = branch.injecting()
    branch.hosts.target.link("down")
    process.kill()
    target = branch.hosts.target
    until(lambda: answers(target, (target.address, PORT)), LEASE_TTL_S + ALLOWED_S)
    until(lambda: not branch.journal(target).live(), 2)


def test_abort_has_the_other_host_remove_what_a_frozen_runner_has_broken_there(branch):
    long(branch)
    process, target = branch.injecting(), branch.hosts.target
    process.send_signal(signal.SIGSTOP)
    start = time.monotonic()
    code, lines, _ = branch.hosts.runner.refute("abort", "--wait", "0", "--json")
    assert branch.well()
    assert time.monotonic() - start < LEASE_TTL_S - 0.5, "sooner than its lease would have ended"
    assert [(one["target"], one["ending"]) for one in lines[-1]["removed_elsewhere"]] == [("stock", "recovered")]
    assert (code, lines[-1]["live"], [run["ended"] for run in lines[-1]["runs"]]) == (5, [], [False]), "the frozen run is still there"
    until(lambda: sum(b"--listen" in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in target.pids()) == 1, 2)
    process.send_signal(signal.SIGCONT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, out[-1500:] + err
    assert branch.hosts.runner.refute("doctor", "--json")[1][-1]["live"] == []


def test_abort_says_where_the_other_host_cannot_be_asked_and_the_lease_ends_it(branch):
    long(branch)
    process = branch.injecting()
    process.send_signal(signal.SIGSTOP)
    branch.hosts.runner.link("down")
    code, lines, _ = branch.hosts.runner.refute("abort", "--wait", "0", "--json")
    (one,) = lines[-1]["removed_elsewhere"]
    assert (code, one["ending"], "cannot be asked" in one["reason"]) == (5, "unproven", True), lines
    until(branch.well, LEASE_TTL_S + ALLOWED_S)
    process.send_signal(signal.SIGCONT)
    process.kill()


def test_a_guardian_and_its_understudy_that_die_are_replaced_when_recover_asks(branch):
    long(branch)
    process, target = branch.injecting(), branch.hosts.target
    status = ask_now(target.post, "status")
    assert [(run["by"], run["lease_s"] > 0) for run in status["runs"]] == [("runner", True)]
    os.kill(status["understudy"], signal.SIGKILL)
    os.kill(status["pid"], signal.SIGKILL)
    out, _ = process.communicate(timeout=60)
    verdict = json.loads(out.splitlines()[-1])["verdicts"][0]
    assert (process.returncode, verdict["verdict"], verdict["rolled_back"]) == (3, "void", True), "the run itself has seen to it"
    assert branch.well()


def test_a_listener_that_is_killed_with_its_callers_takes_their_faults_along(branch):
    long(branch)
    process, target = branch.injecting(), branch.hosts.target
    listener = target.started[1]
    for pid in target.pids():
        if b"--listen" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
    listener.wait()
    until(branch.well, LEASE_TTL_S + ALLOWED_S)
    process.communicate(timeout=60)
    assert process.returncode == 5, "nobody is there to say so"
    target.listening("runner", port=int(branch.guardian.rpartition(":")[2]))
    assert branch.hosts.runner.refute("recover", "--json")[0] == 0


@pytest.mark.parametrize("branch", [OTHER_CLOCK], indirect=True, ids=["ten days ahead"])
def test_the_two_hosts_need_not_agree_what_time_it_is(branch):
    branch.edit("process.pause", "network.partition")
    code, lines, err = branch.ran()
    (verdict,) = lines[-1]["verdicts"]
    assert (code, verdict["landed"], verdict["rolled_back"]) == (0, True, True), (lines[-3:], err)
    long(branch)
    branch.edit("confidence: 80%", "confidence: 79%")
    branch.injecting()
    branch.hosts.runner.link("down")
    branch.hosts.runner.kill_all()
    until(branch.well, LEASE_TTL_S + ALLOWED_S)


def test_a_proxy_on_another_host_is_armed_through_its_guardian(branch):
    target = branch.hosts.target
    at = f"{target.address}:8092"
    proxy = target.start(sys.executable, "-m", "refute", "proxy", "--upstream", f"tcp://{target.address}:{PORT}", "--listen", at, "--json")
    assert json.loads(proxy.stdout.readline())["event"] == "listening"
    branch.edit(f'kind: service, endpoint: "http://{target.address}:{PORT}"', f'kind: datastore, endpoint: "tcp://{at}", via: proxy')
    branch.edit("process.pause", "datastore.drop")
    process = branch.start(port=8092)
    out, err = process.communicate(timeout=60)
    lines = [json.loads(line) for line in out.splitlines()]
    (verdict,) = lines[-1]["verdicts"]
    assert (process.returncode, verdict["verdict"], verdict["landed"], verdict["rolled_back"]) == (0, "held", True, True), (lines[-3:], err)
    assert answers(branch.hosts.third, (target.address, 8092))


def test_check_says_what_the_other_host_would_use_and_a_run_that_cannot_ask_it_injects_nothing(branch):
    runner, where = branch.hosts.runner, {"cwd": branch.folder, "SHOP_SERVED": "1"}
    told = runner.start(sys.executable, "-m", "refute", "check", "--json", **where).communicate(timeout=30)[0]
    assert json.loads(told.splitlines()[-1])["beliefs"][0]["host"] == "process.pause by signals"
    runner.link("down")
    start = time.monotonic()
    code, lines, _ = branch.ran()
    assert (code, [line["code"] for line in lines if line["event"] == "problem"]) == (3, ["GUARDIAN-UNREACHED"])
    assert time.monotonic() - start < 25
    told = runner.start(sys.executable, "-m", "refute", "check", "--json", **where).communicate(timeout=30)[0]
    assert json.loads(told.splitlines()[-1])["beliefs"][0]["host"].startswith("cannot [GUARDIAN-UNREACHED]: ")
    assert branch.well()
