"""When experiments may run: weekly windows, and freezes in which they may not."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = "|".join(_DAYS)
_WINDOW = re.compile(
    rf"^\s*(?P<days>(?:{_DAY})(?:-(?:{_DAY}))?(?:\s*,\s*(?:{_DAY})(?:-(?:{_DAY}))?)*)\s+"
    r"(?P<start>\d{1,2}:\d{2})-(?P<end>\d{1,2}:\d{2})\s+(?P<zone>\S+)\s*$",
    re.IGNORECASE,
)
_FREEZE = re.compile(r"^\s*(?P<first>\d{4}-\d{2}-\d{2})(?:\s+to\s+(?P<last>\d{4}-\d{2}-\d{2}))?\s+(?P<zone>\S+)\s*$")

WINDOW_GRAMMAR = "days from-to zone, such as Mon-Thu 09:00-16:00 Europe/Berlin"
FREEZE_GRAMMAR = "first day to last day zone, such as 2026-12-20 to 2027-01-02 Europe/Berlin"


class WindowError(ValueError):
    """A window or a freeze that cannot be read; the message says what is allowed."""


@dataclass(frozen=True, slots=True)
class Window:
    """Hours of some days of the week; hours over midnight belong to the day on which they begin.

    Attributes:
        days: 0 for Monday to 6 for Sunday.
        start: first minute, local time.
        end: the minute after the last, local time; not after `start` where it lies on the next day.
        zone: IANA time zone.
        text: as written.
    """

    days: frozenset[int]
    start: time
    end: time
    zone: str
    text: str

    def holds(self, at: datetime) -> bool:
        """Say whether a moment, with its time zone, lies inside."""
        local = at.astimezone(ZoneInfo(self.zone))
        today, yesterday = local.weekday() in self.days, (local - timedelta(days=1)).weekday() in self.days
        if self.start < self.end:
            return today and self.start <= local.time() < self.end
        return (today and local.time() >= self.start) or (yesterday and local.time() < self.end)


@dataclass(frozen=True, slots=True)
class Freeze:
    """Days on which nothing may run.

    Attributes:
        first: day.
        last: day, the first one or later.
        zone: IANA time zone.
        text: as written.
    """

    first: date
    last: date
    zone: str
    text: str

    def holds(self, at: datetime) -> bool:
        """Say whether a moment, with its time zone, lies inside."""
        return self.first <= at.astimezone(ZoneInfo(self.zone)).date() <= self.last


def parse_window(text: str) -> Window:
    """Read a window.

    Args:
        text: such as `Mon-Thu, Sat 09:00-16:00 Europe/Berlin`.

    Raises:
        WindowError: it cannot be read, or there is no such zone on this machine.
    """
    found = _WINDOW.match(text)
    if not found:
        raise WindowError(WINDOW_GRAMMAR)
    days = frozenset(day for part in found["days"].lower().split(",") for day in _span(part.strip()))
    return Window(days, _clock(found["start"]), _clock(found["end"]), _zone(found["zone"]), text.strip())


def parse_freeze(text: str) -> Freeze:
    """Read a freeze.

    Args:
        text: such as `2026-12-20 to 2027-01-02 Europe/Berlin`, or one day and its zone.

    Raises:
        WindowError: it cannot be read, ends before it begins, or there is no such zone on this machine.
    """
    found = _FREEZE.match(text)
    if not found:
        raise WindowError(FREEZE_GRAMMAR)
    try:
        first, last = date.fromisoformat(found["first"]), date.fromisoformat(found["last"] or found["first"])
    except ValueError:
        raise WindowError(FREEZE_GRAMMAR) from None
    if last < first:
        raise WindowError("a last day that is not before the first")
    return Freeze(first, last, _zone(found["zone"]), text.strip())


def _span(part: str) -> list[int]:
    first, _, last = part.partition("-")
    begin, end = _DAYS.index(first), _DAYS.index(last or first)
    return [(begin + step) % 7 for step in range((end - begin) % 7 + 1)]


def _clock(text: str) -> time:
    hours, minutes = (int(part) for part in text.split(":"))
    try:
        return time(0 if (hours, minutes) == (24, 0) else hours, minutes)
    except ValueError:
        raise WindowError("hours from 00:00 to 24:00") from None


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise WindowError(f"a time zone of the IANA database that this machine knows, such as Europe/Berlin or UTC; not {name}") from None
    return name
