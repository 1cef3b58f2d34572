"""Changes to data of unknown shape, made in copies: rows picked, fields rewritten; what changes nothing returns `UNCHANGED`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from refute.faults._data import Change
from refute.faults._results import field_names, with_fields
from refute.wire.exchange import UNCHANGED

Pick = Callable[[Sequence[Any]], list[int]]
"""Chooses rows: takes a list of items and returns the places of those to keep, in their new order."""

Rewrite = Callable[[str, Any], Any]
"""Rewrites one field: takes its name and its plain value; returns another value, or `UNCHANGED`."""

DROP: Any = object()
"""What a `Rewrite` returns to take a field away."""

_DEPTH = 5
_SCALAR = str | int | float | bool | None


def through_json(change: Change) -> Change:
    """Return the change, at work inside a text that is a JSON object or list, too."""

    def changed(data: Any, magnitude: float | None, rng: Any) -> Any:
        if not isinstance(data, str) or data[:1] not in {"{", "["}:
            return change(data, magnitude, rng)
        try:
            inner = change(json.loads(data), magnitude, rng)
        except ValueError:
            return change(data, magnitude, rng)
        return UNCHANGED if inner is UNCHANGED else json.dumps(inner, ensure_ascii=False)

    return changed


def picked(data: Any, pick: Pick, depth: int = _DEPTH) -> Any:
    """Return the data with other rows: of a list its items; of parallel lists (documents, scores) the same ones of each.

    Args:
        data: a list, an array, or something that holds lists; not touched.
        pick: chooses rows.
        depth: how deep to look for lists.
    """
    if isinstance(data, list) or (type(data) is tuple and data and not any(isinstance(part, list) for part in data)):
        return _rows(data, pick, depth)
    if hasattr(data, "shape") and getattr(data, "ndim", 0) > 0:
        places = pick(data)
        return UNCHANGED if places == list(range(len(data))) else data[places]
    return UNCHANGED if depth == 0 else _within(data, pick, depth)


def _within(data: Any, pick: Pick, depth: int) -> Any:
    """Pick among the lists that something holds."""
    if type(data) is tuple:
        parts = _parallel(dict(enumerate(data)), pick, depth)
        return tuple(parts.get(place, part) for place, part in enumerate(data)) if parts else UNCHANGED
    values = dict(data) if isinstance(data, Mapping) else {name: getattr(data, name) for name in field_names(data)}
    parts = _parallel(values, pick, depth)
    return with_fields(data, parts) if parts else UNCHANGED


def _rows(items: Any, pick: Pick, depth: int) -> Any:
    if items and depth and all(isinstance(item, list) and item and isinstance(item[0], Mapping) for item in items):
        return of_each(items, lambda item: picked(item, pick, depth - 1))  # a list of lists: one a query
    places = pick(items)
    return UNCHANGED if places == list(range(len(items))) else type(items)([items[place] for place in places])


def _parallel(values: Mapping[Any, Any], pick: Pick, depth: int) -> dict[Any, Any]:
    """Return what replaces the lists among some values; those of one length are picked alike."""
    lists = {key: value for key, value in values.items() if isinstance(value, list | tuple) and value}
    if not lists:
        inner = {key: picked(value, pick, depth - 1) for key, value in values.items() if isinstance(value, Mapping) or field_names(value)}
        return {key: value for key, value in inner.items() if value is not UNCHANGED}
    first = max(lists.values(), key=lambda rows: any(not isinstance(row, int | float) for row in rows))
    if len(first) == 1 and isinstance(first[0], list):  # a list of one list, for the one query
        inner = _parallel({key: value[0] for key, value in lists.items() if len(value) == 1 and isinstance(value[0], list)}, pick, depth)
        return {key: type(lists[key])([value]) for key, value in inner.items()}
    places = pick(first)
    if places == list(range(len(first))):
        return {}
    return {key: type(rows)([rows[place] for place in places]) for key, rows in lists.items() if len(rows) == len(first)}


def rewritten(data: Any, rewrite: Rewrite, name: str = "", depth: int = _DEPTH) -> Any:
    """Return the data with fields rewritten: in mappings and objects, and in the lists and mappings within them.

    Args:
        data: anything; not touched.
        rewrite: rewrites one field, or one plain item of a list under the list's name.
        name: of the field that holds the data.
        depth: how deep to look.
    """
    if isinstance(data, _SCALAR):
        return rewrite(name, data)
    if depth == 0:
        return UNCHANGED
    if isinstance(data, list):
        return of_each(data, lambda item: rewritten(item, rewrite, name, depth - 1))
    values = dict(data) if isinstance(data, Mapping) else {field: getattr(data, field) for field in field_names(data)}
    changes = {key: rewritten(value, rewrite, str(key), depth - 1) for key, value in values.items()}
    changes = {key: value for key, value in changes.items() if value is not UNCHANGED}
    if not isinstance(data, dict):
        return with_fields(data, {key: None if value is DROP else value for key, value in changes.items()}) if changes else UNCHANGED
    kept = {key: changes.get(key, value) for key, value in data.items() if changes.get(key, value) is not DROP}
    return type(data)(kept) if changes else UNCHANGED


def of_each(items: list[Any], change: Callable[[Any], Any]) -> Any:
    """Return a list with each item changed, without those that are dropped; `UNCHANGED` where none is."""
    changed = [change(item) for item in items]
    if all(item is UNCHANGED for item in changed):
        return UNCHANGED
    return [old if new is UNCHANGED else new for old, new in zip(items, changed, strict=True) if new is not DROP]


def texts_of(data: Any, depth: int = _DEPTH) -> list[str]:
    """Return all texts in the data, in order."""
    found: list[str] = []

    def see(_name: str, value: Any) -> Any:
        if isinstance(value, str):
            found.append(value)
        return UNCHANGED

    rewritten(data, see, depth=depth)
    return found
