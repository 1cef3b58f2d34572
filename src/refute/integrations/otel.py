"""A span processor for services that have OpenTelemetry and neither ASGI nor WSGI: message consumers, gRPC servers. Extra `otel`.

provider.add_span_processor(UnitSpanProcessor(service="mailer", fields={"user": "enduser.id"}, journeys={"send *": "mail"}))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import quote

from opentelemetry import baggage
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import SpanKind, StatusCode

from refute.core.context import UnitContext, current_unit
from refute.integrations._observer import Joined, observer_of
from refute.integrations._units import LiveUnit

__all__ = ["UnitSpanProcessor"]

_ENTERING = frozenset({SpanKind.SERVER, SpanKind.CONSUMER})
_STATUS = ("http.response.status_code", "http.status_code")
_FAILED = 500


class UnitSpanProcessor(SpanProcessor):
    """Lets runs observe a service by its spans: each server or consumer span that begins here is a unit, while a run has joined.

    The unit is set in the context in which the span is started, where the work for it goes on, as with `start_as_current_span`. Its
    outcome is read from the span: an error status or a server error has failed, and its end is the unit's. A span within another unit's
    context, or one whose OpenTelemetry baggage carries a unit from another service, belongs to that unit.

    Args:
        service: its name, which intent files use: `workload: {observe: NAME}`.
        fields: span attributes, set at its start, that say something of the user, by a name of their own: see `ObserveMiddleware`.
        journeys: user journey by span name, where `*` stands for anything, or a function of the name; spans of none are no units.
        entry: whether units begin here, and not only in services that call this one.
    """

    def __init__(
        self,
        *,
        service: str,
        fields: Mapping[str, str] | None = None,
        journeys: Mapping[str, str] | Callable[[str], str] | None = None,
        entry: bool = True,
    ) -> None:
        """Do nothing yet: the process can be asked to join from its first span on."""
        self._observer = observer_of(service)
        self._fields, self._journeys, self._entry = dict(fields or {}), journeys, entry
        self._open: dict[int, tuple[UnitContext, str]] = {}

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Begin a unit, where the span is one."""
        joined = self._observer.joined
        if joined is None:
            if not self._observer.present:
                self._observer.appear()
            return
        remote = span.parent is None or span.parent.is_remote
        if span.kind not in _ENTERING or not remote or current_unit.get() in self._under_way():
            return
        journey = self._journey(span.name)
        unit = joined.travelling(_carried(parent_context)) or self._begun(joined, span, journey)
        if unit is not None and span.context is not None:
            self._open[span.context.span_id] = unit, journey or ""
            current_unit.set(unit)

    def on_end(self, span: ReadableSpan) -> None:
        """End the unit that began with a span."""
        found = self._open.pop(span.context.span_id, None) if self._open and span.context is not None else None
        if found is None:
            return
        unit, journey = found
        if current_unit.get() is unit:
            current_unit.set(None)
        if isinstance(unit, LiveUnit):
            attributes = dict(span.attributes or {})
            status = next((attributes[name] for name in _STATUS if name in attributes), 0)
            unit.end(_error(span, attributes, status), *_read(span.name, journey, attributes, status))

    def shutdown(self) -> None:
        """Do nothing: the door goes with the process."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - the base class's signature
        """Do nothing."""
        return True

    def _under_way(self) -> list[UnitContext]:
        return [unit for unit, _ in list(self._open.values())]

    def _begun(self, joined: Joined, span: Span, journey: str | None) -> LiveUnit | None:
        if journey is None:
            return None
        said = span.attributes or {}
        return joined.begin({"name": span.name, "journey": journey} | {name: str(said.get(key, "")) for name, key in self._fields.items()})

    def _journey(self, name: str) -> str | None:
        """Return the journey of a span, "" for one without a name; None where it is no unit."""
        if not self._entry:
            return None
        if self._journeys is None:
            return ""
        if callable(self._journeys):
            return self._journeys(name) or None
        return next((journey for pattern, journey in self._journeys.items() if fnmatchcase(name, pattern)), None)


def _carried(context: Context | None) -> str:
    """Return the members of OpenTelemetry's baggage that carry a unit, as they travel."""
    members = baggage.get_all(context).items()
    return ",".join(f"{name}={quote(str(value), safe='')}" for name, value in members if name.startswith("refute-"))


def _error(span: ReadableSpan, attributes: Mapping[str, Any], status: Any) -> str:
    if span.status.status_code is StatusCode.ERROR:
        return str(attributes.get("error.type", "SpanError"))
    return "ServiceError" if isinstance(status, int) and status >= _FAILED else ""


def _read(name: str, journey: str, attributes: Mapping[str, Any], status: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    case = {"name": name, "journey": journey, "attributes": attributes}
    return case, {"status": status, "attributes": attributes}
