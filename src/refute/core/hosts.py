"""Where load may be sent. Asked when an intent is checked, and again by whatever sends the load."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_PORTS = {"http": 80, "https": 443}


def widened(hosts: Iterable[str]) -> frozenset[str]:
    """Return hosts in lower case; one name of loopback stands for all three."""
    named = frozenset(host.lower() for host in hosts)
    return named | LOOPBACK if named & LOOPBACK else named


def may_load(url: str, hosts: Iterable[str]) -> bool:
    """Say whether load may be sent to a URL.

    Args:
        url: absolute.
        hosts: those allowed, names or addresses.
    """
    return (urlsplit(url).hostname or "") in widened(hosts)


def same_origin(one: str, other: str) -> bool:
    """Say whether two URLs name one origin; all names of loopback are one."""
    return _origin(one) == _origin(other)


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    return parts.scheme, "loopback" if host in LOOPBACK else host, parts.port or _PORTS.get(parts.scheme)
