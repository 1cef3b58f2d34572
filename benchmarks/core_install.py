"""Packages of the core install, counted in a fresh virtual environment, with their size on disk."""

from __future__ import annotations

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
        script = "from importlib.metadata import distributions; print(*(one.metadata['Name'] for one in distributions()))"
        listed = subprocess.run([str(python), "-c", script], check=True, capture_output=True, text=True, cwd=folder).stdout
        names = sorted(set(listed.split()) - {"pip", "setuptools"})
        size = sum(path.stat().st_size for path in Path(folder, "lib").rglob("*") if path.is_file())
        print(f"{len(names)} packages with refute itself (limit 15): {', '.join(names)}")
        print(f"{size / 1e6:.0f} MB on disk, pip included")


if __name__ == "__main__":
    main()
