"""What this host permits: by which mechanism each fault of a whole component would be done, or what is missing for it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from refute.injectors.host._whole import HostInjector, Lack
from refute.injectors.registry import on_the_host


@dataclass(frozen=True, slots=True)
class Ability:
    """Some faults, and one mechanism for them.

    Attributes:
        mechanism: name of the injector.
        faults: what it can do alike.
        means: by what, where nothing is lacking.
        lack: what is missing.
    """

    mechanism: str
    faults: tuple[str, ...]
    means: str
    lack: Lack

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Ability:
        """Return the ability that `dataclasses.asdict` wrote."""
        return cls(data["mechanism"], tuple(data["faults"]), data["means"], Lack(**data["lack"]))


def abilities() -> list[Ability]:
    """Return what each mechanism can do here; asking changes nothing."""
    if not sys.platform.startswith("linux"):
        return []
    return [one for injector in on_the_host().values() for one in _of(injector)]


def lack_of(fault: str) -> Lack:
    """Return what this host lacks for a fault: the least of what its mechanisms lack, nothing for faults of another sort.

    Args:
        fault: name in the catalogue.
    """
    lacks = [one.lack for one in abilities() if fault in one.faults]
    return next((lack for lack in lacks if not lack.what), lacks[-1] if lacks else Lack())


def _of(injector: HostInjector) -> Iterator[Ability]:
    """Yield one for all faults that are done alike, or lack the same."""
    told: dict[tuple[str, Lack], list[str]] = {}
    for fault in injector.faults:
        lack = injector.lacks(fault)
        told.setdefault(("" if lack.what else injector.means(fault), lack), []).append(fault)
    for (means, lack), faults in told.items():
        yield Ability(injector.name, tuple(faults), means, lack)
