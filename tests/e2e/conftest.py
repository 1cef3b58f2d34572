from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from refute.core.process import terminate
from refute.safety._post import Post

SUPPORT = Path(__file__).parents[1] / "support"


@dataclass
class Tiny:
    """The small application in a folder of its own, and the real command line on it."""

    folder: Path
    environ: dict[str, str]
    started: list[subprocess.Popen[str]] = field(default_factory=list)
    port: int = 0

    def edit(self, old: str, new: str) -> None:
        file = self.folder / "refute.yaml"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "refute", *arguments], cwd=self.folder, env=self.environ, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.started.append(process)
        return process

    def refute(self, *arguments: str, timeout_s: float = 60) -> tuple[int, list[dict[str, Any]], str]:
        """Run to the end and return (exit code, JSON Lines, standard error)."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=timeout_s)
        return process.returncode, [json.loads(line) for line in out.splitlines() if line.startswith("{")], err

    def until(self, process: subprocess.Popen[str], wanted: Any, timeout_s: float = 40) -> list[dict[str, Any]]:
        """Read JSON Lines until one is wanted."""
        seen: list[dict[str, Any]] = []
        until_s = time.monotonic() + timeout_s
        assert process.stdout is not None
        for line in process.stdout:
            seen.append(json.loads(line))
            if wanted(seen[-1]):
                return seen
            assert time.monotonic() < until_s, f"not seen in time: {seen[-3:]}"
        raise AssertionError(f"ended without it: {seen[-3:]} {process.stderr.read() if process.stderr else ''}")

    def noted(self) -> list[float]:
        file = self.folder / "noted.txt"
        return [float(line.split()[0]) for line in file.read_text().splitlines()] if file.exists() else []

    def live(self) -> list[dict[str, Any]]:
        _, lines, _ = self.refute("doctor", "--json")
        return lines[-1]["live"]


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Tiny]:
    yield from copied("tiny", "TINY_PORT", tmp_path)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Tiny]:
    """An application on a service in a process of its own."""
    yield from copied("shop", "SHOP_PORT", tmp_path)


def copied(name: str, variable: str, tmp_path: Path) -> Iterator[Tiny]:
    folder = tmp_path / name
    shutil.copytree(SUPPORT / name, folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    file = folder / "refute.yaml"
    file.write_text(file.read_text().replace("PORT", str(port)))
    environ = os.environ | {"XDG_STATE_HOME": str(tmp_path / "state"), variable: str(port), "PYTHONUNBUFFERED": "1"}
    made = Tiny(folder, environ)
    made.port = port
    yield made
    for process in made.started:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()
    end_guardian(tmp_path / "state" / "refute" / "guardian")


def end_guardian(directory: Path) -> None:
    """Have a guardian that a test has left end, rather than wait until it does by itself."""
    if (guardian := Post(directory).holder()) is not None:
        terminate(guardian)
