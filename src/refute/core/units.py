"""Values with units, as people write them: durations, shares, rates, money, plain numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NUMBER = r"([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)"
_QUANTITY = re.compile(rf"^\s*{_NUMBER}\s*([A-Za-z%µ/]*)\s*$")
_SECONDS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_MANY = {"": 1.0, "k": 1e3, "M": 1e6}
_PER = {"s": 1.0, "min": 60.0, "h": 3600.0}


class UnitError(ValueError):
    """A value that is not written as its unit demands; the message says what is allowed."""


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in a currency.

    Attributes:
        amount: in the currency's main unit.
        currency: three capital letters.
    """

    amount: float
    currency: str = "USD"

    def __str__(self) -> str:
        return f"{self.amount:.2f} {self.currency}"


def quantity(text: str) -> tuple[float, str]:
    """Split a value into its number and its unit.

    Args:
        text: such as `2 s`, `30%`, `5/s`, `1.5`.

    Raises:
        UnitError: it is not a number with an optional unit.
    """
    match = _QUANTITY.match(text)
    if not match:
        raise UnitError("a number with a unit, such as 2 s, 30% or 5/s")
    return float(match[1]), match[2]


def seconds(text: str) -> float:
    """Return a duration in seconds; the unit is required and the value at least 0.

    Raises:
        UnitError: not a duration.
    """
    allowed = "a duration with its unit: 250 ms, 2 s, 5 min, 1 h or 30 d"
    try:
        number, unit = quantity(text)
    except UnitError:
        raise UnitError(allowed) from None
    if unit not in _SECONDS or number < 0:
        raise UnitError(allowed)
    return number * _SECONDS[unit]


def share(text: str) -> float:
    """Return a share in [0, 1]; written as a percentage.

    Raises:
        UnitError: not a percentage between 0 % and 100 %.
    """
    number, unit = quantity(text)
    if unit != "%" or not 0 <= number <= 100:
        raise UnitError("a percentage between 0% and 100%")
    return number / 100


def rate(text: str) -> float:
    """Return a rate in events per second.

    Raises:
        UnitError: not a positive rate.
    """
    number, unit = quantity(text)
    per = unit.removeprefix("/")
    if not unit.startswith("/") or per not in _PER or number <= 0:
        raise UnitError("a positive rate such as 5/s, 90/min or 100/h")
    return number / _PER[per]


def money(text: str) -> Money:
    """Return an amount of money.

    Raises:
        UnitError: not a positive amount with a three-letter currency.
    """
    number, unit = quantity(text)
    if not re.fullmatch(r"[A-Z]{3}", unit) or number < 0:
        raise UnitError("an amount with its currency, such as 0.40 USD")
    return Money(number, unit)


def price(text: str) -> Money:
    """Return what one costs, of a price for one or for many: `0.01 USD`, `0.60 USD per 1M`, `2 EUR per 1000 tokens`.

    Raises:
        UnitError: not a positive amount with its currency, or not for a positive number.
    """
    allowed = "an amount with its currency, for one or for many: 0.01 USD, 0.60 USD per 1M"
    amount_text, *many = re.split(r"\s+per\s+", text, maxsplit=1)
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(k|M)?(?:\s+[A-Za-z_-]+)?\s*", many[0] if many else "1")
    try:
        amount = money(amount_text)
    except UnitError:
        raise UnitError(allowed) from None
    number = float(match[1]) * _MANY[match[2] or ""] if match else 0.0
    if number <= 0 or amount.amount <= 0:
        raise UnitError(allowed)
    return Money(amount.amount / number, amount.currency)


def show_seconds(value_s: float) -> str:
    """Return a duration as people read it: `250 ms`, `2 s`, `5 min`."""
    if value_s == 0:
        return "0 s"
    if abs(value_s) < 1:
        return f"{value_s * 1e3:.3g} ms"
    for unit in ("d", "h", "min"):
        if abs(value_s) >= _SECONDS[unit] and (value_s / _SECONDS[unit]).is_integer():
            return f"{value_s / _SECONDS[unit]:g} {unit}"
    return f"{value_s:.4g} s"


def show_share(value: float) -> str:
    """Return a share as a percentage with at most three significant figures."""
    return f"{value * 100:.3g} %"
