"""Loads an intent: all files, the shape, the design, and on request the Python references. All mistakes come at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refute.core.errors import Problem, RefuteError
from refute.core.intent import Intent
from refute.faults.catalogue import catalogue
from refute.faults.spec import Fault
from refute.intent.document import Document
from refute.intent.files import read_files, read_mapping

if TYPE_CHECKING:
    from refute.intent.shape import IntentShape


def load(path: Path | str, *, resolve: bool = False, faults: Mapping[str, Fault] | None = None) -> Intent:
    """Load an intent file.

    Args:
        path: the file.
        resolve: also import what its Python references name, in a child process.
        faults: the catalogue; the installed one where None.

    Returns:
        The intent, valid and testable by design.

    Raises:
        RefuteError: with a problem for each mistake; see `CODES`.
    """
    path = Path(path)
    document = read_files(path)
    digest = hashlib.sha256(b"\0".join(content for _name, content in document.sources)).hexdigest()
    return _loaded(document, path.absolute(), digest, resolve=resolve, faults=faults)


def loads(data: Mapping[str, Any], folder: Path | str, *, resolve: bool = False, faults: Mapping[str, Fault] | None = None) -> Intent:
    """Load an intent that Python code built.

    Args:
        data: what the file would hold, values with units as text.
        folder: what paths and Python references are relative to.
        resolve: also import what its Python references name, in a child process.
        faults: the catalogue; the installed one where None.

    Returns:
        The intent, as if `refute.yaml` in that folder held the mapping.

    Raises:
        RefuteError: with a problem for each mistake; `where` is the way to the value.
    """
    folder = Path(folder).absolute()
    document = read_mapping(_plain(data), folder)
    digest = hashlib.sha256(json.dumps(document.data, sort_keys=True, default=str).encode()).hexdigest()
    return _loaded(document, folder / "refute.yaml", digest, resolve=resolve, faults=faults)


def _loaded(document: Document, path: Path, digest: str, *, resolve: bool, faults: Mapping[str, Fault] | None) -> Intent:
    from refute.intent.build import build
    from refute.intent.checks import check
    from refute.intent.checks.names import check_names
    from refute.intent.checks.subject import Subject
    from refute.intent.references import check_references
    from refute.intent.traced import refine, weighed

    known = catalogue() if faults is None else faults
    seen = refine(document, path.parent)
    shape, problems = _shape(document)
    problems = [*document.problems, *problems, *check_names(document, known)]
    if shape is None or document.problems:
        raise _error(problems, document)
    units = {name: fault.magnitude.unit for name, fault in known.items() if fault.magnitude is not None}
    intent = weighed(build(shape, document, path, units, digest), seen)
    problems += check(Subject(intent, shape, document, known))
    if resolve:
        problems += check_references(shape, document, path.parent)
    if problems:
        raise _error(problems, document)
    return intent


def _shape(document: Document) -> tuple[IntentShape | None, list[Problem]]:
    """Return the file's shape, or what keeps it from having one."""
    from pydantic import ValidationError

    from refute.intent.mistakes import problems_of
    from refute.intent.schema import model_schema
    from refute.intent.shape import IntentShape

    if document.data is None:
        return None, []
    try:
        return IntentShape.model_validate(document.data), []
    except ValidationError as error:
        return None, problems_of(error, document, model_schema())


def _error(problems: list[Problem], document: Document) -> RefuteError:
    """Return the problems in the order of the files, each with a next step."""
    order = {name: number for number, (name, _content) in enumerate(document.sources)}

    def position(problem: Problem) -> tuple[int, int]:
        name, _, line = problem.where.rpartition(":")
        in_file = line.isascii() and line.isdigit()
        return (order.get(name, len(order)), int(line)) if in_file else (order.get(problem.where, len(order)), 0)

    found = sorted(problems, key=position)
    return RefuteError(*(problem if problem.next else replace(problem, next=f"refute explain {problem.code}") for problem in found))


def _plain(value: Any) -> Any:
    """Copy mappings and sequences into the kinds that a file would give."""
    if isinstance(value, Mapping):
        return {_encodable(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return _encodable(value) if isinstance(value, str) else value


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
