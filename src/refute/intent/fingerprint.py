"""What the answer to a belief depends on, as hashes: when one differs from that of the evidence, the answer may be stale."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from refute.core.errors import refuse
from refute.core.intent import Belief, Indicator, Intent, System, When
from refute.intent.dependency import is_outside, outside, stated_version, version_mark
from refute.system.graph import ancestors, reachable

_LOOKS_LIKE_PATH = re.compile(r"[/\\*]|\.[A-Za-z][A-Za-z0-9]{0,6}$")
_MOST_FILES = 64
_SHORT = 12
_IGNORED_FOLDERS = frozenset({"__pycache__", "node_modules"})


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What the answer to a belief depends on.

    Attributes:
        marks: hash by name.
        files: hash by path below each folder among them, shortened; no folder with more than 64 files.
    """

    marks: dict[str, str]
    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def fingerprint(intent: Intent, belief: Belief) -> dict[str, str]:
    """Return a hash for each thing that the answer to a belief depends on; see `fingerprint_of`."""
    return fingerprint_of(intent, belief).marks


def fingerprint_of(intent: Intent, belief: Belief, within: frozenset[str] = frozenset()) -> Fingerprint:
    """Return what the answer to a belief depends on, as it is now.

    Args:
        intent: the belief's intent.
        belief: one of its beliefs.
        within: ids of beliefs that rest on this one, for those that rest on each other.

    Returns:
        As marks, SHA-256 in hexadecimal by name: the paths, packages, variables and images in `depends_on` as written, `belief:ID` for
        a belief that it names; `workload`, `cases`, `indicator`, `criterion`, `fault`, `component` and `graph` (what reaches the target,
        and what it reaches) from the intent; and the versions that those components state (`model:llm`). What is none of these, such as
        the word `model`, has "": its version is not known here.

    Raises:
        RefuteError: a path does not exist (`DEPENDS-MISSING`) or cannot be read (`FILE-UNREADABLE`).
    """
    found: dict[str, str] = {}
    files: dict[str, Mapping[str, str]] = {}
    for name in belief.depends_on:
        other = intent.beliefs.get(name)
        if other is None or _exists(intent.folder / name):
            found[name] = _content(intent.folder, name, belief.where, files)
        elif name not in within:
            rests = fingerprint_of(intent, other, within | {belief.id}).marks
            found[f"belief:{name}"] = _digest(json.dumps(rests, sort_keys=True).encode())
    targets = belief.when.targets
    struck = [{key: value for key, value in intent.system.components[name].to_json().items() if key != "version"} for name in targets]
    workload = asdict(intent.workload)
    del workload["cases"]
    if intent.workload.training is None:
        del workload["training"]
    else:
        del workload["training"]["seeds"]  # how often is asked, not what
    parts: dict[str, Any] = {
        "workload": workload,
        "indicator": _indicator(intent.indicators[belief.then.indicator]),
        "criterion": [belief.then.text, belief.among],
        "fault": _stated(belief.when),
        "component": struck[0] if len(struck) == 1 else struck,
        "graph": _graph(intent.system, targets),
    }
    found |= {name: _digest(json.dumps(part, sort_keys=True).encode()) for name, part in parts.items()}
    found |= _versions(intent.system, targets)
    if intent.workload.training is not None:
        found |= {name: _hash_path(intent.folder / name, belief.where) for name in intent.workload.training.files}
        return Fingerprint(found, files)
    cases = intent.workload.cases
    found |= {} if cases is None else {"cases": _hash_path(cases, belief.where)}
    return Fingerprint(found, files)


def _indicator(indicator: Indicator) -> dict[str, Any]:
    """Return an indicator as stated; what only training runs or deviations have, only where it is one of theirs."""
    stated = asdict(indicator)
    if indicator.deviation is None:
        del stated["deviation"]
    if not indicator.source:
        del stated["source"], stated["higher"]
    return stated


def _stated(when: When) -> dict[str, Any]:
    """Return the fault as stated; a turn and further faults only where there are any, as beliefs of before had none."""
    stated = asdict(when) | {"also": [_stated(one) for one in when.also]}
    return {name: value for name, value in stated.items() if name not in {"turn", "also"} or value}


def _versions(system: System, targets: Iterable[str]) -> dict[str, str]:
    """Return a hash of each version that a component around the targets states."""
    stated = {name: component for name in around(system, targets) if (component := system.components[name]).version}
    return {version_mark(name, one.kind): _digest(stated_version(one.version).encode()) for name, one in stated.items()}


def around(system: System, targets: Iterable[str]) -> list[str]:
    """Return the components that reach a target, and those that one reaches, by name."""
    return sorted({name for target in targets for name in ancestors(system, target) | reachable(system, target)})


def _graph(system: System, targets: Iterable[str]) -> list[list[Any]]:
    return [[name, system.components[name].kind, sorted(system.components[name].calls)] for name in around(system, targets)]


def missing_path(folder: Path, name: str) -> bool:
    """Say whether a dependency is written like a path and leads nowhere.

    Args:
        folder: what it is relative to.
        name: as written.
    """
    return not is_outside(name) and bool(_LOOKS_LIKE_PATH.search(name)) and not _exists(folder / name)


def _exists(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110 - `Path.exists` raises on unreadable folders and overlong names


def _content(folder: Path, name: str, where: str, files: dict[str, Mapping[str, str]]) -> str:
    """Return a hash of a dependency; of a folder, note what is in it."""
    if is_outside(name):
        return outside(name)
    if missing_path(folder, name):
        raise refuse("DEPENDS-MISSING", "the belief depends on a file that does not exist", where=where, seen=name)
    path = folder / name
    if not _exists(path):
        return ""
    inside: dict[str, str] = {}
    found = _hash_path(path, where, inside)
    if 0 < len(inside) <= _MOST_FILES:
        files[name] = {below: digest[:_SHORT] for below, digest in inside.items()}
    return found


def _hash_path(path: Path, where: str, inside: dict[str, str] | None = None) -> str:
    """Return a hash of a file or a folder; of a folder, note the hash of each file.

    Raises:
        RefuteError: it cannot be read (`FILE-UNREADABLE`).
    """
    try:
        if not path.is_dir():
            return _digest(path.read_bytes())
        found = {} if inside is None else inside
        found.update(_below(path))
        return _digest("".join(f"{name}\0{digest}\0" for name, digest in found.items()).encode())
    except OSError as error:
        raise refuse("FILE-UNREADABLE", "a file that the belief depends on cannot be read", where=where, seen=str(error)) from None


def _below(folder: Path) -> Iterable[tuple[str, str]]:
    """Yield path and hash of all files below a folder, but hidden and compiled ones."""
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _IGNORED_FOLDERS)
        for name in sorted(names):
            path = Path(root, name)
            if not name.startswith(".") and not name.endswith(".pyc") and path.is_file():
                yield path.relative_to(folder).as_posix(), _digest(path.read_bytes())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
