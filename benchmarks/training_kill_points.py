"""Points of a checkpoint's save at which a killed run does not come back: what Refute and `ckpt-chaos` find in one and the same script.

The script is the classifier of digits of `refute init --training digits`, once saving over its last checkpoint and once beside it. Run it
with the Python of `make torch`; it takes minutes.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import refute.demo
from refute.core.arming import Arming
from refute.core.system import Component
from refute.experiment.training.armed import ArmedTrial
from refute.experiment.training.trial import Trial
from refute.intent import load
from refute.safety.journal import Journal

DIGITS = Path(refute.demo.__file__).parent / "training" / "digits"
SAVES, SHARES = (1, 2), (0.0, 50.0, 100.0)  # which save; nothing, half and all of its bytes on disk
SIZE = ["--steps", "40", "--every", "20"]


def main() -> None:
    """Print how many points each tries, and at how many of them the run is lost."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for way in ("in place", "beside the last one"):
        further = [*SIZE, *(["--in-place"] if way == "in place" else [])]
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "digits"
            shutil.copytree(DIGITS, folder)
            print(f"saving {way}:")
            for tool, find in {"refute": _refute, "ckpt-chaos": _other}.items():
                began = time.monotonic()
                told = find(folder, further)
                print(f"  {tool:<11} {told}; {time.monotonic() - began:.0f} s", flush=True)


def _refute(folder: Path, further: list[str]) -> str:
    path = folder / "refute.yaml"
    listed = ", ".join(f'"{part}"' for part in further)
    path.write_text(path.read_text().replace('--folder, "{run}"]', f'--folder, "{{run}}", {listed}]').replace("restarts: 2", "restarts: 1"))
    intent = load(path)
    lost = []
    for save in SAVES:
        for share in SHARES:
            arming = Arming(Component("trainer", "trainer"), "checkpoint.killed_in_save", share, seed=1, turn=save)
            trial = ArmedTrial(Trial(intent, 1, folder / "log.txt"), arming, "bench", Journal(folder / "journal"))
            record, _ = asyncio.run(trial.run(_nothing))
            if not record.hits:
                raise SystemExit(f"the fault did not strike at save {save}")
            if not record.finished:
                lost.append(f"save {save} at {share:g} %")
    return f"{len(lost)} of {len(SAVES) * len(SHARES)} points lose the run ({', '.join(lost) or 'none'})"


async def _nothing() -> None:
    """Look at nothing."""


def _other(folder: Path, further: list[str]) -> str:
    weights = "import torch; print([float(one.double().sum()) for one in torch.load('{out}/last.pt')['model'].values()])"
    command = [
        "ckpt-chaos", "run", "--work", str(folder / "chaos"), "--step-regex", r"resumed at step (\d+)",
        "--result-cmd", f'python -c "{weights}"', "--", "python", "train.py", "--seed", "1", "--folder", "{out}", *further,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    totals = re.findall(r"(HARD_FAIL|SILENT_DIVERGENCE|PASS): (\d+)", done.stdout)
    return f"{', '.join(f'{count} {verdict}' for verdict, count in totals) or done.stdout[-500:]} (exit {done.returncode})"


if __name__ == "__main__":
    main()
