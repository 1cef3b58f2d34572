"""What is armed in a proxy, and which of its requests that concerns: the injector, found by the name `proxy`."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from refute.core.arming import Arming, Handle, Landing, RollbackKind
from refute.core.cohort import TravellingUnit
from refute.core.context import UnitContext
from refute.core.lease import Lease
from refute.core.system import Component
from refute.faults.catalogue import catalogue
from refute.faults.preview import protocols_of
from refute.faults.spec import seams
from refute.injectors._memory import Memory
from refute.injectors.driver import Aim
from refute.injectors.ingress import Ingress
from refute.injectors.proxy.framing import RequestHead
from refute.injectors.sublease import Sublease
from refute.injectors.switch import Switch
from refute.injectors.target import Target

_REMEMBERED_LANDINGS = 64
_REMEMBERED_UNITS = 8192


@dataclass(frozen=True, slots=True)
class BaseUrl:
    """A base URL under which a component is known: the proxy's own, or upstream's.

    Attributes:
        scheme: lower case.
        host: lower case.
        port: None for the scheme's own.
        prefix: path before that of each request.
    """

    scheme: str
    host: str
    port: int | None
    prefix: str = ""

    @property
    def whole(self) -> tuple[str, str, int | None, str]:
        """All its parts."""
        return self.scheme, self.host, self.port, self.prefix

    @property
    def url(self) -> str:
        """As it is written."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}{f':{self.port}' if self.port else ''}{self.prefix}"

    @classmethod
    def of(cls, url: str) -> BaseUrl:
        """Return the place of a base URL."""
        parts = urlsplit(url)
        port = None if parts.port == {"http": 80, "https": 443}.get(parts.scheme) else parts.port
        return cls(parts.scheme, parts.hostname or "", port, parts.path.rstrip("/"))


class Armed:
    """One fault at work in this proxy.

    Args:
        arming: what is armed; with everything in treatment, requests that carry no unit belong to one of their own.
        lease: for how long.
    """

    __slots__ = ("_lock", "_missed", "aim", "lease", "target")

    def __init__(self, arming: Arming, lease: Lease) -> None:
        """Start with nothing seen."""
        lone = UnitContext("process", "treatment") if arming.cohort >= 1 else None
        self.target = Target(arming.component)
        self.lease = Sublease(lease)
        fault, switch = catalogue()[arming.fault], Switch(arming, self.lease, lone)
        self.aim = Aim(fault, arming.magnitude, switch, arming.component.stand_in, Memory(fault.remembers))
        self._lock = threading.Lock()
        self._missed: Counter[str] = Counter()

    def missed(self, why: str) -> None:
        """Count an exchange that could not be looked into."""
        with self._lock:
            self._missed[why] += 1

    def landing(self) -> Landing:
        """Return the counts, with what kept them down."""
        landing = replace(self.aim.switch.landing(), cut=self.lease.cut_short())
        with self._lock:
            reasons = [f"{count} {why}" for why, count in sorted(self._missed.items())]
        if not (reasons or landing.reason or landing.eligible or landing.control_eligible or landing.unattributed):
            reasons = ["no matching request came through the proxy"]
        return landing + Landing(reason="; ".join(reasons))


