"""`refute exec` with a service that knows nothing of Refute."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PLAIN = Path(__file__).parents[1] / "support/plain"


@dataclass
class Service:
    """A running service.

    Attributes:
        url: where it is asked.
        process: the process that was started.
    """

    url: str
    process: subprocess.Popen[bytes]

    def state(self) -> dict[str, Any]:
        """Return what is in the process that answers."""
        with urllib.request.urlopen(self.url, timeout=10) as reply:
            return json.load(reply)

    def states(self, count: int) -> dict[int, dict[str, Any]]:
        """Return what is in each of its processes, by pid."""
        found: dict[int, dict[str, Any]] = {}
        until = time.monotonic() + 20
        while len(found) < count and time.monotonic() < until:
            state = self.state()
            found[state["pid"]] = state
        return found


@contextlib.contextmanager
def exec_process(kind: str, provider: str, name: str = "plain", **environ: str) -> Iterator[Service]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "refute", "exec", "--name", name, "--", sys.executable, str(PLAIN / "services.py"), kind, str(port)]
    process = subprocess.Popen(command, env=os.environ | {"PROVIDER": provider} | environ, cwd=PLAIN, start_new_session=True)
    service = Service(f"http://127.0.0.1:{port}/ask", process)
    try:
        until = time.monotonic() + 30
        while True:
            try:
                service.state()
                break
            except OSError:
                assert process.poll() is None, "it has ended"
                assert time.monotonic() < until, "it does not answer"
                time.sleep(0.05)
        yield service
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
