"""Waits for a module to be imported, rather than importing it: a program that is armed before its first line keeps its own order and time.

Modules that training runs name import large libraries. To import them early would take longer than a lease lasts, and would do so in
every process of the program, launchers included.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

_WAITING: dict[str, list[Callable[[], None]]] = {}
_AT_THE_START = False


def at_the_start() -> None:
    """Say that this program has not begun yet, so that what it will import is not imported for it."""
    global _AT_THE_START  # noqa: PLW0603 - a fact about the process
    _AT_THE_START = True


def awaits(module: str) -> bool:
    """Say whether a module is to be waited for: it is there, and has not been imported, in a program that has yet to begin.

    Args:
        module: full name.
    """
    if not _AT_THE_START or module in sys.modules:
        return False
    top = module.partition(".")[0]
    try:
        return find_spec(top) is not None
    except (ImportError, ValueError):
        return False


def when_imported(module: str, then: Callable[[], None]) -> None:
    """Call something once a module has been imported, in the thread that imports it.

    Args:
        module: full name.
        then: must not raise.
    """
    if not _WAITING:
        sys.meta_path.insert(0, _FINDER)
    _WAITING.setdefault(module, []).append(then)


def forget(module: str, then: Callable[[], None]) -> None:
    """Wait no longer; does nothing where nothing waits."""
    waiting = _WAITING.get(module, [])
    if then in waiting:
        waiting.remove(then)
    if not waiting:
        _WAITING.pop(module, None)
    if not _WAITING and _FINDER in sys.meta_path:
        sys.meta_path.remove(_FINDER)


class _Finder(MetaPathFinder):
    """Finds what others find, and has what is waited for told of when it has been executed."""

    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname not in _WAITING:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        found = (spec for finder in others if (spec := finder.find_spec(fullname, path, target)) is not None)
        spec = next(found, None)
        if spec is not None and spec.loader is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _Telling(spec.loader)
        return spec


class _Telling(Loader):
    """Another loader, and then what waited for it."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        for then in list(_WAITING.get(module.__name__, [])):
            forget(module.__name__, then)
            then()

    def __getattr__(self, name: str) -> object:
        return getattr(self._loader, name)


_FINDER = _Finder()
