"""Packages of the core install, counted in a fresh virtual environment, with their size on disk."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Install the core from this checkout into an empty environment and count."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = Path(folder, "bin", "python")
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet"]
        subprocess.run([*pip, "install", str(ROOT)], check=True)
        listed = subprocess.run([*pip, "list", "--format", "json"], check=True, capture_output=True, text=True).stdout
        names = sorted({one["name"] for one in json.loads(listed)} - {"pip", "setuptools"})
        size = sum(path.stat().st_size for path in Path(folder, "lib").rglob("*") if path.is_file())
        print(f"{len(names)} packages with refute itself (limit 15): {', '.join(names)}")
        print(f"{size / 1e6:.0f} MB on disk, pip included")


if __name__ == "__main__":
    main()
