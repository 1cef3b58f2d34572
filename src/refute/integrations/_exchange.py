"""What a web service's middleware reads of a request and its response: whose unit it is, on which journey, and how it went."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from refute.integrations._units import LiveUnit

Journeys = Mapping[str, str] | Callable[[str, str], str] | None
MOST_BYTES = 65_536
_FAILED = 500


@dataclass(frozen=True, slots=True)
class Entrance:
    """Which requests are units.

    Attributes:
        fields: headers, lower case, by the name under which intent files know what they say.
        journeys: by `[METHOD ]/path`, `*` allowed, or a function of method and path; what belongs to none is no unit. None: all are units.
        entry: whether units begin here, and not only in services that call this one.
    """

    fields: tuple[tuple[str, str], ...] = ()
    journeys: Journeys = None
    entry: bool = True

    def case(self, method: str, path: str, header: Callable[[str], str]) -> dict[str, str] | None:
        """Return what is known of a request; None where it is no unit.

        Args:
            method: of the request.
            path: of the request.
            header: returns what a header says, "" where there is none.
        """
        journey = self.journey(method, path)
        if journey is None:
            return None
        return {"method": method, "path": path, "journey": journey} | {name: header(wanted) for name, wanted in self.fields}

    def journey(self, method: str, path: str) -> str | None:
        """Return the journey of a request, "" for one without a name; None where it is no unit."""
        if not self.entry:
            return None
        if self.journeys is None:
            return ""
        if callable(self.journeys):
            return self.journeys(method, path) or None
        return next((journey for pattern, journey in self.journeys.items() if _matches(pattern, method, path)), None)


def entrance(fields: Mapping[str, str] | None, journeys: Journeys, *, entry: bool) -> Entrance:
    """Return which requests are units, as a middleware was told."""
    return Entrance(tuple((name, header.lower()) for name, header in (fields or {}).items()), journeys, entry)


class Exchange:
    """One request and its response.

    Args:
        unit: that it is.
        case: what is known of the request.
    """

    __slots__ = ("_asked", "_case", "_said", "_status", "_unit")

    def __init__(self, unit: LiveUnit, case: dict[str, str]) -> None:
        """Begin."""
        self._unit, self._case = unit, case
        self._asked, self._said = bytearray(), bytearray()
        self._status = 0

    def asked(self, piece: bytes) -> None:
        """Take a piece of the request's body; of a large one the beginning is enough."""
        _keep(self._asked, piece)

    def began(self, status: int) -> None:
        """Take the response's status."""
        self._status = status

    def said(self, piece: bytes) -> None:
        """Take a piece of the response's body."""
        _keep(self._said, piece)

    def over(self, error: str = "") -> None:
        """End the unit; what comes later changes nothing.

        Args:
            error: name of what kept the response from being whole, or "".
        """
        if not error and not self._status:
            error = "NoResponse"
        if not error and self._status >= _FAILED:
            error = "ServiceError"
        if error or not self._unit.reads_bodies:
            self._unit.end(error, None, None)
        else:
            self._unit.end("", {**self._case, "body": _parsed(self._asked)}, {"status": self._status, "body": _parsed(self._said)})


def _keep(body: bytearray, piece: bytes) -> None:
    if len(body) < MOST_BYTES:
        body += piece


def _parsed(body: bytearray) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")


def _matches(pattern: str, method: str, path: str) -> bool:
    verb, space, rest = pattern.partition(" ")
    return fnmatchcase(path, rest if space else pattern) and (not space or verb == method)
