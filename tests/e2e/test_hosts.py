"""Runs against a guardian on another host: three hosts, real processes, real faults, cut lines, and a runner's host that dies whole."""

from __future__ import annotations

import json
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from refute.experiment.design import LEASE_TTL_S
from refute.safety.journal import Journal
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
        assert old in (text := file.read_text())
        file.write_text(text.replace(old, new))

    def start(self):
        where = {"SHOP_HOST": self.hosts.target.address, "SHOP_PORT": str(PORT), "SHOP_SERVED": "1"}
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


@pytest.fixture
def branch(tmp_path):
    for hosts in networked(tmp_path):
        folder = tmp_path / "runner" / "shop"
        shutil.copytree(SHOP, folder)
        target = hosts.target
        target.start(sys.executable, str(SHOP / "stock.py"), str(PORT), str(target.home / "stock.pid"), SHOP_HOST=target.address)
        made = Branch(hosts, folder, target.listening("runner", "third"))
        made.edit("process: {pidfile: stock.pid}", f"process: {{pidfile: {target.home}/stock.pid}}, host: branch-1")
        made.edit("http://127.0.0.1:PORT", f"http://{target.address}:{PORT}")
        made.edit("  components:", f'  hosts:\n    branch-1: {{guardian: "{made.guardian}"}}\n  components:')
        made.edit("duration: 30 s", "duration: 60 s")
        until(made.answers, 8)
        yield made


def long(branch):
    branch.edit("units: 120", "units: 1500")
    branch.edit("answered >= 90%", "answered >= 99%")  # takes long enough to be met


def test_a_paused_process_of_another_host_is_felt_and_is_back_after_the_run(branch):
    code, lines, err = branch.ran()
    (verdict,) = lines[-1]["verdicts"]
    assert (code, verdict["verdict"], verdict["landed"], verdict["rolled_back"]) == (0, "held", True, True), (lines[-3:], err)
    assert branch.well()
    assert not branch.journal(branch.hosts.runner).live()
    assert not branch.hosts.runner.post.directory.exists(), "no guardian was needed there"