class ProxyInjector:
    """The injector. In a process that serves no proxy it can do all that the others do, and never sees a request."""

    name = "proxy"
    rollback_kind: RollbackKind = "expiring"

    def __init__(self) -> None:
        """Start with nothing armed, nowhere."""
        self._lock = threading.Lock()
        self._armed: dict[str, Armed] = {}
        self._now: tuple[Armed, ...] = ()
        self._leaving: dict[str, Armed] = {}
        self._past: dict[str, Landing] = {}
        self._places: tuple[BaseUrl, ...] = ()

    def stand_at(self, *places: BaseUrl) -> None:
        """Serve requests that come to these base URLs; without it there are none."""
        self._places = places

    def refuses(self, arming: Arming) -> str:
        """See `Injector.refuses`."""
        return next(_objections(arming), "")

    def prepare(self, arming: Arming) -> Handle:
        """See `Injector.prepare`."""
        return Handle(self.name, "expiring", {"arming": arming.to_json()})

    def apply(self, handle: Handle, lease: Lease) -> None:
        """See `Injector.apply`; of a handle that is applied already, nothing happens."""
        arming = Arming.from_json(handle.data["arming"])
        for component in (arming.component, *self._known_as(arming.component)):
            lease.permits(component)
        with self._lock:
            if handle.id not in self._armed:
                self._armed[handle.id] = Armed(arming, lease)
                self._now = tuple(self._armed.values())

    def _known_as(self, component: Component) -> Iterator[Component]:
        """Yield a component as it is known at each of the places at which it is served: the proxy's own, and upstream."""
        stated = BaseUrl.of(component.endpoint)
        for here in self._places:
            below = ""
            if Target(replace(component, endpoint=here.url)).at(*stated.whole):
                below = stated.prefix.removeprefix(here.prefix)
            elif not Target(component).at(*here.whole):
                continue
            yield from (replace(component, endpoint=f"{place.url}{below}") for place in self._places)

    def landed(self, handle: Handle) -> Landing:
        """See `Injector.landed`; the last counts of a fault that was rolled back stay known."""
        armed = self._armed.get(handle.id)
        return self._past.get(handle.id, Landing()) if armed is None else self._told(armed)

    def rollback(self, handle: Handle) -> None:
        """See `Injector.rollback`."""
        with self._lock:
            armed = self._armed.pop(handle.id, None)
            self._now = tuple(self._armed.values())
            if armed is None:
                return
            armed.lease.revoke()
            armed.aim.memory.clear()
            self._leaving = {one: left for one, left in self._leaving.items() if left.lease.holding} | {handle.id: armed}
            self._past[handle.id] = self._told(armed)
            while len(self._past) > _REMEMBERED_LANDINGS:
                del self._past[next(iter(self._past))]

    def verify(self, handle: Handle) -> bool:
        """See `Injector.verify`; what was being held must have got away."""
        with self._lock:
            leaving = self._leaving.get(handle.id)
            if leaving is not None and not leaving.lease.holding:
                del self._leaving[handle.id]
            return handle.id not in self._armed and handle.id not in self._leaving

    def armed(self) -> list[str]:
        """Return the ids of what is armed now, or still holds something."""
        with self._lock:
            return [*self._armed, *(handle for handle, armed in self._leaving.items() if armed.lease.holding)]

    def aimed_at(self, head: RequestHead) -> tuple[Armed, ...]:
        """Return what is armed for a request, in the order of arming."""
        return tuple(armed for armed in self._now if self._concerns(armed, head)) if self._now else ()

    def aimed_at_connections(self) -> tuple[Armed, ...]:
        """Return what is armed for connections to something that is not HTTP, in the order of arming."""
        return tuple(armed for armed in self._now if any(armed.target.at(*place.whole) for place in self._places)) if self._now else ()

    def _concerns(self, armed: Armed, head: RequestHead) -> bool:
        path = head.target.partition("?")[0]
        at = any(armed.target.at(place.scheme, place.host, place.port, place.prefix + path) for place in self._places)
        return at and armed.target.speaks(head.method.upper(), path, head.value)

    def _told(self, armed: Armed) -> Landing:
        return armed.landing() if self._places else Landing()


class Units:
    """The units whose requests come through, known again from one request to the next.

    Args:
        ingress: reads the signed cohort, and reports what is counted.
    """

    def __init__(self, ingress: Ingress) -> None:
        """Know none yet."""
        self._ingress = ingress
        self._known: OrderedDict[str, TravellingUnit] = OrderedDict()

    def of(self, baggage: str) -> TravellingUnit | None:
        """Return the unit that a request belongs to; None where it carries none, or a forged one."""
        unit = self._ingress.unit(baggage)
        if unit is None:
            return None
        known = self._known.setdefault(f"{unit.arm}/{unit.key}", unit)
        self._known.move_to_end(f"{unit.arm}/{unit.key}")
        if len(self._known) > _REMEMBERED_UNITS:
            self._known.popitem(last=False)
        return known


def _objections(arming: Arming) -> Iterator[str]:
    fault, component = catalogue().get(arming.fault), arming.component
    if component.via != "proxy":
        yield f"component {component.name} is not reached through a proxy (`via: proxy`)"
    if fault is None:
        yield f"no fault is named {arming.fault}"
        return
    tcp = component.endpoint.startswith("tcp:")
    if ("connection" if tcp else "exchange") not in seams(fault):
        yield f"{fault.name} does not act on {'connections' if tcp else 'HTTP exchanges'}"
    if tcp and arming.cohort < 1:
        yield "a connection that is not HTTP carries no cohort: every unit would see the fault"
    if component.endpoint.startswith("stdio:") and "mcp.stdio" not in protocols_of(fault):
        yield f"{fault.name} does not act on MCP over stdio"
    if component.kind not in fault.kinds:
        yield f"{fault.name} does not apply to a component of kind {component.kind}"
    if not component.endpoint:
        yield f"component {component.name} has no endpoint by which to know its proxy"
    if arming.draw == "burst":
        yield "bursts cannot be drawn yet"


INJECTOR = ProxyInjector()
"""The process's injector, found by entry point `proxy`."""
