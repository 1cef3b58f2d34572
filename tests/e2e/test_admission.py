"""May this run start here and now? Whole runs through the command line, with real SSH keys and a real webhook."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

TODAY = time.strftime("%Y-%m-%d", time.gmtime())
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def environment(tiny, text):
    tiny.edit("beliefs:\n", f"environments:\n  production: {text}\nbeliefs:\n")


def refused(tiny, *arguments):
    code, lines, _ = tiny.refute("run", "--environment", "production", "--json", *arguments)
    assert not [line for line in lines if line["event"] in {"experiment", "forecast", "phase"}], "nothing was even announced"
    return code, [line["code"] for line in lines if line["event"] == "problem"]


def test_outside_its_hours_nothing_starts(tiny):
    other = DAYS[(time.gmtime().tm_wday + 3) % 7]
    environment(tiny, f'{{windows: "{other} 09:00-16:00 UTC"}}')
    assert refused(tiny) == (3, ["GATE-WINDOW"])


def test_in_a_freeze_nothing_starts(tiny):
    environment(tiny, f'{{windows: "Mon-Sun 00:00-24:00 UTC", freezes: ["{TODAY} UTC"]}}')
    assert refused(tiny) == (3, ["GATE-FREEZE"])


@pytest.fixture
def bob(tiny):
    """Bob's key, and an environment that wants his yes."""
    key = tiny.folder / "bob"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    (tiny.folder / "signers").write_text(f"bob@example.org {key.with_suffix('.pub').read_text()}")
    environment(tiny, "{approvals: {need: 1, not: author, signers: signers}}")
    return key


def say_yes(tiny, key):
    asked = ("--environment", "production", "--belief", "rate-limits-absorbed", "--by", "bob@example.org", "--key", str(key))
    code, _, err = tiny.refute("approve", *asked, "--json")
    assert code == 0, err


def test_a_run_waits_for_a_second_persons_signed_yes(tiny, bob):
    assert refused(tiny) == (3, ["GATE-APPROVAL"])
    assert refused(tiny, "--by", "ada@example.org") == (3, ["GATE-APPROVAL"])
    say_yes(tiny, bob)
    assert refused(tiny, "--by", "bob@example.org") == (3, ["GATE-APPROVAL"])
    code, lines, _ = tiny.refute("run", "--environment", "production", "--json", "--by", "ada@example.org")
    assert code == 1
    gates = next(line["gates"] for line in lines if line["event"] == "experiment")
    assert {"name": "approved", "ok": True, "reason": "by 1"} in gates


def test_a_yes_is_void_once_the_intent_changes(tiny, bob):
    say_yes(tiny, bob)
    tiny.edit("share: 50%}", "share: 60%}")
    assert refused(tiny, "--by", "ada@example.org") == (3, ["GATE-APPROVAL"])


def test_a_budget_that_cannot_be_looked_up_is_not_taken_for_well(tiny):
    (tiny.folder / "slo.yaml").write_text(
        "version: prometheus/v1\nservice: tiny\nslos:\n  - name: answers\n    objective: 99\n    sli:\n      events:\n"
        "        error_query: sum(rate(bad[{{.window}}]))\n        total_query: sum(rate(all[{{.window}}]))\n"
    )
    budget = '{slo: slo.yaml, prometheus: "http://127.0.0.1:9", spend: 50%}'
    tiny.edit("duration: 30 s}", f"duration: 30 s, error_budget: {budget}}}")
    code, lines, _ = tiny.refute("run", "--json")
    assert (code, [line["code"] for line in lines if line["event"] == "problem"]) == (3, ["SLO-PROMETHEUS"])


@pytest.fixture
def webhook():
    got = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}/T0/canary-secret", got
    running.shutdown()


def test_people_are_told_when_a_run_starts_is_aborted_and_ends(tiny, webhook):
    url, got = webhook
    tiny.environ["REFUTE_HOOK"] = url
    tiny.edit("then: answered >= 90%", "then: answered >= 40%")
    tiny.edit("beliefs:\n", 'stop_when: ["answered < 80%"]\nnotify:\n  - {webhook: REFUTE_HOOK}\nbeliefs:\n')
    code, _, err = tiny.refute("run", "--json")
    assert code == 4, err
    assert [notice["moment"] for notice in got] == ["started", "aborted", "stopped"]
    assert len({notice["run"] for notice in got}) == 1
    assert "canary-secret" not in (tiny.folder / ".refute" / "ledger.db").read_bytes().decode("latin-1")


def test_a_receiver_without_an_address_is_told_before_anything_starts(tiny):
    tiny.edit("beliefs:\n", "notify:\n  - {slack: NO_SUCH_VARIABLE}\nbeliefs:\n")
    code, lines, _ = tiny.refute("run", "--json")
    assert (code, lines[0]["code"]) == (2, "NOTICE-SECRET")
