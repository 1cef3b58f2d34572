"""`refute proxy` as a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Proxy:
    """A running proxy.

    Attributes:
        url: its base URL.
        process: the process.
    """

    url: str
    process: subprocess.Popen[str]

    def memory_kib(self) -> int:
        """Return the most memory that it has ever had, KiB."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(15)


@contextlib.contextmanager
def proxy_process(upstream: str, *more: str, listen: str = "127.0.0.1:0", **environ: str) -> Iterator[Proxy]:
    command = [sys.executable, "-m", "refute", "proxy", "--upstream", upstream, "--listen", listen, "--json", *more]
    process = subprocess.Popen(command, env=os.environ | environ, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.wait()
        yield Proxy(json.loads(line)["url"], process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
