"""Do the Python references of an intent lead to functions? Asked in a child process, for imports may do anything."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from refute.core.errors import Problem
from refute.intent import _importer
from refute.intent.deviation_shape import DeviationShape
from refute.intent.document import Document, Steps, closest, listed
from refute.intent.shape import IntentShape

TIMEOUT_S = 60.0


def check_references(shape: IntentShape, document: Document, folder: Path, timeout_s: float = TIMEOUT_S) -> list[Problem]:
    """Import what an intent names and return a problem for each reference that leads nowhere.

    Args:
        shape: the valid file.
        document: for places.
        folder: the intent's, which references are relative to.
        timeout_s: for all imports together.
    """
    named = _references(shape)
    wanted = list(dict.fromkeys(reference for _steps, reference in named))
    answers = _imported(wanted, folder, timeout_s)
    return [
        _problem(reference, answers[reference], document.where(steps))
        for steps, reference in named
        if reference in answers and "failed" in answers[reference]
    ]


def _references(shape: IntentShape) -> list[tuple[Steps, str]]:
    found: list[tuple[Steps, str | None]] = [
        (("system", "components", name, "python"), about.python) for name, about in shape.system.components.items()
    ]
    found += [
        (("system", "components", name, "stand_in"), about.stand_in)
        for name, about in shape.system.components.items()
        if about.python is not None
    ]
    found += [(("workload", "python"), shape.workload.python), (("workload", "setup"), shape.workload.setup)]
    if shape.workload.training is not None:
        found.append((("workload", "training", "python"), shape.workload.training.python))
    for name, about in shape.indicators.items():
        found += [(("indicators", name, kind), getattr(about, kind)) for kind in ("ratio", "score", "cost")]
        if about.deviation is not None:
            found += [(("indicators", name, "deviation", key), one) for key, one in _of_deviation(about.deviation)]
    return [(steps, reference) for steps, reference in found if reference is not None]


def _of_deviation(about: DeviationShape) -> list[tuple[str, str | None]]:
    named = [(key, getattr(about, key)) for key in ("tools", "scope", "completion", "escalation")]
    return [*named, ("actions", about.actions if ":" in about.actions else None)]


def _imported(references: Sequence[str], folder: Path, timeout_s: float) -> dict[str, dict[str, Any]]:
    """Return an answer for each reference up to the first that killed or outlasted the child."""
    if not references:
        return {}
    child = subprocess.Popen(
        [sys.executable, _importer.__file__],
        cwd=folder,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    late = False
    try:
        output, _ = child.communicate(json.dumps(list(references)).encode(), timeout=timeout_s)
    except subprocess.TimeoutExpired:
        late = True
        output = b""
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    if late:
        output, _ = child.communicate()
    answers = {answer.pop("reference"): answer for answer in map(json.loads, output.splitlines())}
    unanswered = [reference for reference in references if reference not in answers]
    if unanswered:
        how = f"took longer than {timeout_s:g} s" if late else f"ended the process (exit code {child.returncode})"
        answers[unanswered[0]] = {"failed": "late" if late else "import", "error": how}
    return answers


def _problem(reference: str, answer: dict[str, Any], where: str) -> Problem:
    module, _, function = reference.partition(":")
    failed = answer["failed"]
    if failed == "module":
        missing = answer["missing"]
        better = closest(missing, answer["names"])
        suggestion = f"{better}{module.removeprefix(missing)}:{function}" if better else ""
        what = f"there is no module `{missing}`"
        return Problem("REFERENCE-MODULE", what, where, reference, "modules in the intent's folder, or installed ones", suggestion)
    if failed == "name":
        missing = answer["missing"]
        better = closest(missing, answer["names"])
        public = [name for name in answer["names"] if not name.startswith("_")]
        return Problem(
            "REFERENCE-NAME", f"`{module}` has no `{missing}`", where, reference, listed(public), f"{module}:{better}" if better else ""
        )
    if failed == "callable":
        return Problem("REFERENCE-CALLABLE", f"`{reference}` is no function", where, answer["error"], "a function")
    if failed == "late":
        return Problem(
            "REFERENCE-LATE", f"the import of `{module}` did not end", where, answer["error"], "modules that start nothing on import"
        )
    return Problem("REFERENCE-IMPORT", f"the import of `{module}` failed", where, answer["error"], "a module that can be imported")
