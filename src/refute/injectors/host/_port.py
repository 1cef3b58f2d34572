"""What faults of the network share: one TCP port, in one namespace, and where it is looked at from."""

from __future__ import annotations

import secrets
from urllib.parse import urlsplit

from refute.core.arming import Arming, Handle
from refute.core.system import Component
from refute.injectors.host._filter import Filter
from refute.injectors.host._namespace import Namespace, NoNamespaceError
from refute.injectors.host._whole import arming_of, refused


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
    data = Filter.data(number, arming.component.port, namespace, exposed=arming.component.place.exposed)
    return Handle(name, "journalled", {"arming": arming.to_json(), **data, **more}, id=number)


def address_of(handle: Handle) -> tuple[str, int]:
    """Return where a component is looked at."""
    component = arming_of(handle).component
    return urlsplit(component.endpoint).hostname or "127.0.0.1", component.port
