"""Reads an intent's files: the first one, sections kept in files of their own, and what `include` names, merged into one document."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refute.core.errors import Problem
from refute.intent.document import Document, Steps, label, shown
from refute.intent.file_content import file_content, is_file, missing
from refute.intent.strict_yaml import parse

SECTIONS = (
    "system",
    "journeys",
    "workload",
    "indicators",
    "steady_state",
    "stop_when",
    "blast_radius",
    "environments",
    "beliefs",
    "verdict",
)
_ENDINGS = (".yaml", ".yml", ".json")
_MERGED: frozenset[Steps] = frozenset({("system", "components"), *((section,) for section in SECTIONS)})


def read_files(path: Path) -> Document:
    """Read an intent file and everything that it names.

    Args:
        path: the file; it also names itself in messages, as given.

    Returns:
        The merged document. `problems` tell what could not be read; `data` is None where that was the first file.
    """
    files = _Files()
    trail = (path.resolve(),) if is_file(path) else ()
    base = _Base(path.parent, os.path.dirname(path), trail)  # noqa: PTH120 - `.` stays out of messages
    return files.finished(files.whole(path, str(path), base))


def read_mapping(data: dict[str, Any], folder: Path) -> Document:
    """Read an intent that Python code built, and the files that it names.

    Args:
        data: the mapping, as the file would hold it.
        folder: what paths in it are relative to.
    """
    files = _Files()
    document = Document(data)
    files.follow(document, _Base(folder, "", ()))
    return files.finished(document)


@dataclass(frozen=True, slots=True)
class _Base:
    """What the paths in a file are relative to, how its folder is shown, and the files that led here."""

    folder: Path
    shown: str
    trail: tuple[Path, ...]

    def name(self, named: str) -> str:
        return os.path.normpath(os.path.join(self.shown, named))  # noqa: PTH118 - shown, not opened

    def below(self, named: str) -> _Base:
        path = self.folder / named
        return _Base(path.parent, os.path.dirname(self.name(named)), (*self.trail, path.resolve()))  # noqa: PTH120


class _Files:
    """The files of one load."""

    def __init__(self) -> None:
        self._problems: list[Problem] = []
        self._sources: list[tuple[str, bytes]] = []
        self._included: set[Path] = set()

    def finished(self, document: Document) -> Document:
        """Return the document with everything that was noted on the way."""
        document.problems = self._problems
        document.sources = self._sources
        return document

    def whole(self, path: Path, name: str, base: _Base, named_at: str = "") -> Document:
        """Read a file that is an intent, or a part of one, with all that it names."""
        document = self._read(path, name, named_at)
        if document.data is None:
            return document
        if not isinstance(document.data, dict):
            what, allowed = "an intent file is a mapping", "a mapping that starts with `version: 1`"
            self._problems.append(Problem("VALUE-TYPE", what, document.where(()), shown(document.data), allowed))
            return Document(None)
        self.follow(document, base)
        return document

    def follow(self, document: Document, base: _Base) -> None:
        """Read the sections that are files of their own, then what `include` names."""
        for section in SECTIONS:
            named = document.data.get(section)
            if isinstance(named, str) and named.endswith(_ENDINGS):
                _graft(document, self._read(base.folder / named, base.name(named), document.where((section,))), section)
        names = document.data.pop("include", [])
        for number, named in enumerate(names if isinstance(names, list) else [names]):
            steps: Steps = ("include", number) if isinstance(names, list) else ("include",)
            self._include(document, named, document.where(steps), base)

    def _include(self, document: Document, named: Any, where: str, base: _Base) -> None:
        if not isinstance(named, str) or not named:
            self._problems.append(Problem("VALUE-TYPE", "`include` names files", where, shown(named), "a path or a list of paths"))
            return
        if not is_file(base.folder / named):
            self._problems.append(missing(base.name(named), where))
            self._merge(document, Document(None))
            return
        path = (base.folder / named).resolve()
        if path in base.trail:
            seen = " → ".join(step.name for step in (*base.trail[base.trail.index(path) :], path))
            allowed = "a file that does not lead back here"
            self._problems.append(Problem("INCLUDE-CYCLE", "files include each other in a circle", where, seen, allowed))
        elif path not in self._included:
            self._included.add(path)
            self._merge(document, self.whole(base.folder / named, base.name(named), base.below(named), where))

    def _merge(self, document: Document, part: Document, steps: Steps = ()) -> None:
        document.whole = document.whole and part.whole
        if part.data is None:
            document.whole = False
            document.marred.update((section,) for section in SECTIONS if section not in document.data)
            return
        ours, theirs = _at(document.data, steps), _at(part.data, steps)
        for key, value in theirs.items():
            here = (*steps, key)
            if key not in ours:
                ours[key] = value
                _copy_places(document, part, here, here)
            elif isinstance(ours[key], list) and isinstance(value, list):
                for number, item in enumerate(value):
                    _copy_places(document, part, (*here, number), (*here, len(ours[key])))
                    ours[key].append(item)
            elif here in _MERGED and isinstance(ours[key], dict) and isinstance(value, dict):
                self._merge(document, part, here)
            elif here != ("version",) or ours[key] != value:
                allowed = f"once; it already stands at {document.where(here)}"
                self._problems.append(Problem("INCLUDE-TWICE", f"`{label(here)}` is set in two files", part.where(here), allowed=allowed))

    def _read(self, path: Path, name: str, named_at: str) -> Document:
        content = file_content(path, name) if is_file(path) else missing(name, named_at)
        if isinstance(content, Problem):
            self._problems.append(content)
            return Document(None)
        self._sources.append((name, content))
        document = parse(content.decode("utf-8-sig"), name)
        self._problems.extend(document.problems)
        if document.data is None and not document.problems:
            allowed = "an intent that starts with `version: 1`"
            self._problems.append(Problem("FILE-EMPTY", "the file is empty", name, allowed=allowed, next="refute init"))
        return document


def _at(data: Any, steps: Steps) -> Any:
    for step in steps:
        data = data[step]
    return data


def _graft(document: Document, part: Document, section: str) -> None:
    document.data[section] = part.data
    if part.data is None:
        document.marred.add((section,))
    _copy_places(document, part, (), (section,))


def _copy_places(document: Document, part: Document, old: Steps, new: Steps) -> None:
    depth = len(old)
    document.places.update({new + steps[depth:]: place for steps, place in part.places.items() if steps[:depth] == old})
    document.marred.update(new + steps[depth:] for steps in part.marred if steps[:depth] == old)
