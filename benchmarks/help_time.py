"""Seconds that `refute --help` takes, beside an empty Python and beside `chaos --help` where Chaos Toolkit is installed."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 15
LIMIT_S = 0.3


def main() -> None:
    """Run the commands in turn and print the median of each."""
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "refute --help": [str(Path(sys.executable).with_name("refute")), "--help"],
    }
    if (peer := shutil.which("chaos")) is not None:
        commands["chaos --help"] = [peer, "--help"]
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(RUNS):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            seconds[name].append(time.perf_counter() - start)
    for name, taken in seconds.items():
        print(f"{name:16} median {statistics.median(taken):.3f} s  ({min(taken):.3f}-{max(taken):.3f})")
    ratio = statistics.median(seconds["refute --help"]) / statistics.median(seconds["python -c pass"])
    print(f"refute --help takes {ratio:.1f} times an empty Python (limit {LIMIT_S} s)")


if __name__ == "__main__":
    main()
