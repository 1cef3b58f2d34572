"""Middleware for WSGI services under an `http` workload: each request is made in the unit that sent it.

    app.wsgi_app = CohortMiddleware(app.wsgi_app)      # Flask
    application = CohortMiddleware(application)        # any other

It does nothing but in a process that a run has started, or that has joined one under `refute exec`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextvars import Context, copy_context
from typing import Any

from refute.core.cohort import without_unit
from refute.core.context import current_unit
from refute.injectors.ingress import current

__all__ = ["CohortMiddleware"]

_Environ = dict[str, Any]
_App = Callable[[_Environ, Callable[..., Any]], Iterable[bytes]]
_BAGGAGE = "HTTP_BAGGAGE"


class CohortMiddleware:
    """Sets the unit that the code under it works for, from the request's signed baggage; while a body is streamed, too.

    Forged or stale members are removed before the service sees them, true ones are left for its own tracing to pass on.

    Args:
        app: the service.
    """

    def __init__(self, app: _App) -> None:
        """Keep the service."""
        self._app = app

    def __call__(self, environ: _Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Pass a request on."""
        baggage, entry = environ.get(_BAGGAGE, ""), current()
        if entry is None or not baggage:
            return self._app(environ, start_response)
        unit = entry.unit(baggage)
        if unit is None:
            return self._app(_stripped(environ), start_response)
        context = copy_context()
        context.run(current_unit.set, unit)
        return _Body(context.run(self._app, environ, start_response), context)


class _Body:
    """A response body that is made within its unit's context."""

    def __init__(self, body: Iterable[bytes], context: Context) -> None:
        self._body = body
        self._context = context
        self._pieces: Iterator[bytes] = context.run(iter, body)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return self._context.run(next, self._pieces)

    def close(self) -> None:
        """Close the service's own body."""
        close = getattr(self._body, "close", None)
        if close is not None:
            self._context.run(close)


def _stripped(environ: _Environ) -> _Environ:
    kept = without_unit(environ[_BAGGAGE])
    others = {name: value for name, value in environ.items() if name != _BAGGAGE}
    return others | {_BAGGAGE: kept} if kept else others
