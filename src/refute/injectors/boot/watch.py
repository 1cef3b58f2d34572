"""Counts the client library's own exceptions as they are made, caught or not: what the code under test got to see."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from typing import Any

_BASES = {"openai": "OpenAIError", "anthropic": "AnthropicError", "httpx": "HTTPError", "httpx2": "HTTPError"}


class Exceptions:
    """Wraps the constructors of known base exceptions while it watches."""

    def __init__(self) -> None:
        """Watch nothing yet."""
        self._lock = threading.Lock()
        self._seen: Counter[str] = Counter()
        self._originals: list[tuple[type, Any]] = []
        self._watched: set[str] = set()

    def watch(self) -> None:
        """Watch every known library that is loaded by now; calling it again adds those loaded since."""
        for name, base in _BASES.items():
            module = sys.modules.get(name)
            kind = getattr(module, base, None)
            if name not in self._watched and isinstance(kind, type):
                self._watched.add(name)
                self._wrap(kind)

    def seen(self) -> dict[str, int]:
        """Return how many were made, by qualified name."""
        with self._lock:
            return dict(self._seen)

    def restore(self) -> None:
        """Put the original constructors back."""
        for kind, original in self._originals:
            if original is None:
                del kind.__new__
            else:
                kind.__new__ = original  # type: ignore[method-assign]
        self._originals.clear()
        self._watched.clear()

    def _wrap(self, kind: type) -> None:
        own = kind.__dict__.get("__new__")

        def counted(cls: type, *args: Any, **kwargs: Any) -> Any:
            with self._lock:
                self._seen[f"{cls.__module__.partition('.')[0]}.{cls.__qualname__}"] += 1
            return Exception.__new__(cls, *args, **kwargs)

        self._originals.append((kind, own))
        kind.__new__ = counted  # type: ignore[assignment,method-assign]
