"""Runs in a child process: imports the modules that references name, and writes a JSON line for each before the next is tried.

Started as a script in the intent's folder, so that it sees what the workload will see. It imports nothing of Refute.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any


def find(reference: str) -> dict[str, Any]:
    """Return what became of one reference: `ok`, or which step failed and with what.

    Args:
        reference: `module:function`.
    """
    module_name, _, attributes = reference.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except BaseException as error:  # noqa: BLE001 - whatever a module does when imported is the user's to hear
        if isinstance(error, ModuleNotFoundError) and error.name and f"{module_name}.".startswith(f"{error.name}."):
            return {"failed": "module", "missing": error.name, "names": _modules(error.name)}
        return {"failed": "import", "error": _described(error)}
    for attribute in attributes.split("."):
        if not hasattr(found, attribute):
            return {"failed": "name", "missing": attribute, "names": [name for name in dir(found) if not name.startswith("__")][:500]}
        found = getattr(found, attribute)
    return {} if callable(found) else {"failed": "callable", "error": type(found).__name__}


def _described(error: BaseException) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    inside = [frame for frame in frames if frame.filename != __file__]
    place = f" (at {Path(inside[-1].filename).name}:{inside[-1].lineno})" if inside else ""
    return f"{type(error).__name__}: {error}{place}"


def _modules(missing: str) -> list[str]:
    parent = missing.rpartition(".")[0]
    folders = getattr(sys.modules.get(parent), "__path__", ["."])
    names = {entry.stem for folder in folders for entry in Path(folder).iterdir() if entry.suffix in {"", ".py"}}
    return [f"{parent}.{name}" if parent else name for name in sorted(names)]


def main() -> None:
    """Answer the references on standard input; what imports print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    references = json.load(sys.stdin)
    ours = str(Path(__file__).parent)
    sys.path[:] = [str(Path.cwd()), *(folder for folder in sys.path if folder != ours)]
    for reference in references:
        answers.write(json.dumps({"reference": reference, **find(reference)}) + "\n")
        answers.flush()
    os._exit(0)  # threads that imports started must not keep the child alive


if __name__ == "__main__":
    main()
