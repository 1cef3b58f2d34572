"""Starts one training run and ends all of it: when it ends, and when whoever started it is gone. Standard library only; run as a file.

Some launchers put their workers into sessions of their own, so that a process group does not hold all of a run. Every process of it
carries the run's folder in its environment, and that is what they are found by.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_LOOK_S = 0.05
_END_S = 10.0
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER: orphans of the run become children of this process


def main(variable: str, command: list[str]) -> int:
    """Run a command until it ends or standard input is closed.

    Args:
        variable: environment variable that names the run.
        command: program and arguments.

    Returns:
        Its exit code; 128 and the signal's number where one ended it; 127 where it could not be started.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    mark = f"{variable}={os.environ[variable]}".encode()
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        print(error.strerror, file=sys.stderr, flush=True)  # noqa: T201 - the other end reads it
        return 127
    try:
        while child.poll() is None and not _closed():
            pass
    finally:
        _end(child, mark)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _closed() -> bool:
    """Wait a moment; say whether standard input has been closed."""
    ready, _, _ = select.select([0], [], [], _LOOK_S)
    return bool(ready) and not os.read(0, 1)


def _end(child: subprocess.Popen[bytes], mark: bytes) -> None:
    """Kill whatever is left of the run, until nothing is."""
    until_s = time.monotonic() + _END_S
    while time.monotonic() < until_s:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        left = list(_marked(mark))
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if child.poll() is not None and not left:
            return
        time.sleep(_LOOK_S)


def _marked(mark: bytes) -> Iterator[int]:
    """Yield the processes of the run but this one; a zombie has no environment left."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(folder.name) != os.getpid() and mark in (folder / "environ").read_bytes().split(b"\0"):
                yield int(folder.name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
