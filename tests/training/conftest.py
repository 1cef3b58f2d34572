"""The command line on a training of its own, in a folder of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


@dataclass
class Trainer:
    folder: Path
    environ: dict[str, str]

    def edit(self, old: str, new: str) -> None:
        file = self.folder / "refute.yaml"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    def refute(self, *arguments: str, timeout_s: float = 900) -> tuple[int, list[dict[str, Any]], str]:
        done = subprocess.run(
            [sys.executable, "-m", "refute", *arguments], cwd=self.folder, env=self.environ, text=True, capture_output=True,
            timeout=timeout_s, check=False,
        )  # fmt: skip
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")], done.stderr


@pytest.fixture
def trainer(tmp_path, request) -> Trainer:
    folder = tmp_path / "app"
    shutil.copytree(HERE / request.param, folder)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return Trainer(folder, {**os.environ, "PATH": path, "XDG_STATE_HOME": str(tmp_path / "state")})
