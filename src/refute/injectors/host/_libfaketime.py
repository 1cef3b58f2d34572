"""libfaketime: where it is, what a program must be started with so that its clock can be shifted, and who was."""

from __future__ import annotations

import sys
import sysconfig
import time
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from refute.core.process import ProcessIdentity
from refute.injectors.host._tools import ToolError, run

_PROC = Path("/proc")
FILE = "FAKETIME_TIMESTAMP_FILE"
TRUE = "+0"
_DEBIAN = "/usr/lib/{}/faketime/libfaketime.so.1"
MISSING, INSTALL = "no libfaketime that works is installed", "pip install 'refute[clock]'"


_PROBE = "import time; time.sleep(0.001); print(time.time())"


@cache
def library() -> str:
    """Return where a library is that works here, "" where there is none.

    Each is tried: one for another machine does nothing, and with releases before 0.9.11, Debian 12's among them, programs cannot sleep once
    the clocks that measure durations are left alone (https://github.com/wolfcw/libfaketime/issues/426).
    """
    return next((str(place) for place in _places() if place.is_file() and _works(place)), "")


def _works(place: Path) -> bool:
    environ = {"LD_PRELOAD": str(place), "FAKETIME": "+100000", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}
    try:
        told = run([sys.executable, "-I", "-S", "-c", _PROBE], environ=environ)
        return float(told) > time.time() + 50_000
    except (ToolError, ValueError):
        return False


def _places() -> Iterator[Path]:
    try:
        found = files("libfaketime") or []
    except PackageNotFoundError:
        found = []
    yield from (Path(str(file.locate())) for file in found if file.name == "libfaketime.so.1")
    yield Path(_DEBIAN.format(sysconfig.get_config_var("MULTIARCH") or ""))


def variables(file: Path) -> dict[str, str]:
    """Return the environment variables of a program whose clock can be shifted.

    Its clock is read from the file each time, so that a shift comes and goes at once; clocks that measure durations are left alone, also
    where threads wait for each other with a time-out (`FAKETIME_FORCE_MONOTONIC_FIX`: else a program of many threads crawls or hangs).

    Args:
        file: an absolute path, of this program alone.
    """
    return {
        "LD_PRELOAD": library(), FILE: str(file), "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_RESET": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1", "FAKETIME_FORCE_MONOTONIC_FIX": "0",
    }  # fmt: skip


def file_of(process: ProcessIdentity) -> str:
    """Return the file that shifts a process's clock, "" where there is none that acts at once."""
    told = environment(process.pid)
    try:
        loaded = "libfaketime" in (_PROC / str(process.pid) / "maps").read_text("utf-8", "replace")
    except OSError:
        loaded = False
    return told.get(FILE, "") if loaded and told.get("FAKETIME_NO_CACHE") == "1" and not told.get("FAKETIME") else ""


def readers(file: str) -> set[int]:
    """Return the processes of this host that were started with a file, as far as they may be looked at."""
    pids = (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal())
    return {pid for pid in pids if environment(pid).get(FILE) == file}


def environment(pid: int) -> dict[str, str]:
    """Return what a process was started with, nothing where it may not be looked at."""
    try:
        told = (_PROC / str(pid) / "environ").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return {}
    return {name: value for name, _, value in (pair.partition("=") for pair in told)}
