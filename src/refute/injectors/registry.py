"""Injectors by name: the built-in ones, and what other packages add by entry point `refute.injectors`; the choice among them."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

from refute.core.arming import Arming, Injector
from refute.core.errors import refuse

_BUILT_IN = ("callables", "http")


@cache
def injectors() -> dict[str, Injector]:
    """Return all injectors by name, the built-in ones first.

    The built-in ones need no package metadata, so that they work in a program whose own environment has Refute only on its path.
    """
    found: dict[str, Injector] = {name: import_module(f"refute.injectors.{name}").INJECTOR for name in _BUILT_IN}
    for entry in sorted(entry_points(group="refute.injectors"), key=lambda entry: entry.name):
        found.setdefault(entry.name, entry.load())
    return found


def choose(arming: Arming) -> Injector:
    """Return the first injector that can do it.

    Args:
        arming: what is to be done.

    Raises:
        RefuteError: none can (`INJECTOR-NONE`), with each one's reason.
    """
    reasons = {}
    for name, injector in injectors().items():
        reasons[name] = injector.refuses(arming)
        if not reasons[name]:
            return injector
    raise refuse(
        "INJECTOR-NONE",
        f"nothing installed can inject {arming.fault} into {arming.component.name}",
        seen="; ".join(f"{name}: {reason}" for name, reason in reasons.items()),
        next="refute doctor",
    )
