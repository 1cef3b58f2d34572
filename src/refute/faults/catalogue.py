"""Every fault by name: the built-in families, and what other packages add by entry point `refute.faults`."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

from refute.core.errors import refuse
from refute.faults.spec import Fault

_FAMILIES: tuple[str, ...] = (
    "llm", "stream", "content", "toolcall", "tool", "mcp", "retriever", "embedder", "store", "agent", "guardrail", "serving",
    "process", "network", "dns", "tls", "disk", "service", "datastore", "queue", "data",
    "numerics", "schedule", "rank", "comms", "checkpoint", "config", "loader",
)  # fmt: skip


@cache
def catalogue() -> dict[str, Fault]:
    """Return all faults by name, sorted.

    Raises:
        RefuteError: two faults share a name (`FAULT-TWICE`).
    """
    found: dict[str, Fault] = {}
    builtin = [fault for family in _FAMILIES for fault in import_module(f"refute.faults.{family}").FAULTS]
    added = [fault for entry in entry_points(group="refute.faults") for fault in entry.load()]
    for fault in (*builtin, *added):
        if fault.name in found:
            raise refuse("FAULT-TWICE", "two faults have the same name", seen=fault.name)
        found[fault.name] = fault
    return dict(sorted(found.items()))


def find(name: str) -> Fault:
    """Return a fault by name.

    Raises:
        RefuteError: there is none of that name (`FAULT-UNKNOWN`).
    """
    faults = catalogue()
    if name not in faults:
        close = get_close_matches(name, faults, n=3)
        raise refuse("FAULT-UNKNOWN", "no such fault is known", seen=name, suggestion=", ".join(close), next="refute faults")
    return faults[name]
