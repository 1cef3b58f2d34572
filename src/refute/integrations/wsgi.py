"""Middleware for WSGI services.

Under an `http` workload, each request is made in the unit that sent it:

    app.wsgi_app = CohortMiddleware(app.wsgi_app)      # Flask
    application = CohortMiddleware(application)        # any other

Everywhere but in a process that a run has started, or that has joined one under `refute exec`, it only takes away what outsiders sent
under the names that carry a unit.

Under live traffic, each request is a unit while a run observes the service, and nothing otherwise:

    application = ObserveMiddleware(application, service="shop", fields={"user": "x-user"}, journeys={"POST /checkout": "check-out"})
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import copy_context
from typing import Any

from refute.core.cohort import carries_unit
from refute.core.context import current_unit
from refute.injectors.ingress import current
from refute.integrations._wsgi_observe import BAGGAGE, App, Body, Environ, ObserveMiddleware, carrying

__all__ = ["CohortMiddleware", "ObserveMiddleware"]


class CohortMiddleware:
    """Sets the unit that the code under it works for, from the request's signed baggage; while a body is streamed, too.

    Forged or stale members are removed before the service sees them, true ones are left for its own tracing to pass on.

    Args:
        app: the service.
    """

    def __init__(self, app: App) -> None:
        """Keep the service."""
        self._app = app

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Pass a request on."""
        baggage, entry = environ.get(BAGGAGE, ""), current()
        unit = current_unit.get() if entry is None else entry.unit(baggage)
        if unit is None:
            return self._app(carrying(environ, "") if carries_unit(baggage) else environ, start_response)
        context = copy_context()
        context.run(current_unit.set, unit)
        return Body(context.run(self._app, environ, start_response), context)
