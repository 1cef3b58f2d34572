"""Faults of ports and disks through whole runs: landed, felt by users or not, and gone."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from whole_services import RESOLVER, resolver

from refute.integrations.clock import adjustable

pytestmark = pytest.mark.host


def answers_in_s(port):
    start = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), 2.0) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 200"
    return time.monotonic() - start


@pytest.fixture
def stock(shop):
    process = subprocess.Popen(["python3", shop.folder / "stock.py", str(shop.port), shop.folder / "stock.pid"])
    shop.environ["SHOP_SERVED"] = "1"
    until = time.monotonic() + 5
    while time.monotonic() < until:
        try:
            answers_in_s(shop.port)
            break
        except OSError:
            time.sleep(0.05)
    yield process
    process.kill()
    process.wait()


def ran(shop, code, *more):
    returned, lines, err = shop.refute("run", "--json", *more)
    assert returned == code, (json.dumps(lines[-1]), err)
    (verdict,) = lines[-1]["verdicts"]
    assert (verdict["landed"], verdict["rolled_back"]) == (True, True), verdict
    assert answers_in_s(shop.port) < 0.1
    assert not shop.live()
    assert shop.refute("ledger", "verify")[0] == 0
    landing = next(line for line in lines if line["event"] == "landing")
    return verdict["verdict"], landing["effect"]


@pytest.mark.parametrize(
    ("fault", "effect"),
    [
        ("network.partition", "connections_late"),
        ("network.reset", "connections_refused"),
        ("network.delay, magnitude: 500 ms", "connect_s"),
    ],
)
def test_a_careful_client_stands_it_and_a_careless_one_does_not(shop, stock, fault, effect):
    shop.edit("process.pause", fault)
    verdict, seen = ran(shop, 0)
    assert (verdict, list(seen)) == ("held", [effect])
    shop.edit("app:careful", "app:careless")
    shop.edit("timeout: 2 s", "timeout: 400 ms")
    assert ran(shop, 1, "--again")[0] == "refuted"


BUSY_STOCK = """
import os, socket, sys, threading, time
sys.argv = [sys.argv[1], *sys.argv[2:]]
def work(what):
    while True:
        try:
            if what[0].isdigit():
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
                    asking.settimeout(0.2)
                    asking.sendto(bytes.fromhex("abcd01000001000000000000076578616d706c6503636f6d0000010001"), (what, 53))
                    asking.recv(512)
            else:
                with open(os.path.join(what, "log"), "wb") as log: log.write(os.urandom(100_000)); log.flush(); os.fsync(log.fileno())
        except OSError: pass
        time.sleep(0.02)
