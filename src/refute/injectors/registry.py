"""Injectors by name: the built-in ones, and what other packages add by entry point `refute.injectors`; the choice among them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from refute.core.arming import Arming, Injector
from refute.core.errors import refuse
from refute.faults.catalogue import catalogue
from refute.faults.spec import Seam, seams

_IN_PROCESS = {"callables": "callables", "http": "http", "proxy": "proxy", "training": "training.hand"}
_ON_THE_HOST = {
    "signals": "host.signals",
    "prlimit": "host.prlimit",
    "cgroup": "host.cgroup",
    "iptables": "host.iptables",
    "netem": "host.netem",
    "nfqueue": "host.nfqueue",
    "ballast": "host.ballast",
    "faketime": "host.faketime",
    "lookups": "host.lookups",
    "certificate": "host.certificate",
}
"""Names, and the modules that hold them."""

_SEAMS: dict[str, frozenset[Seam]] = {
    "callables": frozenset(["python"]), "http": frozenset(["exchange"]), "proxy": frozenset(["exchange", "connection"]),
    "training": frozenset(["training"]),
}  # fmt: skip
NOT_MINE = "not a fault for "
"""How the reason of an injector begins that has nothing to do with a fault at all."""


@cache
def injectors() -> dict[str, Injector]:
    """Return all injectors by name, the built-in ones first."""
    return _loaded(_IN_PROCESS | _ON_THE_HOST)


@cache
def in_process() -> dict[str, Injector]:
    """Return the injectors whose faults live in the process that applies them, and end with it: all that a joined program may use.

    The built-in ones need no package metadata, so that they work in a program whose own environment has Refute only on its path.
    """
    return {name: injector for name, injector in _loaded(_IN_PROCESS).items() if injector.rollback_kind == "expiring"}


def on_the_host() -> dict[str, Any]:
    """Return the built-in injectors for whole components, which can tell what the host permits (`HostInjector`)."""
    return {name: injector for name, injector in injectors().items() if name in _ON_THE_HOST}


def _loaded(built_in: Mapping[str, str]) -> dict[str, Injector]:
    found: dict[str, Injector] = {name: import_module(f"refute.injectors.{module}").INJECTOR for name, module in built_in.items()}
    for entry in sorted(entry_points(group="refute.injectors"), key=lambda entry: entry.name):
        found.setdefault(entry.name, entry.load())
    return found


def struck_elsewhere(arming: Arming) -> bool:
    """Say whether the guardian of another host must do it: a fault of a component as a whole, where that is not on this host."""
    fault = catalogue().get(arming.fault)
    return bool(arming.component.place.host) and fault is not None and bool(fault.acts_on)


def choose(arming: Arming) -> Injector:
    """Return the first injector that can do it; for a component that is reached `via` one, that one or Python's own calls.

    A component that is reached `via` a program under `refute exec` is broken by the hands that work within a process.

    Args:
        arming: what is to be done.

    Raises:
        RefuteError: none can (`INJECTOR-NONE`), with each one's reason.
    """
    reasons, via = {}, "http" if arming.component.program else arming.component.via
    for name, injector in injectors().items():
        if via and name not in {via, "callables"}:
            continue
        if not (reason := injector.refuses(arming)):
            return injector
        reasons[name] = reason
    fault = catalogue().get(arming.fault)
    strange = {name for name, own in _SEAMS.items() if fault is not None and not own & seams(fault)}
    concerned = {name: reason for name, reason in reasons.items() if name not in strange and not reason.startswith(NOT_MINE)}
    raise refuse(
        "INJECTOR-NONE",
        f"nothing installed can inject {arming.fault} into {arming.component.name}",
        seen="; ".join(f"{name}: {reason}" for name, reason in (concerned or reasons).items()),
        next=_mending(arming) if concerned.keys() & _ON_THE_HOST.keys() else "refute doctor",
    )


def _mending(arming: Arming) -> str:
    """Return the command by which this host gets what it lacks for a fault of a whole component; where it lacks nothing, what to edit."""
    from refute.injectors.host.abilities import lack_of

    if not sys.platform.startswith("linux"):
        return "have it done on a Linux host: refute guardian"
    lack = lack_of(arming.fault)
    if lack.what:
        return lack.next
    return f"mend what is said of the component {arming.component.name} in the intent file, then: refute check"
