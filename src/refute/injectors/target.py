"""Which HTTP requests reach a component: by its endpoint, or, for a model without one, by the protocol spoken."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from refute.core.system import Component
from refute.wire.codec import PLAIN, recognise_head

DEFAULT_PORTS = {"http": 80, "https": 443}
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_OPERATIONS: dict[str, frozenset[str]] = {
    "llm": frozenset({"chat", "responses", "completions"}),
    "guardrail_model": frozenset({"chat", "responses", "completions"}),
    "embedder": frozenset({"embeddings"}),
}
"""What counts as a call of the component. Asking for the list of models, say, does not."""


class Target:
    """The requests that reach one component.

    Args:
        component: the component. `localhost`, `127.0.0.1` and `::1` in its endpoint are one.
    """

    __slots__ = ("_host", "_loopback", "_operations", "_path", "_port", "_scheme")

    def __init__(self, component: Component) -> None:
        """Take the endpoint apart once."""
        parts = urlsplit(component.endpoint)
        self._scheme = parts.scheme
        self._host = parts.hostname or ""
        self._loopback = self._host in _LOOPBACK
        self._port = None if parts.port == DEFAULT_PORTS.get(parts.scheme) else parts.port
        self._path = parts.path.rstrip("/")
        self._operations = _OPERATIONS.get(component.kind)

    def at(self, scheme: str, host: str, port: int | None, path: str) -> bool:
        """Say whether a URL lies at the endpoint; always, where there is none.

        Args:
            scheme: lower case.
            host: lower case, without brackets.
            port: None for the scheme's own.
            path: with its leading slash.
        """
        if not self._host:
            return True
        if host != self._host and not (self._loopback and host in _LOOPBACK):
            return False
        return port == self._port and scheme == self._scheme and (path + "/").startswith(self._path + "/")

    def speaks(self, method: str, path: str, header: Callable[[str], str]) -> bool:
        """Say whether a request at the endpoint is a call of the component.

        Args:
            method: upper case.
            path: the URL's path.
            header: value by lower-case name, "" where there is none.
        """
        if self._operations is None:
            return bool(self._host)
        codec, operation = recognise_head(method, path, header)
        if codec is PLAIN:
            return bool(self._host) and method == "POST"
        return operation in self._operations
