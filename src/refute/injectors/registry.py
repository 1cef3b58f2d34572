"""Injectors by name, found by entry point `refute.injectors`, and the choice among them."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points

from refute.core.arming import Arming, Injector
from refute.core.errors import refuse


@cache
def injectors() -> dict[str, Injector]:
    """Return all installed injectors by entry-point name, sorted."""
    return {entry.name: entry.load() for entry in sorted(entry_points(group="refute.injectors"), key=lambda entry: entry.name)}


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
        seen="; ".join(f"{name}: {reason}" for name, reason in reasons.items()) or "no injector is installed",
        next="refute doctor",
    )
