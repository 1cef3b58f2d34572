"""Hooks into client libraries: there only while something is armed, gone without a trace after it.

Classes are hooked, so that it does not matter when a client was made. A library that is not loaded yet is not loaded for our sake (a
program that never uses it should not pay for it): a finder at the head of `sys.meta_path` hooks it in the moment that the program
imports it. Transports of a client's own (ASGI, mock) are not hooked.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


@dataclass(frozen=True, slots=True)
class Site:
    """One method that is hooked.

    Attributes:
        module: name of the module that holds its class.
        owner: name of the class.
        method: its name.
        wrap: makes the function that stands in: (module, original); None where this version of the library cannot be hooked.
    """

    module: str
    owner: str
    method: str
    wrap: Callable[[ModuleType, Any], Any | None]


class Hooks:
    """Puts wrappers around methods and takes them off again.

    Args:
        sites: what is hooked.
    """

    def __init__(self, sites: Sequence[Site]) -> None:
        """Start with nothing hooked."""
        self._sites = sites
        self._lock = threading.RLock()
        self._placed: list[tuple[type, str, Any, Any]] = []
        self._finder: _Finder | None = None

    def install(self) -> None:
        """Hook what is loaded, and wait for what is not; again changes nothing."""
        with self._lock:
            if self._finder is not None:
                return
            self._finder = _Finder(frozenset(site.module for site in self._sites), self._hook)
            sys.meta_path.insert(0, self._finder)
            loaded = [
                module for name in dict.fromkeys(site.module for site in self._sites) if (module := sys.modules.get(name)) is not None
            ]
            for module in loaded:
                self._hook(module)
        if half := [module.__name__ for module in loaded if getattr(module.__spec__, "_initializing", False)]:
            threading.Thread(target=self._hook_once_loaded, args=(half,), name="refute-hooks", daemon=True).start()

    def remove(self) -> None:
        """Put the original functions back; again changes nothing."""
        with self._lock:
            if self._finder is not None:
                sys.meta_path.remove(self._finder)
                self._finder = None
            while self._placed:
                owner, name, original, wrapper = self._placed.pop()
                if owner.__dict__.get(name) is wrapper:
                    setattr(owner, name, original)

    def installed(self) -> int:
        """Return how many methods are hooked now."""
        return sum(owner.__dict__.get(name) is wrapper for owner, name, _, wrapper in self._placed)

    def waiting(self) -> bool:
        """Say whether a library that is imported now would be hooked."""
        return self._finder is not None

    def _hook_once_loaded(self, names: Sequence[str]) -> None:
        """Wait for another thread that is just importing these modules: it has passed the finder already."""
        for name in names:
            with suppress(Exception):  # its import failed
                self._hook(import_module(name))

    def _hook(self, module: ModuleType) -> None:
        with self._lock:
            for site in self._sites:
                owner = getattr(module, site.owner, None)  # absent where another thread is just importing it
                if self._finder is None or site.module != module.__name__ or owner is None:
                    continue
                original = owner.__dict__.get(site.method)
                if original is None or any(placed[:2] == (owner, site.method) for placed in self._placed):
                    continue
                if (wrapper := site.wrap(module, original)) is not None:
                    setattr(owner, site.method, wrapper)
                    self._placed.append((owner, site.method, original, wrapper))


class _Finder(MetaPathFinder):
    """Lets the other finders find a module, and hooks it once it has been executed."""

    def __init__(self, modules: Collection[str], hook: Callable[[ModuleType], None]) -> None:
        self._modules = modules
        self._hook = hook

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname not in self._modules:
            return None
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:  # among them those of other hooks
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _HookingLoader(spec.loader, self._hook)
                return spec
        return None


class _HookingLoader(Loader):
    """Loads as the real loader does, then hooks; leaves the real loader in the module."""

    def __init__(self, real: Loader, hook: Callable[[ModuleType], None]) -> None:
        self._real = real
        self._hook = hook

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._real.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = module.__loader__ = self._real
        self._real.exec_module(module)
        self._hook(module)
