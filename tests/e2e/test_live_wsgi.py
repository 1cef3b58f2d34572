"""Live traffic of a WSGI service under gunicorn, with a proxy before what it buys and a second gunicorn service behind it."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import httpx2
import pytest

from refute.injectors.door import knock, signs
from servers.proxying import proxy_process

KIOSK = Path(__file__).parents[1] / "support" / "kiosk"
RATE = 40


def free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(done, timeout_s=30):
    until_s = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < until_s, "it did not come to that in time"
        time.sleep(0.05)


def answers(url):
    try:
        return httpx2.get(url, timeout=5).status_code == 200
    except httpx2.HTTPError:
        return False


class Customers(threading.Thread):
    """Come at a steady rate, whether or not they are served, with baggage of their own making now and then."""

    def __init__(self, url):
        super().__init__(daemon=True)
        self.url, self.over, self.tally = url, threading.Event(), Counter()
        self.start()

    def run(self):
        asyncio.run(self.come())

    async def come(self):
        async with httpx2.AsyncClient(timeout=10, limits=httpx2.Limits(max_keepalive_connections=0)) as client:
            visits = set()
            for number in itertools.count():
                if self.over.is_set():
                    break
                visits.add(asyncio.create_task(self.visit(client, number)))
                visits = {visit for visit in visits if not visit.done()}
                await asyncio.sleep(1 / RATE)
            await asyncio.gather(*visits)

    async def visit(self, client, number):
        forged = {"baggage": "refute-unit=mine,refute-arm=treatment,refute-sig=" + "0" * 32 + ",tenant=blue"} if number % 7 == 0 else {}
        try:
            answer = await client.get(self.url + ("/quote" if number % 2 else "/shelf"), headers=forged)
            self.tally[answer.status_code] += 1
        except httpx2.HTTPError as error:
            self.tally[type(error).__name__] += 1


class Kiosk:
    """All of it in a folder of its own, and the real command line beside it."""

    def __init__(self, folder):
        self.folder = folder
        web, stock, supplier = free_port(), free_port(), free_port()
        self.url, self.supplier = f"http://127.0.0.1:{web}", f"http://127.0.0.1:{supplier}"
        self.environ = os.environ | {
            "XDG_STATE_HOME": str(folder.parent / "state"), "KIOSK_STOCK": f"http://127.0.0.1:{stock}", "KIOSK_SUPPLIER": self.supplier,
        }  # fmt: skip
        self.doors = folder.parent / "state" / "refute" / "doors"
        self.ports = {"kiosk:app": (web, 3, "--preload"), "stock:app": (stock, 2), "supplier:app": (supplier, 1)}
        self.processes, self.customers = [], None

    def open(self, prices):
        self.environ["KIOSK_PRICES"] = prices
        text = (KIOSK / "refute.yaml").read_text()
        (self.folder / "refute.yaml").write_text(text.replace("PROXY", prices).replace("SUPPLIER", self.supplier))
        for name, (port, workers, *more) in self.ports.items():
            bound = [
                "--bind",
                f"127.0.0.1:{port}",
                "--workers",
                str(workers),
                "--threads",
                "4",
                "--keep-alive",
                "0",
                "--log-level",
                "error",
                *more,
            ]
            self.processes.append(subprocess.Popen([sys.executable, "-m", "gunicorn", name, *bound], cwd=self.folder, env=self.environ))
        until(lambda: all(answers(f"http://127.0.0.1:{port}/") for port, *_ in self.ports.values()))
        self.customers = Customers(self.url)
        until(lambda: Counter(sign.serves[0] for sign in signs(self.doors) if sign.role == "service") == {"kiosk": 3, "stock": 2})

    def close(self):
        if self.customers is not None:
            self.customers.over.set()
            self.customers.join(20)
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(20)

    def run(self, belief):
        command = [sys.executable, "-m", "refute", "run", "--environment", "production", "--json", "--belief", belief]
        ran = subprocess.run(command, cwd=self.folder, env=self.environ, capture_output=True, text=True, timeout=100, check=False)
        return ran.returncode, [json.loads(line) for line in ran.stdout.splitlines()], ran.stderr

    def armed(self):
        return [handle for sign in signs(self.doors) for handle in knock(sign, op="armed")["handles"]]


@pytest.fixture(scope="module")
def kiosk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wsgi") / "kiosk"
    shutil.copytree(KIOSK, folder)
    made = Kiosk(folder)
    with proxy_process(made.supplier, XDG_STATE_HOME=made.environ["XDG_STATE_HOME"]) as proxy:
        try:
            made.open(proxy.url)
            yield made
        finally:
            made.close()


def of(seen, kind):
    return [event for event in seen if event["event"] == kind]


@pytest.mark.parametrize(("belief", "journey"), [("quote-without-prices", "quote"), ("shelf-without-supplier", "shelf")])
def test_what_a_proxy_breaks_and_what_a_second_service_breaks_reaches_treated_customers_of_every_worker(kiosk, belief, journey):
    code, seen, err = kiosk.run(belief)
    (verdict,) = of(seen, "verdict")
    assert (verdict["verdict"], code) == ("refuted", 1), (verdict, of(seen, "problem"), err)
    (landing,) = of(seen, "landing")
    assert (landing["ok"], landing["control_injected"]) == (True, 0), landing
    every = [one for event in of(seen, "outcomes") for one in event["outcomes"]]
    injected = [one for event in of(seen, "outcomes") if event["phase"] == "inject" for one in event["outcomes"]]
    hit = [one for one in injected if one["hits"]]
    assert {(one["journey"], one["arm"]) for one in hit} == {(journey, "treatment")}
    assert len({one["unit"].split("-")[1] for one in every}) == 3, "each gunicorn worker begins units of its own"
    assert {one["error"] for one in injected if one["arm"] == "control"} == {""}, "forged baggage puts nobody into treatment"
    assert of(seen, "rollback")[-1]["ok"]
    assert not kiosk.armed()


def test_neither_supplier_nor_model_learns_of_cohorts_and_everything_goes_on(kiosk):
    carried = httpx2.get(kiosk.supplier + "/seen").json()["carried"]
    ours = [
        one for one in carried if "refute-" in one and "refute-unit=mine" not in one
    ]  # which an outsider sends, while no run is there too
    assert (ours, "tenant=blue" in carried) == ([], True)
    before = kiosk.customers.tally[200]
    until(lambda: kiosk.customers.tally[200] > before + RATE)
    assert set(kiosk.customers.tally) == {200, 502}
