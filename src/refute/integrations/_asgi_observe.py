"""The ASGI middleware for live traffic; found as `refute.integrations.asgi.ObserveMiddleware`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import partial
from typing import Any

from refute.core.cohort import HEADER, without_unit
from refute.core.context import UnitContext, current_unit
from refute.integrations._exchange import Exchange, Journeys, entrance
from refute.integrations._observer import Joined, observer_of
from refute.integrations._units import LiveUnit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
NAME = HEADER.encode()


class ObserveMiddleware:
    """Lets runs observe this service's live traffic: each request is a unit, for as long as a run has joined this process.

    Put it outermost. Without a run it only passes requests on. Each worker process of a service stands for itself.

    Args:
        app: the service.
        service: its name, which intent files use: `workload: {observe: NAME}`.
        fields: headers that say something of the user, by a name of their own: `{"customer": "x-customer"}`. Intent files may draw cohorts
            by that name (`cohort_by`), and keep users in or out by it (`only`, `except`). What they say stays in the service.
        journeys: user journey by `[METHOD ]/path`, where `*` stands for anything, or a function of method and path. Requests that belong to
            none are no units. Where not given, all requests are units of no named journey.
        entry: whether units begin here, and not only in services that call this one.
    """

    def __init__(
        self, app: App, *, service: str, fields: Mapping[str, str] | None = None, journeys: Journeys = None, entry: bool = True
    ) -> None:
        """Do nothing yet: the process can be asked to join from its first request or its start-up on."""
        self._app = app
        self._observer = observer_of(service)
        self._entrance = entrance(fields, journeys, entry=entry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        joined = self._observer.joined
        if joined is not None and scope["type"] == "http":
            await self._observed(joined, scope, receive, send)
            return
        if not self._observer.present:
            self._observer.appear()
        await self._app(scope, receive, send)

    async def _observed(self, joined: Joined, scope: Scope, receive: Receive, send: Send) -> None:
        before = baggage(scope["headers"])
        unit: UnitContext | None = joined.travelling(before)
        exchange: Exchange | None = None
        if unit is None:
            signed = ""
            case = self._entrance.case(scope["method"], scope["path"], partial(_header, scope["headers"]))
            live = None if case is None else joined.begin(case)
            if live is not None and case is not None:
                unit, signed = live, live.baggage
                exchange = Exchange(live, case)
                receive, send = _heard(exchange, live, receive, send)
            if before or signed:
                scope = {**scope, "headers": carrying(scope["headers"], signed)}
        await self._within(unit, exchange, scope, receive, send)

    async def _within(self, unit: UnitContext | None, exchange: Exchange | None, scope: Scope, receive: Receive, send: Send) -> None:
        token = current_unit.set(unit)
        error = ""
        try:
            await self._app(scope, receive, send)
        except BaseException as raised:
            error = type(raised).__name__
            raise
        finally:
            current_unit.reset(token)
            if exchange is not None:
                exchange.over(error or "Unfinished")


def _header(headers: Headers, wanted: str) -> str:
    sought = wanted.encode("latin-1")
    return next((value.decode("latin-1") for name, value in headers if name == sought), "")


def _heard(exchange: Exchange, unit: LiveUnit, receive: Receive, send: Send) -> tuple[Receive, Send]:
    """Return what stands in for a request's channels: it listens, and changes nothing."""
    reads = unit.reads_bodies

    async def receiving() -> Any:
        message = await receive()
        if message["type"] == "http.request":
            exchange.asked(message.get("body", b""))
        return message

    async def sending(message: Any) -> None:
        await send(message)
        if message["type"] == "http.response.start":
            exchange.began(message["status"])
        elif message["type"] == "http.response.body":
            if reads:
                exchange.said(message.get("body", b""))
            if not message.get("more_body", False):
                exchange.over()

    return (receiving if reads else receive), sending


def baggage(headers: Headers) -> str:
    """Return a request's baggage, "" where it has none."""
    return ",".join(value.decode("latin-1") for name, value in headers if name == NAME)


def carrying(headers: Headers, signed: str) -> Headers:
    """Return headers that carry a unit and none but it.

    Args:
        headers: of the request.
        signed: members that carry the unit, "" for none.
    """
    kept = ",".join(filter(None, [without_unit(baggage(headers)), signed])).encode("latin-1")
    others = [header for header in headers if header[0] != NAME]
    return [*others, (NAME, kept)] if kept else others
