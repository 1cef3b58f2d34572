"""Hooks into httpx and httpx2, sync and async: there only while something is armed, gone without a trace after it.

The transports' classes are hooked, so that it does not matter when a client was made. A library that is not loaded yet
is not loaded for our sake (a program that never uses it should not pay for it): a finder at the head of `sys.meta_path`
hooks it in the moment that the program imports it. Other transports (ASGI, mock, aiohttp's) are not hooked.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

LIBRARIES = ("httpx", "httpx2")

_METHODS = (("HTTPTransport", "handle_request"), ("AsyncHTTPTransport", "handle_async_request"))

Wrap = Callable[[ModuleType, str, Any], Any]
"""Makes the function that stands in: (library, name of the method, original)."""


class Hooks:
    """Puts a wrapper around the transports' methods and takes it off again.

    Args:
        wrap: makes the wrapper.
    """

    def __init__(self, wrap: Wrap) -> None:
        """Start with nothing hooked."""
        self._wrap = wrap
        self._lock = threading.RLock()
        self._placed: list[tuple[type, str, Any, Any]] = []
        self._finder: _Finder | None = None

    def install(self) -> None:
        """Hook what is loaded, and wait for what is not; again changes nothing."""
        with self._lock:
            if self._finder is not None:
                return
            self._finder = _Finder(self._hook)
            sys.meta_path.insert(0, self._finder)
            for name in LIBRARIES:
                if (library := sys.modules.get(name)) is not None and hasattr(library, "HTTPTransport"):
                    self._hook(library)

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

    def _hook(self, library: ModuleType) -> None:
        with self._lock:
            for owner_name, name in _METHODS:
                owner = getattr(library, owner_name)
                original = owner.__dict__[name]
                if self._finder is None or any(placed[0] is owner for placed in self._placed):
                    continue
                wrapper = self._wrap(library, name, original)
                setattr(owner, name, wrapper)
                self._placed.append((owner, name, original, wrapper))


class _Finder(MetaPathFinder):
    """Lets the other finders find a library, and hooks it once it has been executed."""

    def __init__(self, hook: Callable[[ModuleType], None]) -> None:
        self._hook = hook

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname not in LIBRARIES:
            return None
        for finder in sys.meta_path:
            if isinstance(finder, _Finder):
                continue
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
