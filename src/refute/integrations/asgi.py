"""Middleware for ASGI services under an `http` workload: each request is made in the unit that sent it.

    app.add_middleware(CohortMiddleware)      # Starlette, FastAPI
    app = CohortMiddleware(app)               # any other

Without a link in the environment, that is everywhere but in a process that a run has started, it only takes away what outsiders sent
under the names that carry a unit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from refute.core.cohort import HEADER, carries_unit, without_unit
from refute.core.context import current_unit
from refute.injectors.ingress import ingress

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
        """Look for the link once."""
        self._app = app
        self._ingress = ingress()

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        baggage = _baggage(scope["headers"])
        unit = self._ingress.unit(baggage) if self._ingress is not None else None
        if unit is None and carries_unit(baggage):
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
