"""What faults of the network share: one TCP port, in one namespace, and where it is looked at from."""

from __future__ import annotations

import secrets
from urllib.parse import urlsplit

from refute.core.arming import Arming, Handle
from refute.core.system import Component
from refute.injectors.host._filter import Filter
from refute.injectors.host._namespace import Namespace, NoNamespaceError
from refute.injectors.host._watch import Look, connect_s
from refute.injectors.host._whole import arming_of, magnitude_of, refused

_MOST = 0.8  # of the delay must be seen


def unreachable(component: Component) -> str:
    """Say why the traffic of a component cannot be told from all other traffic, or be looked at; "" where it can."""
    if not component.port:
        return f"component {component.name!r} says neither a `port` nor an `endpoint` on loopback"
    if component.place.netns and not component.endpoint:
        return f"component {component.name!r} is in a namespace and has no `endpoint` at which the effect could be measured"
    return ""


def handle_for(name: str, arming: Arming, **more: object) -> Handle:
    """Return a handle for rules on a component's port.

    Args:
        name: of the injector.
        arming: what is asked for.
        **more: further data.

    Raises:
        RefuteError: its namespace is not there (`HOST-REFUSED`).
    """
    try:
        namespace = Namespace.named(arming.component.place.netns)
    except NoNamespaceError as error:
        raise refused(arming, str(error)) from None
    number = secrets.token_hex(6)
    data = Filter.data(number, namespace) | {"port": arming.component.port, "exposed": arming.component.place.exposed}
    return Handle(name, "journalled", {"arming": arming.to_json(), **data, **more}, id=number)


def open_to_others(handle: Handle) -> bool:
    """Say whether a handle is about what arrives at any interface: in a namespace, or at a port that other hosts reach."""
    return bool(handle.data["namespace"]["name"] or handle.data.get("exposed"))


def arriving(handle: Handle, *, answers: bool = False) -> list[str]:
    """Return which packets arrive at a handle's port: by loopback, or by any way where it is open to others.

    Args:
        handle: as `handle_for` made it.
        answers: packets from the port, too.
    """
    way = "" if open_to_others(handle) else "-i lo "
    return [f"INPUT {way}-p tcp {side} {handle.data['port']}" for side in (["--dport", "--sport"] if answers else ["--dport"])]


def address_of(handle: Handle) -> tuple[str, int]:
    """Return where a component is looked at."""
    component = arming_of(handle).component
    return urlsplit(component.endpoint).hostname or "127.0.0.1", component.port


def delayed(handle: Handle) -> Look:
    """Return a look that opens a connection, and sees whether that takes the magnitude longer."""
    wanted_s = magnitude_of(arming_of(handle))

    def look() -> tuple[dict[str, float], str]:
        took_s, how = connect_s(address_of(handle), wanted_s * 2 + 1.0)
        if how == "opened" and took_s >= wanted_s * _MOST:
            return {"connect_s": took_s}, ""
        return {}, f"a connection was {how} after {took_s:.3f} s"

    return look
