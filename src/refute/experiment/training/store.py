"""Control runs, kept by what they depend on, so that the same one is never trained twice."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from refute.core.intent import Intent
from refute.experiment.training.record import Record

_IGNORED = frozenset({"__pycache__", "node_modules"})
_ASK_S = 60.0
_PACKAGES = (
    "import importlib.metadata as m, platform, sys; "
    "print(sys.version, platform.machine(), sorted((d.metadata['Name'] or '', d.version) for d in m.distributions()))"
)


class Controls:
    """The control runs of one intent, in a folder of their own beside the ledger.

    Args:
        intent: with the training.
        folder: where they are kept.
    """

    def __init__(self, intent: Intent, folder: Path) -> None:
        """Read what runs depend on, as it is now."""
        self._intent = intent
        self._folder = folder
        self._depends = self._digest()

    def get(self, seed: int) -> Record | None:
        """Return the control run of a seed; None where nothing that it depends on is as it was in one."""
        try:
            return Record.from_json(json.loads(self._path(seed).read_bytes()))
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def keep(self, record: Record) -> None:
        """Keep a control run that ended well; where it cannot be kept, it will be run again."""
        path = self._path(record.seed)
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_suffix(f".{os.getpid()}")
            unfinished.write_text(json.dumps(record.to_json()))
            unfinished.replace(path)

    def _path(self, seed: int) -> Path:
        return self._folder / f"{hashlib.sha256(f'{self._depends} {seed}'.encode()).hexdigest()[:32]}.json"

    def _digest(self) -> str:
        """Hash how a run is started, the files that it depends on, and the packages of the Python that runs it."""
        workload, training = self._intent.workload, self._intent.workload.training
        assert training is not None
        told = asdict(training)
        del told["seeds"]
        total = hashlib.sha256(json.dumps([workload.target, told, workload.timeout_s], sort_keys=True).encode())
        for path in sorted({*_python_files(self._intent.folder), *_named(self._intent.folder, training.files)}):
            total.update(f"{path}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\0".encode())
        total.update(_packages(training.command).encode())
        return total.hexdigest()


def _python_files(folder: Path) -> Iterator[Path]:
    return (path for path in _below(folder) if path.suffix == ".py")


def _named(folder: Path, names: tuple[str, ...]) -> Iterator[Path]:
    for name in names:
        path = folder / name
        yield from _below(path) if path.is_dir() else [path]


def _below(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _IGNORED)
        yield from (Path(root, name) for name in sorted(names) if not name.startswith(".") and not name.endswith(".pyc"))


def _packages(command: tuple[str, ...]) -> str:
    """Return the versions of whatever is installed for the Python that runs the training: the one beside the command, or ours."""
    found = shutil.which(command[0]) if command else None
    beside = Path(found).parent / "python" if found else Path(sys.executable)
    python = str(beside) if beside.exists() else sys.executable
    asked = subprocess.run([python, "-I", "-c", _PACKAGES], capture_output=True, text=True, check=False, timeout=_ASK_S)
    return asked.stdout
