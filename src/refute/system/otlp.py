"""Reads spans from OTLP files: JSON Lines and single objects as the collector's file exporter writes them, and protobuf.

Files are read as streams, plain or gzipped. A JSON file that is one object is read whole; with JSON Lines and with length-prefixed
protobuf no more than one batch is held. Names are accepted in either JSON spelling (`resourceSpans`, `resource_spans`).
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final, cast

from refute.core.errors import refuse
from refute.system.span import KEPT, Attributes, Span

_KINDS: Final = {"INTERNAL": 1, "SERVER": 2, "CLIENT": 3, "PRODUCER": 4, "CONSUMER": 5}
_VALUES: Final = frozenset(
    {"stringValue", "intValue", "doubleValue", "boolValue", "string_value", "int_value", "double_value", "bool_value"}
)
_GZIP: Final = b"\x1f\x8b"
_BATCH_TAG: Final = 0x0A  # a protobuf message of traces begins with its first field; a length of four bytes never so


def read_spans(path: Path) -> Iterator[Span]:
    """Yield the spans of one file.

    Args:
        path: of OTLP JSON Lines, one OTLP JSON object, or OTLP protobuf; gzipped or not.

    Raises:
        RefuteError: the file cannot be read (`TRACES-UNREADABLE`), or is protobuf and the extra `otlp` is missing (`TRACES-PROTOBUF`).
    """
    try:
        with _opened(path) as file:
            first = file.peek(1)[:1]  # type: ignore[attr-defined]
            if not first:
                return
            if first in b" \t\r{[\xef":  # no line feed: that is how protobuf begins
                yield from _json_spans(file, path)
            else:
                yield from _protobuf_spans(file, path, whole=first[0] == _BATCH_TAG)
    except (OSError, EOFError) as error:
        raise _unreadable(path, str(error)) from None


def _opened(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        compressed = file.read(2) == _GZIP
    return cast("IO[bytes]", gzip.open(path, "rb")) if compressed else path.open("rb")


def _json_spans(file: IO[bytes], path: Path) -> Iterator[Span]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            batch = json.loads(line)
        except ValueError:
            if number > 1:
                raise _unreadable(path, f"line {number} is no JSON") from None
            batch = _whole(line + file.read(), path)
        yield from _spans_of(batch, path, number)


def _whole(content: bytes, path: Path) -> Any:
    """Read a file that is one object over several lines."""
    try:
        return json.loads(content)
    except ValueError as error:
        raise _unreadable(path, f"neither JSON nor JSON Lines: {error}") from None


def _spans_of(batch: Any, path: Path, number: int) -> Iterator[Span]:
    try:
        for one in batch if isinstance(batch, list) else [batch]:
            yield from _batch(one)
    except (AttributeError, TypeError, ValueError, KeyError) as error:
        raise _unreadable(path, f"line {number} is not OTLP: {type(error).__name__}: {error}") from None


def _batch(batch: Mapping[str, Any]) -> Iterator[Span]:
    resources = _get(batch, "resourceSpans", "resource_spans")
    if resources is None and not {"resourceLogs", "resourceMetrics"} & set(batch):
        raise ValueError("it has no resourceSpans")
    for resource in resources or ():
        attributes = (resource.get("resource") or {}).get("attributes") or ()
        service = next((str(_value(one)) for one in attributes if one["key"] == "service.name"), "")
        for scope in _get(resource, "scopeSpans", "scope_spans", "instrumentationLibrarySpans") or ():
            for span in scope.get("spans") or ():
                yield _span(span, service)


def _span(data: Mapping[str, Any], service: str) -> Span:
    if "traceId" not in data:
        data = {_camel(key): value for key, value in data.items()}
    kind = data.get("kind", 0)
    return Span(
        data["traceId"], data["spanId"], data.get("parentSpanId") or "", service, data.get("name", ""),
        kind if isinstance(kind, int) else _KINDS.get(str(kind).rpartition("_")[2], 0),
        int(data.get("startTimeUnixNano") or 0), int(data.get("endTimeUnixNano") or 0),
        (data.get("status") or {}).get("code") in {2, "STATUS_CODE_ERROR"}, bool(data.get("links")),
        _attributes(data.get("attributes") or (), data.get("events") or ()),
    )  # fmt: skip


def _camel(key: str) -> str:
    first, *others = key.split("_")
    return first + "".join(other.capitalize() for other in others)


def _attributes(listed: Iterable[Mapping[str, Any]], events: Iterable[Mapping[str, Any]]) -> Attributes:
    found = {one["key"]: _value(one) for one in listed if one["key"] in KEPT}
    for event in events:
        if event.get("name") == "exception":
            found |= {one["key"]: _value(one) for one in event.get("attributes") or () if one["key"] == "exception.type"}
    return found


def _value(attribute: Mapping[str, Any]) -> Any:
    for name, value in (attribute.get("value") or {}).items():
        if name in _VALUES:
            return value
    return ""


def _get(data: Mapping[str, Any], *names: str) -> Any:
    return next((data[name] for name in names if name in data), None)


def _protobuf_spans(file: IO[bytes], path: Path, *, whole: bool) -> Iterator[Span]:
    try:
        from refute.system.otlp_protobuf import batches, spans
    except ImportError:
        raise refuse(
            "TRACES-PROTOBUF", "protobuf traces need the extra `otlp`", where=str(path), allowed="OTLP JSON without it",
            next="pip install 'refute[otlp]'",
        ) from None  # fmt: skip
    try:
        for batch in batches(file, whole=whole):
            yield from spans(batch)
    except ValueError as error:
        raise _unreadable(path, str(error)) from None


def _unreadable(path: Path, seen: str) -> Exception:
    allowed = "OTLP traces: JSON Lines, one JSON object, or protobuf, as the collector's file exporter writes them; gzipped or not"
    return refuse("TRACES-UNREADABLE", "the traces cannot be read", where=str(path), seen=seen, allowed=allowed)
