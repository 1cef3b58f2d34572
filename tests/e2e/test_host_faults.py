"""Faults of ports and disks through whole runs: landed, felt by users or not, and gone."""

from __future__ import annotations

import socket
import subprocess
import time

import pytest

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
    assert returned == code, (lines[-1], err)
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
