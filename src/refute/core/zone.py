"""What no fault may touch, known to whatever applies one: by the name of a component, and by where it is found under any name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from refute.core.errors import refuse
from refute.core.hosts import LOOPBACK
from refute.core.system import Component

_SPOKEN: dict[str, tuple[str, ...]] = {"llm": ("chat",), "guardrail_model": ("chat",), "embedder": ("embeddings",)}


@dataclass(frozen=True, slots=True)
class Zone:
    """Components that are off limits.

    Attributes:
        components: each with its addresses.
    """

    components: tuple[Component, ...] = ()

    def entered_by(self, component: Component, *, whole: bool) -> str:
        """Return the name of the component off limits that a fault of this one would touch, "" for none.

        Args:
            component: the target.
            whole: whether it is struck as a whole, or in single calls.
        """
        meets = _struck_together if whole else _called_together
        return next((one.name for one in self.components if one.name == component.name or meets(component, one)), "")

    def to_json(self) -> list[dict[str, Any]]:
        """Return a JSON array."""
        return [component.to_json() for component in self.components]

    @classmethod
    def from_json(cls, data: Iterable[dict[str, Any]]) -> Zone:
        """Return the zone that `to_json` wrote."""
        return cls(tuple(map(Component.from_json, data)))


NOWHERE = Zone()


def keep_out(component: Component, zone: Zone, *, whole: bool) -> None:
    """Make sure that a fault of a component touches nothing that is off limits.

    Args:
        component: the target.
        zone: what is off limits.
        whole: whether it is struck as a whole, or in single calls.

    Raises:
        RefuteError: it would (`BLAST-NEVER`).
    """
    if name := zone.entered_by(component, whole=whole):
        seen = f"{component.name} is off limits" if name == component.name else f"{component.name} is where {name} is, which is off limits"
        raise refuse("BLAST-NEVER", f"no fault may touch {name}", seen=seen, next="see blast_radius.never")


def _struck_together(one: Component, other: Component) -> bool:
    return bool(places(one) & places(other))


def _called_together(one: Component, other: Component) -> bool:
    """Whether a call of the one could be a call of the other: an endpoint stands for all that is below it, a model without one for any."""
    if one.python and one.python == other.python:
        return True
    if not set(_spoken(one)) & set(_spoken(other)):
        return False
    if one.endpoint and other.endpoint:
        first, second = sorted((f"{_endpoint(one.endpoint)}/", f"{_endpoint(other.endpoint)}/"), key=len)
        return second.startswith(first)
    return {one.kind, other.kind} <= _SPOKEN.keys() and any(not each.endpoint and not each.python for each in (one, other))


def places(component: Component) -> frozenset[str]:
    """Return where a component is found on this host: two with a place in common are struck together.

    Args:
        component: as stated.
    """
    place = component.place
    named = (
        ("pidfile", place.pidfile),
        ("match", place.match),
        ("directory", place.directory),
        ("port", f"{place.netns}:{component.port}" if component.port else ""),
    )
    return frozenset(f"{place.host}{kind} {value}" for kind, value in named if value)


def calls(component: Component) -> frozenset[str]:
    """Return which calls reach a component: a model and an embedder may share an endpoint and no call.

    Args:
        component: as stated.
    """
    reached = {f"{_endpoint(component.endpoint)} {what}" for what in _spoken(component)} if component.endpoint else set()
    return frozenset(reached | ({f"python {component.python}"} if component.python else set()))


def _spoken(component: Component) -> tuple[str, ...]:
    return _SPOKEN.get(component.kind, ("chat", "embeddings", "anything"))


def addresses(component: Component) -> frozenset[str]:
    """Return everything by which a component is found."""
    return places(component) | calls(component)


def _endpoint(url: str) -> str:
    """Return a URL as it is compared: loopback by one name, the port in full, no slash at the end."""
    parts = urlsplit(url)
    host = "loopback" if parts.hostname in LOOPBACK else parts.hostname
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    return f"{parts.scheme}://{host}:{port}{parts.path.rstrip('/')}"
