"""What is far for a caller, as the host sees it on which it is."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import replace
from ipaddress import ip_address
from urllib.parse import urlsplit

from refute.core.system import Component, Place
from refute.core.zone import Zone

_CALLERS = "the caller's own"


def at_home(component: Component) -> Component:
    """Return a component of this host as it is seen from here, reached from other hosts, too."""
    return replace(component, place=replace(component.place, host="", guardian="", exposed=True))


def seen_from(place: Place, zone: Zone) -> Zone:
    """Return a caller's zone as this host sees it: what is here is found here, under whatever name, and nothing else is.

    Args:
        place: of a component of this host, as the caller states it.
        zone: as the caller states it.
    """
    return Zone(tuple(_seen(component, place) for component in zone.components))


def _seen(component: Component, there: Place) -> Component:
    place = component.place
    same = (place.host and place.host == there.host) or (place.guardian and place.guardian == there.guardian)
    if same or (not place.host and _is_ours(component.endpoint)):
        return at_home(component)
    return replace(component, place=replace(place, host=place.host or _CALLERS))


def _is_ours(endpoint: str) -> bool:
    """Whether an endpoint is an address of this host; loopback is the caller's, and names are not looked up, which takes time."""
    host = urlsplit(endpoint).hostname or ""
    with contextlib.suppress(ValueError, OSError):
        address = ip_address(host)
        with socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
        return not address.is_loopback
    return False
