"""A small application on a service of its own, for faults of processes, ports and disks. It falls back after 0.3 s."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import asynccontextmanager
from pathlib import Path

HERE = Path(__file__).parent
HOST, PORT = os.environ.get("SHOP_HOST", "127.0.0.1"), int(os.environ.get("SHOP_PORT", "0"))


@asynccontextmanager
async def running():
    """Start the service unless a test has done so."""
    process = None if os.environ.get("SHOP_SERVED") else start()
    await asyncio.to_thread(wait)
    try:
        yield
    finally:
        if process is not None:
            process.kill()
            process.wait()


def start() -> subprocess.Popen:
    return subprocess.Popen([sys.executable, str(HERE / "stock.py"), str(PORT), str(HERE / "stock.pid")])


def wait() -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            socket.create_connection((HOST, PORT), 0.2).close()
        except OSError:
            time.sleep(0.05)
        else:
            return


def stock(limit_s: float | None) -> str:
    with urllib.request.urlopen(f"http://{HOST}:{PORT}/", timeout=limit_s) as reply:
        return reply.read().decode()


def careful(case: dict) -> str:
    try:
        return stock(0.3)
    except OSError:
        return "ask again later"


def careless(case: dict) -> str:
    return stock(30.0)


def endless(case: dict) -> str:
    return stock(None)


def hasty(case: dict) -> str:
    try:
        return stock(0.3)
    except OSError:
        return "sorry"


def answered(case: dict, text: str) -> bool:
    return text in {"in stock", "ask again later"}
