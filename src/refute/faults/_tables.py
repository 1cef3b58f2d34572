"""Rows, labels and columns of whatever a training reads its data as: arrays, tensors, frames, lists, data sets; always in copies.

No library is imported: what a value can do says what it is. A result is read as

- `(X, y)`, of four parts the training one: `(X_train, X_test, y_train, y_test)` or `(X_train, y_train, X_test, y_test)`;
- a mapping or an object with `data` and `target`;
- a data frame, whose labels are the column `label`, `target`, `y` or `class`, else the last one;
- a list of `(x, y)`, or a data set of such items (`__len__` and `__getitem__`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_LABELS = ("label", "labels", "target", "y", "class")


@dataclass(frozen=True, slots=True)
class Table:
    """What a result holds, and how to put other data into its place.

    Attributes:
        features: rows of what is learned from; None where a result has labels and features in one.
        labels: one a row.
        rebuilt: makes a result of the same form from other features and other labels.
    """

    features: Any
    labels: Any
    rebuilt: Callable[[Any, Any], Any]

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.labels)


class Items:
    """A data set some of whose items are others; everything else is the original's.

    Args:
        original: with `__len__` and `__getitem__`.
        rows: which of its items, in order.
        labels: other labels by place in `rows`.
    """

    def __init__(self, original: Any, rows: Sequence[int], labels: Mapping[int, Any] | None = None) -> None:
        """Copy nothing."""
        self._original = original
        self._rows = rows
        self._labels = labels or {}

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Any:
        item = self._original[self._rows[index]]
        return item if index not in self._labels else type(item)([*item[:-1], self._labels[index]])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_original":
            raise AttributeError(name)  # while it is unpickled in a loader's worker
        return getattr(self._original, name)


def table_of(result: Any) -> Table | None:
    """Return how a result is read; None where its form is none of those known."""
    if _is_frame(result):
        name = _label_column(result)
        rest = [column for column in result.columns if column != name]
        return Table(result[rest], result[name], lambda features, labels: _joined(result, features, name, labels))
    if isinstance(result, tuple) and len(result) in {2, 4} and all(_is_column_like(part) for part in result):
        first, second = _training_part([len(part) for part in result])
        return None if second < 0 else Table(result[first], result[second], lambda x, y: _with(result, {first: x, second: y}))
    if isinstance(result, Mapping) and {"data", "target"} <= set(result):
        return Table(result["data"], result["target"], lambda x, y: _updated(result, x, y))
    if isinstance(result, list) and result and isinstance(result[0], tuple | list) and len(result[0]) == 2:
        return Table([row[0] for row in result], [row[1] for row in result], lambda x, y: [*zip(x, y, strict=True)])
    return None


def is_data_set(result: Any) -> bool:
    """Say whether a result gives its items one by one, as data sets of a training framework do."""
    plain = isinstance(result, str | bytes | list | tuple | Mapping) or hasattr(result, "dtype") or _is_frame(result)
    return not plain and hasattr(result, "__len__") and hasattr(result, "__getitem__")


def taken(data: Any, rows: Sequence[int]) -> Any:
    """Return those rows of an array, tensor, frame, column or list, in that order."""
    wanted = list(rows)
    if hasattr(data, "iloc"):
        return data.iloc[wanted]
    return [data[row] for row in wanted] if isinstance(data, list | tuple) else data[wanted]


def listed(column: Any) -> list[Any]:
    """Return a column's values as a list."""
    return list(column.tolist()) if hasattr(column, "tolist") else list(column)


def like(column: Any, values: list[Any]) -> Any:
    """Return values in a column of the same kind."""
    if isinstance(column, list | tuple):
        return type(column)(values)
    if hasattr(column, "iloc"):
        return type(column)(values, index=column.index, name=column.name)
    if hasattr(column, "new_tensor"):
        return column.new_tensor(values)
    if hasattr(column, "to_list"):  # polars
        return type(column)(column.name, values)
    changed = column.copy() if column.dtype.kind not in "iub" or not _has_floats(values) else column.astype(float)
    changed[:] = values
    return changed


def width(features: Any) -> int:
    """Return how many columns features have, however they are nested."""
    if _is_frame(features):
        return len(features.columns)
    if hasattr(features, "shape"):
        return int(features[0].reshape(-1).shape[0]) if len(features) else 0
    return len(features[0]) if len(features) and hasattr(features[0], "__len__") else 0


def with_column(features: Any, place: int, change: Callable[[list[Any]], list[Any]]) -> Any:
    """Return features with one column changed.

    Args:
        features: with two dimensions, or more, which are read as one.
        place: of the column, from 0.
        change: takes the column's values and returns as many.
    """
    if _is_frame(features):
        name = features.columns[place]
        return _joined(features, features, name, change(listed(features[name])))
    if isinstance(features, list):
        new = change([row[place] for row in features])
        return [type(row)([*row[:place], value, *row[place + 1 :]]) for row, value in zip(features, new, strict=True)]
    flat = features.reshape(len(features), -1)
    values = change(listed(flat[:, place]))
    whole = hasattr(features, "dtype") and getattr(features.dtype, "kind", "f") in "iub" and _has_floats(values)
    changed = features.astype(float) if whole else features.clone() if hasattr(features, "clone") else features.copy()
    changed.reshape(len(features), -1)[:, place] = features.new_tensor(values) if hasattr(features, "new_tensor") else values
    return changed


def _has_floats(values: list[Any]) -> bool:
    return any(isinstance(value, float) and not value.is_integer() for value in values)


def _is_frame(value: Any) -> bool:
    return hasattr(value, "columns") and hasattr(value, "dtypes") and hasattr(value, "shape")


def _is_column_like(value: Any) -> bool:
    return hasattr(value, "__len__") and hasattr(value, "__getitem__") and not isinstance(value, str | bytes)


def _label_column(frame: Any) -> Any:
    return next((name for name in _LABELS if name in frame.columns), list(frame.columns)[-1])


def _training_part(lengths: list[int]) -> tuple[int, int]:
    """Return where the features and the labels to train on stand; -1 where the parts do not fit together."""
    pairs = [(0, 1)] if len(lengths) == 2 else [(0, 2), (0, 1)]
    rest = {(0, 1): (2, 3), (0, 2): (1, 3)}
    for first, second in pairs:
        fits = lengths[first] == lengths[second]
        if len(lengths) == 4:
            one, other = rest[first, second]
            fits = fits and lengths[one] == lengths[other]
        if fits:
            return first, second
    return -1, -1


def _with(result: tuple[Any, ...], parts: Mapping[int, Any]) -> tuple[Any, ...]:
    return tuple(parts.get(place, part) for place, part in enumerate(result))


def _updated(result: Any, features: Any, labels: Any) -> Any:
    changed = copy.copy(result)
    changed["data"], changed["target"] = features, labels
    return changed


def _joined(frame: Any, features: Any, name: Any, labels: Any) -> Any:
    """Return a frame with the columns in their old order, and other labels."""
    if hasattr(features, "iloc"):
        joined = features.copy()
        joined[name] = list(labels)
        return joined[list(frame.columns)]
    series = labels if hasattr(labels, "to_list") else type(frame[name])(name, labels)
    return features.with_columns(series.alias(name)).select(frame.columns)
