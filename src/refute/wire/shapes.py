"""Reads decoded JSON of any shape without ever raising, and changes it in copies."""

from __future__ import annotations

from typing import Any

_MOST = 2**53
"""The largest count that is one."""


def mapping(value: Any) -> dict[str, Any]:
    """Return a JSON object, an empty one where it is none."""
    return value if isinstance(value, dict) else {}


def mappings(value: Any) -> list[dict[str, Any]]:
    """Return the JSON objects in a list; none where it is no list."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def string(value: Any) -> str:
    """Return a text, "" where it is none."""
    return value if isinstance(value, str) else ""


def number(value: Any) -> int:
    """Return a whole number, 0 where it is none."""
    return value if isinstance(value, int) else 0


def scaled(usage: Any, factor: float) -> Any:
    """Return token counts with every whole number in them multiplied."""
    if isinstance(usage, dict):
        return {name: scaled(value, factor) for name, value in usage.items()}
    if isinstance(usage, int) and not isinstance(usage, bool) and abs(usage) <= _MOST:
        return round(usage * factor)
    return usage


def with_usage(data: dict[str, Any], name: str, factor: float | None) -> dict[str, Any]:
    """Return a JSON object with its token counts multiplied, or without them where the factor is 0.

    Args:
        data: the object.
        name: key of the counts.
        factor: None changes nothing.
    """
    if factor is None or name not in data:
        return data
    if factor == 0:
        return {key: value for key, value in data.items() if key != name}
    return data | {name: scaled(data[name], factor)}


def entries_within(whole: dict[str, Any], text: str) -> dict[str, Any]:
    """Return the first entries of an object whose JSON still fits into a text cut short.

    Where a protocol holds arguments as an object, never as text, this is what a server that parses leniently would send.
    """
    from refute.wire.sse import compact

    kept: dict[str, Any] = {}
    for name, value in whole.items():
        if len(compact(kept | {name: value})) > len(text):
            break
        kept[name] = value
    return kept
