"""Network namespaces: the host's own, or a named one, found again by what it is rather than by its name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_NAMED = Path("/run/netns")
_OWN = Path("/proc/self/ns/net")


class NoNamespaceError(Exception):
    """There is no such namespace."""


@dataclass(frozen=True, slots=True)
class Namespace:
    """One network namespace of one boot.

    Attributes:
        name: as `ip netns` knows it, "" for the host's own.
        inode: what tells it from all others.
    """

    name: str
    inode: int

    @classmethod
    def named(cls, name: str) -> Namespace:
        """Return the namespace of that name, the host's own for "".

        Raises:
            NoNamespaceError: there is none.
        """
        try:
            return cls(name, (_NAMED / name if name else _OWN).stat().st_ino)
        except OSError:
            raise NoNamespaceError(f"there is no network namespace {name!r}") from None

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Namespace:
        """Return the namespace that `to_json` wrote."""
        return cls(data["name"], data["inode"])

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {"name": self.name, "inode": self.inode}

    def within(self) -> list[str] | None:
        """Return what goes before a command to run it there; None where the namespace is no more."""
        if not self.name and self.inode == _OWN.stat().st_ino:
            return []
        entrance = next(self._entrances(), None)
        return None if entrance is None else ["nsenter", f"--net={entrance}", "--"]

    def _entrances(self) -> Iterator[Path]:
        """Yield paths that lead into it: its name, or any process that lives there."""
        living = (Path(entry.path) / "ns/net" for entry in os.scandir("/proc") if entry.name.isdecimal())
        for path in (_NAMED / self.name, *living):
            try:
                if path.stat().st_ino == self.inode:
                    yield path
            except OSError:
                continue
