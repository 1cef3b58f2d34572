"""Crash trials with the real command line: `refute run` on the shop, kill -9 at an instant; is the service back, does the ledger verify?

Most instants are counted from the injection's first unit, so that a busy machine does not kill only runs that have broken nothing yet.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from crashes import ALLOWED_S, Kill, Trial, answers_quickly

from refute.experiment.design import LEASE_TTL_S
from refute.injectors.host._numbers import free_port
from refute.safety._post import Post
from refute.safety.summon import ask_now

SHOP = Path(__file__).parent / "shop"
INJECTING = "of the injection"
_AT_ANY_TIME = 0.2
_UNTIL_INJECTED_S = 60.0
HELLO = b"GET / HTTP/1.0\r\n\r\n"


def whole_run(fault: str, seed: int) -> Trial:
    """Do one: the runner, its guardian or both are killed at a random instant of a run, or of its injection."""
    rng = random.Random(seed)
    who = rng.choice([("runner",), ("guardian",), ("guardian", "runner")])
    kill = Kill(who, at_s=rng.uniform(0.5, 10.0)) if rng.random() < _AT_ANY_TIME else Kill(who, INJECTING, rng.uniform(0.0, 3.0))
    outcome = Trial(kill, f"{fault} (whole run)", lease_s=LEASE_TTL_S)
    with tempfile.TemporaryDirectory(prefix="crash-run-") as place:
        shop = Path(place) / "shop"
        shutil.copytree(SHOP, shop)
        port = free_port()
        text = (shop / "refute.yaml").read_text().replace("PORT", str(port)).replace("process.pause", fault)
        (shop / "refute.yaml").write_text(text.replace("units: 120", "units: 600").replace("answered >= 90%", "answered >= 99%"))
        stock = subprocess.Popen([sys.executable, shop / "stock.py", str(port), shop / "stock.pid"], stderr=subprocess.DEVNULL)
        environ = os.environ | {"XDG_STATE_HOME": f"{place}/state", "SHOP_PORT": str(port), "SHOP_SERVED": "1"}
        try:
            _lived(shop, port, environ, outcome)
        finally:
            stock.kill()
            stock.wait()
            if (holder := Post(Path(place) / "state/refute/guardian").holder()) is not None:
                os.kill(holder.pid, signal.SIGTERM)
                time.sleep(0.5)
    return outcome


def _lived(shop: Path, port: int, environ: dict[str, str], outcome: Trial) -> None:
    post = Post(Path(environ["XDG_STATE_HOME"]) / "refute" / "guardian")
    told = shop / "told"
    with told.open("wb") as said:
        runner = subprocess.Popen(_refute("run", "--json"), cwd=shop, env=environ, stdout=said, stderr=subprocess.DEVNULL)
    if outcome.kill.step == INJECTING and not _injects(told):
        outcome.wrong.append("it was never injected")
    time.sleep(outcome.kill.at_s)
    for who in outcome.kill.who:
        status = ask_now(post, "status") if who == "guardian" else None
        if who == "runner":
            runner.kill()
            outcome.kills += 1
        elif status is not None:
            os.kill(status["pid"], signal.SIGKILL)
            outcome.kills += 1
    struck = time.monotonic()
    if "guardian" not in outcome.kill.who or outcome.kills == len(outcome.kill.who):  # else the run goes on to inject as planned
        while not answers_quickly(port, HELLO) and time.monotonic() < struck + LEASE_TTL_S + ALLOWED_S:
            time.sleep(0.02)
        outcome.seconds = time.monotonic() - struck
        if not answers_quickly(port, HELLO):
            outcome.wrong.append("the fault is still felt")
    runner.wait(60)
    if not answers_quickly(port, HELLO):
        outcome.wrong.append("the fault is felt after the run")
    _recovered(shop, environ, outcome)


def _injects(told: Path) -> bool:
    """Wait until a run has shown a unit of its injection."""
    until = time.monotonic() + _UNTIL_INJECTED_S
    while time.monotonic() < until:
        for line in told.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n") and (event := json.loads(line))["event"] == "progress" and event["phase"] == "inject":
                return True
        time.sleep(0.05)
    return False


def _recovered(shop: Path, environ: dict[str, str], outcome: Trial) -> None:
    recovered = json.loads(_done(shop, environ, "recover", "--json").stdout)
    outcome.by_recover = bool(recovered["handles"])
    if recovered["exit_code"]:
        outcome.wrong.append(f"recover: {recovered}")
    if live := json.loads(_done(shop, environ, "doctor", "--json").stdout)["live"]:
        outcome.wrong.append(f"live: {live}")
    if (shop / ".refute" / "ledger.db").exists() and _done(shop, environ, "ledger", "verify").returncode:
        outcome.wrong.append("the ledger does not verify")


def _done(shop: Path, environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(_refute(*arguments), cwd=shop, env=environ, check=False, capture_output=True)


def _refute(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "refute", *arguments]
