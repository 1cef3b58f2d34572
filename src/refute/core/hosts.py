"""Where load may be sent. Asked when an intent is checked, and again by whatever sends the load."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


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
