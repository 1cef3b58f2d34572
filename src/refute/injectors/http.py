"""Breaks HTTP calls of the running process: the hands for every fault on an exchange, over each client library in `transports`."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec

from refute.core.arming import Arming, Handle, Landing, RollbackKind
from refute.core.lease import Lease
from refute.faults.catalogue import catalogue
from refute.faults.spec import seams
from refute.injectors.routes import Routes
from refute.injectors.transports import over_aiohttp, over_httpx, over_urllib3
from refute.injectors.transports.board import Armed, Board
from refute.injectors.transports.hooks import Hooks

LIBRARIES = ("httpx", "httpx2", "aiohttp", "urllib3")
_UNHOOKED = ("http.client", "pycurl", "curl_cffi", "grpc")
_NAMES = f"{', '.join(LIBRARIES[:-1])} and {LIBRARIES[-1]}"
_REMEMBERED_LANDINGS = 64


class HttpInjector:
    """The injector; one for the process, as the libraries' classes are."""

    name = "http"
    rollback_kind: RollbackKind = "expiring"

    def __init__(self) -> None:
        """Start with nothing armed and nothing hooked."""
        self._lock = threading.Lock()
        self._armed: dict[str, Armed] = {}
        self._past: dict[str, Armed] = {}
        self._board = Board()
        self._hooks = Hooks([site for transport in (over_httpx, over_aiohttp, over_urllib3) for site in transport.sites(self._board)])

    def refuses(self, arming: Arming) -> str:
        """See `Injector.refuses`."""
        return next(_objections(arming), "")

    def prepare(self, arming: Arming) -> Handle:
        """See `Injector.prepare`."""
        return Handle(self.name, "expiring", {"arming": arming.to_json()})

    def apply(self, handle: Handle, lease: Lease) -> None:
        """See `Injector.apply`; of a handle that is applied already, nothing happens."""
        arming = Arming.from_json(handle.data["arming"])
        lease.permits(replace(arming.component, python=""))  # over HTTP, a model without an endpoint is any model
        with self._lock:
            if handle.id in self._armed:
                return
            self._armed[handle.id] = Armed(arming, lease)
            self._board.routes = Routes(tuple(self._armed.values()))
            self._hooks.install()

    def landed(self, handle: Handle) -> Landing:
        """See `Injector.landed`; the last counts of a fault that was rolled back stay known."""
        armed = self._armed.get(handle.id) or self._past.get(handle.id)
        return Landing() if armed is None else _explained(armed)

    def rollback(self, handle: Handle) -> None:
        """See `Injector.rollback`."""
        with self._lock:
            armed = self._armed.pop(handle.id, None)
            if armed is None:
                return
            armed.lease.revoke()
            armed.aim.memory.clear()
            self._board.routes = Routes(tuple(self._armed.values()))
            if not self._armed:
                self._hooks.remove()
            self._past[handle.id] = armed
            while len(self._past) > _REMEMBERED_LANDINGS:
                del self._past[next(iter(self._past))]

    def verify(self, handle: Handle) -> bool:
        """See `Injector.verify`."""
        past = self._past.get(handle.id)
        held = past is not None and past.lease.holding
        return not held and handle.id not in self._armed and (bool(self._armed) or not (self._hooks.installed() or self._hooks.waiting()))

    def hooks_installed(self) -> int:
        """Return how many methods of other libraries are hooked now; 0 while nothing is armed."""
        return self._hooks.installed()


def _objections(arming: Arming) -> Iterator[str]:
    fault, component = catalogue().get(arming.fault), arming.component
    if fault is None:
        yield f"no fault is named {arming.fault}"
        return
    if "exchange" not in seams(fault):
        yield f"{fault.name} does not act on HTTP exchanges"
    if objection := fault.objection(component.kind, arming.magnitude):
        yield objection
    if not component.endpoint and component.kind != "llm":
        yield f"component {component.name} has no endpoint by which to know its calls"
    if arming.draw == "burst":
        yield "bursts cannot be drawn yet"
    if not any(find_spec(library) for library in LIBRARIES):
        yield f"none of {_NAMES} is installed; {_others()}"


def _explained(armed: Armed) -> Landing:
    """Return the counts, with the likely reason where there are none."""
    landing = armed.aim.switch.landing()
    landing = replace(landing, cut=landing.cut + armed.lease.cut_short())
    if landing.eligible or landing.control_eligible or landing.unattributed or landing.reason:
        return landing
    return landing + Landing(reason=f"no matching call was seen over {_NAMES}; {_others()}")


def _others() -> str:
    """Say which HTTP libraries the process has loaded that are not hooked."""
    loaded = [name for name in _UNHOOKED if name in sys.modules]
    return f"loaded but not hooked: {', '.join(loaded)}" if loaded else "no other HTTP library is loaded"


INJECTOR = HttpInjector()
"""The process's injector, found by entry point `http`."""


def hooks_installed() -> int:
    """Return how many methods of other libraries are hooked now; 0 while nothing is armed."""
    return INJECTOR.hooks_installed()
