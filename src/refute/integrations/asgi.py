"""Middleware for ASGI services.

Under an `http` workload, each request is made in the unit that sent it:

    app.add_middleware(CohortMiddleware)      # Starlette, FastAPI
    app = CohortMiddleware(app)               # any other

Everywhere but in a process that a run has started, or that has joined one under `refute exec`, it only takes away what outsiders sent
under the names that carry a unit.

Under live traffic, each request is a unit while a run observes the service, and nothing otherwise:

    app = ObserveMiddleware(app, service="shop", fields={"user": "x-user"}, journeys={"POST /checkout": "check-out"})
"""

from __future__ import annotations

from refute.core.cohort import carries_unit
from refute.core.context import current_unit
from refute.injectors.ingress import current
from refute.integrations._asgi_observe import App, ObserveMiddleware, Receive, Scope, Send, baggage, carrying

__all__ = ["CohortMiddleware", "ObserveMiddleware"]


class CohortMiddleware:
    """Sets the unit that the code under it works for, from the request's signed baggage.

    Forged or stale members are removed before the service sees them, true ones are left for its own tracing to pass on. Websockets
    and lifespan events pass untouched.

    Args:
        app: the service.
    """

    def __init__(self, app: App) -> None:
        """Keep the service."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        carried, entry = baggage(scope["headers"]), current()
        unit = current_unit.get() if entry is None else entry.unit(carried)
        if unit is None and carries_unit(carried):
            scope = {**scope, "headers": carrying(scope["headers"], "")}
        before = current_unit.set(unit)
        try:
            await self._app(scope, receive, send)
        finally:
            current_unit.reset(before)
