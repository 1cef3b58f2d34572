"""Seconds from starting `refute demo` to its first verdict, with the demo's first start of the day included."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time

LIMIT_S = 60.0


def main() -> None:
    """Run the demo once and print when its verdicts came."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "refute", "demo", "--json", "--experiments", "1"]
        start = time.perf_counter()
        environ = os.environ | {"XDG_STATE_HOME": folder}
        with subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            first = None
            for line in process.stdout:
                event = json.loads(line)
                if event["event"] == "verdict" and first is None:
                    first = time.perf_counter() - start
                    print(f"first verdict after {first:.1f} s: {event['belief']} {event['verdict']} (limit {LIMIT_S:.0f} s)")
        print(f"the whole of one experiment took {time.perf_counter() - start:.1f} s, exit code {process.returncode}")


if __name__ == "__main__":
    main()
