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

import refute.demo

EXAMPLES = Path(refute.demo.__file__).parent / "training"


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


@pytest.fixture(scope="session")
def controls(tmp_path_factory) -> Path:
    """Where control runs are kept by what they depend on: no test trains one that another has trained."""
    return tmp_path_factory.mktemp("controls")


@pytest.fixture
def trainer(tmp_path, request, controls) -> Trainer:
    folder = tmp_path / "app"
    shutil.copytree(EXAMPLES / request.param, folder)
    (folder / ".refute").mkdir()
    (folder / ".refute" / "controls").symlink_to(controls)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return Trainer(folder, {**os.environ, "PATH": path, "XDG_STATE_HOME": str(tmp_path / "state")})
