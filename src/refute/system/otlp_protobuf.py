"""Reads spans from OTLP protobuf; needs `opentelemetry-proto`, the extra `otlp`."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import IO, Any, Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from refute.system.span import KEPT, Attributes, Span

_LENGTH: Final = struct.Struct(">I")
_LARGEST: Final = 1 << 28  # 256 MB: a length beyond it is no length


def batches(file: IO[bytes], *, whole: bool) -> Iterator[TracesData]:
    """Yield the batches of a file.

    Args:
        file: open for reading.
        whole: whether it is one message; otherwise each has its length before it, in four bytes, the highest first.

    Raises:
        ValueError: It is neither.
    """
    if whole:
        yield _decoded(file.read())
        return
    while head := file.read(_LENGTH.size):
        length = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else _LARGEST + 1
        content = file.read(length) if length <= _LARGEST else b""
        if len(content) != length:
            raise ValueError("a message is cut short, or this is no OTLP protobuf")
        yield _decoded(content)


def spans(batch: TracesData) -> Iterator[Span]:
    """Yield the spans of a batch."""
    for resource in batch.resource_spans:
        service = next((one.value.string_value for one in resource.resource.attributes if one.key == "service.name"), "")
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Span(
                    span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(), service, span.name, span.kind,
                    span.start_time_unix_nano, span.end_time_unix_nano, span.status.code == 2, bool(span.links),
                    _attributes(span.attributes, span.events),
                )  # fmt: skip


def _decoded(content: bytes) -> TracesData:
    try:
        batch: TracesData = TracesData.FromString(content)
    except DecodeError:
        raise ValueError("this is no OTLP protobuf") from None
    return batch


def _attributes(listed: Iterable[Any], events: Iterable[Any]) -> Attributes:
    found = {one.key: _value(one.value) for one in listed if one.key in KEPT}
    for event in events:
        if event.name == "exception":
            found |= {one.key: _value(one.value) for one in event.attributes if one.key == "exception.type"}
    return found


def _value(held: Any) -> Any:
    name = held.WhichOneof("value")
    return getattr(held, name) if name in {"string_value", "int_value", "double_value", "bool_value"} else ""
