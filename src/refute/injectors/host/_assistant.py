"""A process of ours that does a fault's work beside the guardian, holds nothing when it dies, and ends with the guardian's pipe."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from refute.injectors.host._namespace import Namespace

_START_S = 3.0


class AssistantError(Exception):
    """It does not do its work; the text says why."""


class Assistant:
    """One process, started and ready.

    Args:
        module: in this room; it says `ready` on a line of its own once it is, or else why not, and ends with its standard input.
        arguments: for it; no secrets, for everybody can read them.
        namespace: where it lives.

    Raises:
        AssistantError: it does not start, or not in time.
    """

    def __init__(self, module: str, arguments: Sequence[str], namespace: Namespace) -> None:
        """Start it and wait until it is ready."""
        before = namespace.within()
        if before is None:
            raise AssistantError("its network namespace is gone")
        path = os.pathsep.join([str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")])
        command = [*before, sys.executable, "-P", "-m", f"refute.injectors.host.{module}", *arguments]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": path}, cwd="/"
        )
        self._output = self._process.stdout
        assert self._output is not None
        ready, _, _ = select.select([self._output], [], [], _START_S)
        said = self._output.readline().strip() if ready else ""
        if said != "ready":
            self.end()
            raise AssistantError(said or "it does not start")
        self._last = ""

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def said(self) -> str:
        """Return the last whole line that it has written since it was ready, "" where there is none."""
        text, output = b"", self._output
        while output is not None and not output.closed and select.select([output], [], [], 0)[0]:
            if not (more := os.read(output.fileno(), 65536)):
                break
            text += more
        self._last = text.rpartition(b"\n")[0].rpartition(b"\n")[2].decode() or self._last
        return self._last

    def end(self) -> None:
        """Have it end; one that does not is killed."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            self._process.wait(_START_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def tell(line: str) -> None:
    """Say a line to the guardian, from within such a process; one that does not listen is not waited for."""
    with contextlib.suppress(BlockingIOError, BrokenPipeError):
        os.write(sys.stdout.fileno(), f"{line}\n".encode())


def ready() -> None:
    """Say that the work begins; from now on nothing that is said is waited for."""
    tell("ready")
    os.set_blocking(sys.stdout.fileno(), False)
