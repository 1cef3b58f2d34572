"""Takes a unit's cohort out of requests to models of others, while a run is joined: it is nobody's business there.

Tracing passes `baggage` on with every call, so that the next service of one's own knows the unit; a provider would get it, too.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterable, MutableMapping
from functools import wraps
from types import ModuleType
from typing import Any

from refute.core.cohort import HEADER, carries_unit, without_unit
from refute.core.system import Component
from refute.injectors.target import DEFAULT_PORTS, Target
from refute.injectors.transports.hooks import Hooks, Site
from refute.injectors.transports.over_urllib3 import NEEDED, Attempted


class Outbound:
    """What this process keeps from providers; one for the process, as the libraries' classes are."""

    def __init__(self) -> None:
        """Keep nothing from anybody."""
        self._lock = threading.Lock()
        self._providers: tuple[tuple[Target, bool], ...] = ()
        self._hooks = Hooks(
            [
                *(Site(library, "HTTPTransport", "handle_request", self._httpx) for library in ("httpx", "httpx2")),
                *(Site(library, "AsyncHTTPTransport", "handle_async_request", self._httpx) for library in ("httpx", "httpx2")),
                Site("aiohttp.client", "ClientSession", "_request", self._aiohttp),
                Site("urllib3.connectionpool", "HTTPConnectionPool", "_make_request", self._urllib3),
            ]
        )

    def keep_from(self, components: Iterable[dict[str, Any]]) -> None:
        """Begin, before anything is armed.

        Args:
            components: the providers, as JSON; one without an endpoint is known by the protocol that is spoken.
        """
        stated = map(Component.from_json, components)
        with self._lock:
            self._providers = tuple((Target(one), bool(one.endpoint)) for one in stated)
            if self._providers:
                self._hooks.install()

    def end(self) -> None:
        """End it; again changes nothing."""
        with self._lock:
            self._hooks.remove()
            self._providers = ()

    def _httpx(self, _library: ModuleType, original: Any) -> Any:
        """Return what stands in for a transport's method; an awaitable is passed on."""

        @wraps(original, assigned=(), updated=())  # whoever hooks it next asks for its signature
        def handle(transport: Any, request: Any) -> Any:
            self._strip(request, request.headers)
            return original(transport, request)

        return handle

    def _aiohttp(self, _module: ModuleType, original: Any) -> Any:
        if "middlewares" not in inspect.signature(original).parameters:
            return None

        async def inner(request: Any, handler: Any) -> Any:
            self._strip(request, request.headers)
            return await handler(request)

        @wraps(original, assigned=(), updated=())  # whoever hooks it next asks for its signature
        def _request(session: Any, method: str, url: Any, **options: Any) -> Any:
            outer = options.get("middlewares")
            outer = session._middlewares if outer is None else outer  # noqa: SLF001 - as the original does
            return original(session, method, url, **options | {"middlewares": (*outer, inner)})

        return _request

    def _urllib3(self, _module: ModuleType, original: Any) -> Any:
        parameters = inspect.signature(original).parameters
        if not parameters.keys() >= NEEDED:
            return None
        names = tuple(parameters)[4:]

        @wraps(original, assigned=(), updated=())  # whoever hooks it next asks for its signature
        def _make_request(pool: Any, conn: Any, method: str, url: str, *positional: Any, **options: Any) -> Any:
            options.update(zip(names, positional, strict=False))
            sent = options.get("headers") or {}
            name = next((key for key in sent if str(key).lower() == HEADER), None)
            if name is not None:
                options["headers"] = kept = sent.copy()
                self._strip(Attempted(pool, conn, method.upper(), url, options), kept, name)
            return original(pool, conn, method, url, **options)

        return _make_request

    def _strip(self, request: Any, headers: MutableMapping[str, str], name: str = HEADER) -> None:
        value = headers.get(name, "")
        if value and carries_unit(value) and self._reaches_provider(request):
            if kept := without_unit(value):
                headers[name] = kept
            else:
                del headers[name]

    def _reaches_provider(self, request: Any) -> bool:
        url = request.url
        port = None if url.port == DEFAULT_PORTS.get(url.scheme) else url.port
        return any(
            target.at(url.scheme, url.host or "", port, url.path)
            and (stated or target.speaks(request.method, url.path, lambda name: str(request.headers.get(name, ""))))
            for target, stated in self._providers
        )


OUTBOUND = Outbound()
"""The process's own."""
