"""Calls, faults on them, and runs under faults: what the propagation model learns from, and the file format of fault spaces."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from refute.core.errors import refuse


class Site(NamedTuple):
    """Where a call is made from and to, whichever time it is.

    Attributes:
        caller: component that calls.
        callee: component that is called.
        method: of the protocol.
    """

    caller: str
    callee: str
    method: str


class Call(NamedTuple):
    """The n-th call of a site within one unit.

    Attributes:
        id: name of it.
        site: from where to where.
        occurrence: which time, from 1.
    """

    id: str
    site: Site
    occurrence: int


class Fault(NamedTuple):
    """One call that fails in one way.

    Attributes:
        call: id of the call.
        kind: how it fails.
    """

    call: str
    kind: str


Faults: TypeAlias = tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """What one unit did.

    Attributes:
        faults: those that landed; a fault that never fired says nothing and does not belong here.
        available: whether the entry point answered.
        degraded: whether it answered with less than without faults.
        calls: ids of the calls that were made, in their order.
    """

    faults: Faults
    available: bool
    degraded: bool
    calls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FaultSpace:
    """Measured outcomes of every single fault and pair of faults of one application.

    Attributes:
        application: its name.
        calls: every call that was ever made, by id.
        steady: the run without faults.
        runs: those with faults.
    """

    application: str
    calls: Mapping[str, Call]
    steady: Run
    runs: tuple[Run, ...]

    @property
    def outcomes(self) -> dict[Faults, Run]:
        """Runs by their faults."""
        return {run.faults: run for run in self.runs}


def faults_of(pairs: Iterable[Iterable[str]]) -> Faults:
    """Return a set of faults in its one canonical order."""
    return tuple(sorted(Fault(*pair) for pair in pairs))


def read_space(path: Path) -> FaultSpace:
    """Read a fault space.

    Args:
        path: a JSON file with `application`, `calls` and `runs`; the first run without faults is the steady one. Where runs do not say
            `degraded`, they were not.

    Raises:
        RefuteError: If the file cannot be read or does not have that shape.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        space = _space(data)
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise _unreadable(path, f"{type(error).__name__}: {error}") from error
    unknown = {name for run in (space.steady, *space.runs) for name in (*run.calls, *(fault.call for fault in run.faults))} - set(
        space.calls
    )
    if unknown:
        raise _unreadable(path, f"runs name calls that `calls` lacks: {', '.join(sorted(unknown)[:3])}")
    if space.steady.faults or not space.steady.available:
        raise _unreadable(path, "no run is without faults" if space.steady.faults else "the run without faults was not available")
    return space


def read_spaces(folder: Path) -> list[FaultSpace]:
    """Read every fault space of a folder, in the order of the files' names; what has the name of another gets that of its file, too.

    Raises:
        RefuteError: If there is none, or one cannot be read.
    """
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise refuse("SPACE-NONE", "the folder holds no fault space", where=str(folder), allowed="*.json files", next="name another folder")
    found: dict[str, FaultSpace] = {}
    for path in paths:
        space = read_space(path)
        name = f"{space.application} ({path.stem})" if space.application in found else space.application
        found[name] = replace(space, application=name)
    return list(found.values())


def _unreadable(path: Path, seen: str) -> Exception:
    allowed = "an object with application, calls (id, caller, callee, method, occurrence) and runs (faults, available, degraded, calls)"
    return refuse("SPACE-UNREADABLE", "this is no fault space", where=str(path), seen=seen, allowed=allowed, next="mend or remove the file")


def _space(data: Mapping[str, Any]) -> FaultSpace:
    calls = {one["id"]: Call(one["id"], Site(one["caller"], one["callee"], one["method"]), one["occurrence"]) for one in data["calls"]}
    runs = [Run(faults_of(one["faults"]), bool(one["available"]), bool(one.get("degraded")), tuple(one["calls"])) for one in data["runs"]]
    steady = next((run for run in runs if not run.faults), runs[0])
    return FaultSpace(data["application"], calls, steady, tuple(run for run in runs if run.faults))


def space_to_json(space: FaultSpace) -> dict[str, Any]:
    """Return the object that `read_space` reads."""
    return {
        "application": space.application,
        "calls": [
            {
                "id": call.id,
                "caller": call.site.caller,
                "callee": call.site.callee,
                "method": call.site.method,
                "occurrence": call.occurrence,
            }
            for call in space.calls.values()
        ],
        "runs": [
            {
                "faults": [list(fault) for fault in run.faults],
                "available": run.available,
                "degraded": run.degraded,
                "calls": list(run.calls),
            }
            for run in (space.steady, *space.runs)
        ],
    }
