"""Middleware for ASGI services under an `http` workload: each request is made in the unit that sent it.

    app.add_middleware(CohortMiddleware)      # Starlette, FastAPI
    app = CohortMiddleware(app)               # any other

It does nothing but in a process that a run has started, or that has joined one under `refute exec`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from refute.core.cohort import HEADER, without_unit
from refute.core.context import current_unit
from refute.injectors.ingress import current

__all__ = ["CohortMiddleware"]

_Scope = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[Any]]
_Send = Callable[[Any], Awaitable[None]]
_App = Callable[[_Scope, _Receive, _Send], Awaitable[None]]
_Headers = list[tuple[bytes, bytes]]
_NAME = HEADER.encode()


class CohortMiddleware:
    """Sets the unit that the code under it works for, from the request's signed baggage.

    Forged or stale members are removed before the service sees them, true ones are left for its own tracing to pass on. Websockets
    and lifespan events pass untouched.

    Args:
        app: the service.
    """

    def __init__(self, app: _App) -> None:
        """Keep the service."""
        self._app = app

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Pass a request on."""
        entry = current()
        if entry is None or scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        baggage = _baggage(scope["headers"])
        unit = entry.unit(baggage)
        if unit is None and baggage:
            scope = {**scope, "headers": _stripped(scope["headers"])}
        before = current_unit.set(unit)
        try:
            await self._app(scope, receive, send)
        finally:
            current_unit.reset(before)


def _baggage(headers: _Headers) -> str:
    return ",".join(value.decode("latin-1") for name, value in headers if name == _NAME)


def _stripped(headers: _Headers) -> _Headers:
    kept = without_unit(_baggage(headers)).encode("latin-1")
    others = [header for header in headers if header[0] != _NAME]
    return [*others, (_NAME, kept)] if kept else others
