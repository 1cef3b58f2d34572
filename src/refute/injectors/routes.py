"""What is armed for a request of a client library, found once for each place that requests go to."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Generic, Protocol, TypeVar

from refute.injectors.target import DEFAULT_PORTS, Target

_REMEMBERED = 512


class Aimed(Protocol):
    """Something that is armed."""

    @property
    def target(self) -> Target:
        """Which requests it is for."""
        ...


_A = TypeVar("_A", bound=Aimed)


class Routes(Generic[_A]):
    """Finds what is armed for a request. To be made anew whenever something is armed or disarmed.

    Requests have `method`, `url` with its parts, and `headers`, as those of httpx do.

    Args:
        armed: everything that is armed, in order.

    Attributes:
        last: URL, method and what was found for the request before; the next one mostly goes to the same place.
    """

    __slots__ = ("_armed", "_found", "last")

    def __init__(self, armed: tuple[_A, ...] = ()) -> None:
        """Start with nothing found."""
        self._armed = armed
        self._found: dict[Hashable, tuple[_A, ...]] = {}
        self.last: tuple[Any, str, tuple[_A, ...]] = (None, "", ())

    def find(self, request: Any, url: Any) -> tuple[_A, ...]:
        """Return what is armed for a request, in the order of arming.

        Args:
            request: the library's request.
            url: its URL, as something that is compared quickly.
        """
        own = request.url
        place = request.method, own.scheme, own.host, own.port, own.path
        found = self._found.get(place)
        if found is None:
            found, by_head = self._searched(request)
            if by_head:
                return found
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            self._found[place] = found
        self.last = url, request.method, found
        return found

    def _searched(self, request: Any) -> tuple[tuple[_A, ...], bool]:
        """Return what is armed for a request, and whether another one to the same place may find something else, by its headers."""
        method, url, asked = request.method, request.url, False
        port = None if url.port == DEFAULT_PORTS.get(url.scheme) else url.port

        def header(name: str) -> str:
            nonlocal asked
            asked = True
            return str(request.headers.get(name, ""))

        found = tuple(
            each
            for each in self._armed
            if each.target.at(url.scheme, url.host or "", port, url.path) and each.target.speaks(method, url.path, header)
        )
        return found, asked
