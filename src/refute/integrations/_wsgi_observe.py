"""The WSGI middleware for live traffic; found as `refute.integrations.wsgi.ObserveMiddleware`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import Context, copy_context
from typing import Any

from refute.core.cohort import without_unit
from refute.core.context import current_unit
from refute.integrations._exchange import Exchange, Journeys, entrance
from refute.integrations._observer import Joined, observer_of

Environ = dict[str, Any]
App = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]
BAGGAGE = "HTTP_BAGGAGE"


class ObserveMiddleware:
    """Lets runs observe this service's live traffic; see `refute.integrations.asgi.ObserveMiddleware`.

    A request's body is not read, so that indicators find none in their case.

    Args:
        app: the service.
        service: its name, which intent files use.
        fields: headers that say something of the user, by a name of their own.
        journeys: user journey by `[METHOD ]/path`, or a function of method and path.
        entry: whether units begin here.
    """

    def __init__(
        self, app: App, *, service: str, fields: Mapping[str, str] | None = None, journeys: Journeys = None, entry: bool = True
    ) -> None:
        """Do nothing yet: the process can be asked to join from its first request on."""
        self._app = app
        self._observer = observer_of(service)
        self._entrance = entrance(fields, journeys, entry=entry)

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Pass a request on."""
        joined = self._observer.joined
        if joined is not None:
            return self._observed(joined, environ, start_response)
        if not self._observer.present:
            self._observer.appear()
        return self._app(environ, start_response)

    def _observed(self, joined: Joined, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        unit = joined.travelling(environ.get(BAGGAGE, ""))
        if unit is not None:
            context = copy_context()
            context.run(current_unit.set, unit)
            return Body(context.run(self._app, environ, start_response), context)
        method, path = environ["REQUEST_METHOD"], environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        case = self._entrance.case(method, path, lambda name: str(environ.get("HTTP_" + name.upper().replace("-", "_"), "")))
        live = None if case is None else joined.begin(case)
        if live is None or case is None:
            return self._app(carrying(environ, ""), start_response)
        exchange = Exchange(live, case)

        def starting(status: str, headers: Any, *error: Any) -> Any:
            exchange.began(int(status.split(" ", 1)[0]))
            return start_response(status, headers, *error)

        context = copy_context()
        context.run(current_unit.set, live)
        try:
            return ObservedBody(context.run(self._app, carrying(environ, live.baggage), starting), context, exchange)
        except BaseException as raised:
            exchange.over(type(raised).__name__)
            raise


class Body:
    """A response body that is made within its unit's context."""

    def __init__(self, body: Iterable[bytes], context: Context) -> None:
        """Begin the body within the context."""
        self._body = body
        self._context = context
        self._pieces: Iterator[bytes] = context.run(iter, body)

    def __iter__(self) -> Iterator[bytes]:
        """Return itself."""
        return self

    def __next__(self) -> bytes:
        """Return the next piece."""
        return self._context.run(next, self._pieces)

    def close(self) -> None:
        """Close the service's own body."""
        close = getattr(self._body, "close", None)
        if close is not None:
            self._context.run(close)


class ObservedBody(Body):
    """A body that ends its unit with its own end.

    Args:
        body: the service's own.
        context: in which it is made.
        exchange: that it belongs to.
    """

    def __init__(self, body: Iterable[bytes], context: Context, exchange: Exchange) -> None:
        """Begin."""
        super().__init__(body, context)
        self._exchange = exchange

    def __next__(self) -> bytes:
        """Return the next piece."""
        try:
            piece = super().__next__()
        except StopIteration:
            self._exchange.over()
            raise
        except BaseException as raised:
            self._exchange.over(type(raised).__name__)
            raise
        self._exchange.said(piece)
        return piece

    def close(self) -> None:
        """Close the service's own body; one that was not read to its end went to nobody."""
        try:
            super().close()
        finally:
            self._exchange.over("Unfinished")


def carrying(environ: Environ, signed: str) -> Environ:
    """Return an environment that carries a unit and none but it; itself, where it has neither.

    Args:
        environ: of the request.
        signed: members that carry the unit, "" for none.
    """
    before = environ.get(BAGGAGE, "")
    if not before and not signed:
        return environ
    kept = ",".join(filter(None, [without_unit(before), signed]))
    others = {name: value for name, value in environ.items() if name != BAGGAGE}
    return others | {BAGGAGE: kept} if kept else others
