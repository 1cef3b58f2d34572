"""Reads a fault's magnitude in the fault's own unit."""

from __future__ import annotations

import math
from typing import Any

from refute.core import units


class UnreadableError(ValueError):
    """A magnitude that is not written in its fault's unit."""


def magnitude_of(value: Any, unit: str) -> float | None:
    """Return a magnitude as a number in the fault's unit.

    Args:
        value: as written: text such as `2 s`, or a plain number; None where it is not stated.
        unit: the fault's: `s`, `1` for a count or factor, `%` for percent, or a word; "" where it has no magnitude.

    Raises:
        UnreadableError: it lacks its unit, has another one, or is no number.
    """
    if value is None or not unit:
        return None
    number = _number(str(value), unit)
    if not math.isfinite(number):
        raise UnreadableError
    return number


def shown_magnitude(value: float, unit: str) -> str:
    """Return a magnitude as it is written in an intent.

    Args:
        value: in the fault's unit.
        unit: the fault's unit.
    """
    if unit == "s":
        return units.show_seconds(value)
    return f"{value:g}" if unit == "1" else f"{value:g}%" if unit == "%" else f"{value:g} {unit}"


def _number(text: str, unit: str) -> float:
    try:
        if unit == "s":
            return units.seconds(text)
        number, written = units.quantity(text)
    except units.UnitError:
        raise UnreadableError from None
    if written != ("" if unit == "1" else unit):
        raise UnreadableError
    return number
