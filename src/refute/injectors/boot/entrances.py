"""Where requests enter a program that knows nothing of Refute: in the servers that are hooked while a run has joined it.

Each request is handled in the unit that its signed baggage names. Other servers need the middleware of `refute.integrations`.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType
from typing import Any

from refute.core.cohort import HEADER
from refute.core.context import UnitContext, current_unit
from refute.injectors.ingress import current
from refute.injectors.transports.hooks import Hooks, Site

_NAME = HEADER.encode()


def _unit(baggage: str) -> UnitContext | None:
    entry = current()
    return None if entry is None else entry.unit(baggage)


def _of_asgi(headers: Iterable[tuple[bytes, bytes]]) -> UnitContext | None:
    return _unit(",".join(value.decode("latin-1") for name, value in headers if name == _NAME))


def _cycle(_module: ModuleType, original: Any) -> Any:
    """uvicorn: one request of any ASGI application."""

    async def run_asgi(cycle: Any, app: Any) -> Any:
        token = current_unit.set(_of_asgi(cycle.scope["headers"]))
        try:
            return await original(cycle, app)
        finally:
            current_unit.reset(token)

    return run_asgi


def _asgi(_module: ModuleType, original: Any) -> Any:
    """Starlette and FastAPI, under any server."""

    async def __call__(app: Any, scope: Any, receive: Any, send: Any) -> Any:  # noqa: N807 - what it stands in for
        if scope["type"] != "http":
            return await original(app, scope, receive, send)
        token = current_unit.set(_of_asgi(scope["headers"]))
        try:
            return await original(app, scope, receive, send)
        finally:
            current_unit.reset(token)

    return __call__


def _web(_module: ModuleType, original: Any) -> Any:
    """The server of aiohttp."""

    async def _handle_request(handler: Any, request: Any, *more: Any, **options: Any) -> Any:
        token = current_unit.set(_unit(",".join(request.headers.getall(HEADER, ()))))
        try:
            return await original(handler, request, *more, **options)
        finally:
            current_unit.reset(token)

    return _handle_request


def _parse(_module: ModuleType, original: Any) -> Any:
    """http.server, and what stands on it: wsgiref, werkzeug, Django's own server."""

    def parse_request(handler: Any) -> Any:
        parsed = original(handler)
        current_unit.set(_unit(",".join(handler.headers.get_all(HEADER, ()))) if parsed else None)
        return parsed

    return parse_request


def _handle(_module: ModuleType, original: Any) -> Any:
    """http.server: what the thread does between two requests is nobody's."""

    def handle_one_request(handler: Any) -> Any:
        try:
            return original(handler)
        finally:
            current_unit.set(None)

    return handle_one_request


ENTRANCES = Hooks(
    [
        Site("uvicorn.protocols.http.h11_impl", "RequestResponseCycle", "run_asgi", _cycle),
        Site("uvicorn.protocols.http.httptools_impl", "RequestResponseCycle", "run_asgi", _cycle),
        Site("starlette.applications", "Starlette", "__call__", _asgi),
        Site("aiohttp.web_protocol", "RequestHandler", "_handle_request", _web),
        Site("http.server", "BaseHTTPRequestHandler", "parse_request", _parse),
        Site("http.server", "BaseHTTPRequestHandler", "handle_one_request", _handle),
    ]
)
"""The hooks of this process."""
