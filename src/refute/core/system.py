"""What is under test: components of a kind, and what they call."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

ComponentKind = Literal[
    "service", "llm", "embedder", "retriever", "vector_store", "tool", "agent", "mcp_server", "model_server", "feature_store",
    "datastore", "queue", "cache", "guardrail_model", "trainer", "data_pipeline",
]  # fmt: skip
COMPONENT_KINDS: tuple[str, ...] = get_args(ComponentKind)

Hazard = Literal["availability", "wrong_answer", "state_write", "data_exposure"]
HAZARDS: tuple[str, ...] = get_args(Hazard)

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class Place:
    """Where a component is found, for faults that strike it as a whole: on this host, or on one that has a guardian of its own.

    Attributes:
        pidfile: absolute path of the file in which its process keeps its process id, or "".
        match: text that stands in its command line and in no other, or "".
        port: TCP port at which it listens, 0 where it is not stated.
        netns: named network namespace that it runs in, "" for the host's own.
        directory: absolute path of the directory that it writes to, or "".
        authority: absolute path of the certificate of who signs its certificate, or "".
        authority_key: absolute path of their key, or "".
        host: name of the host that all this is about, "" for this one.
        guardian: `tls://HOST:PORT` at which that host's guardian is reached, or "".
        exposed: whether its port is reached from other hosts, so that faults of it strike what arrives at any interface.
    """

    pidfile: str = ""
    match: str = ""
    port: int = 0
    netns: str = ""
    directory: str = ""
    authority: str = ""
    authority_key: str = ""
    host: str = ""
    guardian: str = ""
    exposed: bool = False


_EXEC = "exec "


@dataclass(frozen=True, slots=True)
class Component:
    """One part of the system under test.

    Attributes:
        name: unique within the system.
        kind: one of `COMPONENT_KINDS`.
        calls: names of the components that it calls.
        endpoint: base URL at which others reach it, or "".
        python: `module:function` that is called to reach it, or "".
        place: where it is found on this host.
        via: what stands on the way to it: `proxy`, or `exec NAME` for the program that calls it; "" for whatever can reach it.
        version: of what runs there, as stated; `env:NAME` where an environment variable holds it; "" where nobody states it.
        stand_in: what a fault may put in its place: another model's name at the same endpoint, or `module:function`; or "".
    """

    name: str
    kind: ComponentKind
    calls: tuple[str, ...] = ()
    endpoint: str = ""
    python: str = ""
    place: Place = Place()
    via: str = ""
    version: str = ""
    stand_in: str = ""

    @property
    def program(self) -> str:
        """The name of the program under `refute exec` in which its calls are broken, "" where there is none."""
        return self.via.removeprefix(_EXEC) if self.via.startswith(_EXEC) else ""

    @property
    def port(self) -> int:
        """The TCP port at which it listens: as stated, or its endpoint's on loopback, in its namespace or on its host; 0 for none."""
        parts, place = urlsplit(self.endpoint), self.place
        if place.port or not (parts.hostname in _LOOPBACK or place.netns or place.host or place.exposed):
            return place.port
        return parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        place = {name: value for name, value in asdict(self.place).items() if value}
        made = {"name": self.name, "kind": self.kind, "calls": list(self.calls), "endpoint": self.endpoint, "python": self.python}
        more = {"place": place, "via": self.via, "version": self.version, "stand_in": self.stand_in}
        return made | {name: value for name, value in more.items() if value}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Component:
        """Return the component that `to_json` wrote."""
        place = Place(**data.get("place", {}))
        where = data["endpoint"], data["python"]
        more = (data.get(name, "") for name in ("via", "version", "stand_in"))
        return cls(data["name"], data["kind"], tuple(data["calls"]), *where, place, *more)
