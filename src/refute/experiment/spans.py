"""Reads tool calls off the spans that a program writes: OpenTelemetry's conventions for generative AI, and OpenInference's."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from refute.core.context import UnitContext, current_unit, shielded
from refute.core.deviation import Action
from refute.core.errors import EXIT_INCONCLUSIVE, refuse

_NAMES = ("gen_ai.tool.name", "tool.name")
_ARGUMENTS = ("gen_ai.tool.call.arguments", "tool.parameters", "input.value")
_RESULTS = ("gen_ai.tool.call.result", "output.value")


def record_spans() -> None:
    """Note the tool spans of this process in their units from now on.

    Raises:
        RefuteError: the program has set up no tracer provider that can be listened to (`DEVIATION-SPANS`).
    """
    try:
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
    except ImportError as error:
        raise _unheard(str(error)) from None
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        raise _unheard(f"a {type(provider).__name__}")
    provider.add_span_processor(_processor())


def _unheard(seen: str) -> Exception:
    return refuse(
        "DEVIATION-SPANS", "no spans of the agent can be read", exit_code=EXIT_INCONCLUSIVE, seen=seen,
        allowed="a TracerProvider of opentelemetry-sdk, set up by the workload's `setup`", next="or read its calls: actions: calls",
    )  # fmt: skip


def _processor() -> Any:
    from opentelemetry.sdk.trace import SpanProcessor

    class ToolSpans(SpanProcessor):
        """Notes tool spans in the unit in whose context they began."""

        def __init__(self) -> None:
            self._lock = threading.Lock()
            self._open: dict[int, tuple[UnitContext, float]] = {}

        def on_start(self, span: Any, parent_context: Any = None) -> None:  # noqa: ARG002 - the base class's signature
            unit = current_unit.get()
            if unit is not None and unit.actions is not None and not shielded.get():
                with self._lock:
                    self._open[span.context.span_id] = unit, time.perf_counter()

        def on_end(self, span: Any) -> None:
            with self._lock:
                found = self._open.pop(span.context.span_id, None)
            if found is None:
                return
            unit, start_s = found
            action = action_of(span.attributes or {}, start_s, time.perf_counter())
            if action is not None and unit.actions is not None:
                unit.actions.append(action)

    return ToolSpans()


def action_of(attributes: Mapping[str, Any], start_s: float, end_s: float) -> Action | None:
    """Return the tool call that a span tells of; None where it tells of something else.

    Args:
        attributes: of the span.
        start_s: when it began.
        end_s: when it ended.
    """
    if attributes.get("gen_ai.operation.name") != "execute_tool" and attributes.get("openinference.span.kind") != "TOOL":
        return None
    arguments = _read(attributes, _ARGUMENTS)
    known = arguments if isinstance(arguments, dict) else {} if arguments is None else {"0": arguments}
    error = str(attributes.get("error.type", ""))
    return Action(str(_first(attributes, _NAMES) or ""), known, _read(attributes, _RESULTS), error, start_s, end_s)


def _first(attributes: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((attributes[name] for name in names if name in attributes), None)


def _read(attributes: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """Return a value, out of its JSON where it is some."""
    value = _first(attributes, names)
    if isinstance(value, str):
        with suppress(ValueError):
            return json.loads(value)
    return value