threading.Thread(target=work, args=[sys.argv.pop()], daemon=True).start()
exec(compile(open(sys.argv[0]).read(), sys.argv[0], "exec"))
"""
"""The service, which all the while looks up names or writes."""


@pytest.fixture
def stock_that(shop):
    """Start the service in another way."""
    started = []

    def start(*command, environ=None):
        started.append(subprocess.Popen([*command, str(shop.port), shop.folder / "stock.pid"], env=os.environ | (environ or {})))
        shop.environ["SHOP_SERVED"] = "1"
        until(lambda: answers(shop.port))

    def busy(with_what):
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", BUSY_STOCK, shop.folder / "stock.py", str(shop.port), shop.folder / "stock.pid", with_what]
            )
        )
        shop.environ["SHOP_SERVED"] = "1"
        until(lambda: answers(shop.port))

    yield SimpleNamespace(start=start, busy=busy)
    for process in started:
        process.kill()
        process.wait()


def answers(port):
    try:
        return bool(answers_in_s(port))
    except OSError:
        return False


def until(wanted, limit_s=8.0):
    end = time.monotonic() + limit_s
    while not wanted():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.05)


@pytest.mark.parametrize(("fault", "effect"), [("dns.timeout", "lookups_failed"), ("dns.error", "lookups_failed")])
def test_failing_look_ups_land_and_go(shop, stock_that, fault, effect):
    with resolver():
        stock_that.busy(RESOLVER)
        shop.edit("process.pause", fault)
        verdict, seen = ran(shop, 0)
    assert (verdict, list(seen)) == ("held", [effect])


def test_a_component_that_looks_up_nothing_is_not_struck(shop, stock):
    shop.edit("process.pause", "dns.error")
    code, lines, _ = shop.refute("run", "--json")
    (verdict,) = lines[-1]["verdicts"]
    assert (code, verdict["verdict"], verdict["rolled_back"]) == (3, "void", True)
    assert "looked up no name" in json.dumps(lines)


def test_a_slow_disk_lands_and_goes(shop, stock_that):
    disk = shop.folder / "data"
    disk.mkdir()
    stock_that.busy(str(disk))
    shop.edit("process: {pidfile: stock.pid}", "process: {pidfile: stock.pid}, directory: data")
    shop.edit("process.pause", "disk.slow, magnitude: 200 kB/s")
    verdict, seen = ran(shop, 0)
    assert (verdict, list(seen)) == ("held", ["bytes_per_s"])


def test_a_skewed_clock_lands_and_goes_whoever_is_killed(shop, stock_that):
    stock_that.start("python3", shop.folder / "stock.py", environ=adjustable(shop.folder / "stock.clock"))
    shop.edit("process.pause", "process.clock_skew, magnitude: 2 h")
    verdict, seen = ran(shop, 0)
    assert verdict == "held"
    assert seen["clock_ahead_s"] == pytest.approx(7200, abs=3)
    shop.edit("units: 120", "units: 4000")
    runner = shop.start("run", "--json", "--again")
    until(lambda: "+7200" in (shop.folder / "stock.clock").read_text(), 30)
    runner.kill()
    killed = time.monotonic()
    until(lambda: (shop.folder / "stock.clock").read_text() == "+0\n", 5)
    assert time.monotonic() - killed < 5.0, "the guardian has set it right"
    until(lambda: not shop.live())
    assert shop.refute("recover", "--json")[1][-1]["handles"] == []


def test_what_this_host_lacks_is_told_with_code_place_and_command(shop):
    shop.edit("process: {pidfile: stock.pid}", "process: {pidfile: stock.pid}, directory: /dev/shm")
    shop.edit("process.pause", "disk.slow")
    code, lines, _ = shop.refute("check", "--json")
    (belief,) = lines[-1]["beliefs"]
    assert code == 0, "the file is valid; it is this host that cannot"
    assert belief["missing"]["code"] == "INJECTOR-NONE"
    assert "is on no disk but on tmpfs" in belief["missing"]["seen"]
    assert belief["missing"]["where"].startswith("refute.yaml:")
    assert belief["missing"]["next"] == "mend what is said of the component stock in the intent file, then: refute check"
    assert "proxy" not in belief["missing"]["seen"], "that cannot strike a component as a whole at all"


def test_a_full_disk_lands_and_is_emptied(shop, stock):
    disk = shop.folder / "data"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", disk], check=True)
    try:
        shop.edit("process: {pidfile: stock.pid}", "directory: data")
        shop.edit("process.pause", "disk.full")
        assert ran(shop, 0) == ("held", {"free_bytes": 0.0})
        assert not list(disk.iterdir())
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_killed_service_that_nobody_starts_again_is_exit_5(shop, stock):
    shop.edit("process.pause", "process.kill")
    code, lines, _ = shop.refute("run", "--json")
    (verdict,) = lines[-1]["verdicts"]
    assert (code, verdict["verdict"], verdict["rolled_back"]) == (5, "void", False)
    assert [one["fault"] for one in shop.live()] == ["process.kill"]
    again = subprocess.Popen(["python3", shop.folder / "stock.py", str(shop.port), shop.folder / "stock.pid"])
    try:
        until = time.monotonic() + 8
        while shop.live() and time.monotonic() < until:
            time.sleep(0.1)
        assert not shop.live(), "the guardian has gone on looking"
    finally:
        again.kill()
        again.wait()
