"""Breaks HTTP calls of the running process: the hands for every fault on an exchange, over httpx and httpx2."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from refute.core.arming import Arming, Handle, Landing, RollbackKind
from refute.core.context import UnitContext
from refute.core.lease import Lease
from refute.faults.catalogue import catalogue
from refute.faults.spec import seams
from refute.injectors._calls import Attempt
from refute.injectors.driver import Aim, script
from refute.injectors.httpx_adapter import READING, Adapter, HttpxView
from refute.injectors.httpx_hooks import LIBRARIES, Hooks
from refute.injectors.routes import Routes, UrlOf, url_of
from refute.injectors.sublease import Sublease
from refute.injectors.switch import Switch
from refute.injectors.target import Target

_UNHOOKED = ("aiohttp", "requests", "botocore", "urllib3", "http.client")
_REMEMBERED_LANDINGS = 64


class _Armed:
    """One fault at work in this process."""

    __slots__ = ("aim", "failed", "lease", "missed", "target")

    def __init__(self, arming: Arming, lease: Lease) -> None:
        self.target = Target(arming.component)
        self.lease = Sublease(lease)
        fault, switch = catalogue()[arming.fault], Switch(arming, self.lease, reading=READING)
        self.aim = Aim(fault, arming.magnitude, switch)
        by_draw_alone = arming.draw == "call" and not arming.turn and fault.awaits is None and fault.matches_exchange is None
        self.missed: Callable[[Any], UnitContext | None] = switch.missed if by_draw_alone else _cannot_tell
        self.failed = switch.failed


def _cannot_tell(_request: Any) -> None:
    """Stand in for `Switch.missed` where the draw does not settle it."""


class HttpInjector:
    """The injector; one for the process, as the libraries' classes are."""

    name = "http"
    rollback_kind: RollbackKind = "expiring"

    def __init__(self) -> None:
        """Start with nothing armed and nothing hooked."""
        self._lock = threading.Lock()
        self._armed: dict[str, _Armed] = {}
        self._routes: Routes[_Armed] = Routes()
        self._past: dict[str, _Armed] = {}
        self._hooks = Hooks(self._wrapped)

    def refuses(self, arming: Arming) -> str:
        """See `Injector.refuses`."""
        return next(_objections(arming), "")

    def prepare(self, arming: Arming) -> Handle:
        """See `Injector.prepare`."""
        return Handle(self.name, "expiring", {"arming": arming.to_json()})

    def apply(self, handle: Handle, lease: Lease) -> None:
        """See `Injector.apply`; of a handle that is applied already, nothing happens."""
        with self._lock:
            if handle.id in self._armed:
                return
            self._armed[handle.id] = _Armed(Arming.from_json(handle.data["arming"]), lease)
            self._routes = Routes(tuple(self._armed.values()))
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
            self._routes = Routes(tuple(self._armed.values()))
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

    def _wrapped(self, library: ModuleType, name: str, original: Any) -> Any:
        """Return what stands in for a transport's method: no layer of its own around a call that is not hit."""
        make = self._wrapper if name == "handle_request" else self._async_wrapper
        return make(Adapter(library), url_of(library), original)

    def _wrapper(self, adapter: Adapter, where: UrlOf, original: Any) -> Any:
        def handle_request(transport: Any, request: Any) -> Any:
            routes, url = self._routes, where(request)
            before, method, aimed = routes.last
            if url != before or method != request.method:
                aimed = routes.find(request, url)
            unit = aimed[0].missed(request) if len(aimed) == 1 else None
            if unit is None:
                return _carry_all(_carry, adapter, aimed, partial(original, transport), request)
            try:
                response = original(transport, request)
            except BaseException:
                aimed[0].failed(unit, request)
                raise
            if response.status_code >= 400:
                aimed[0].failed(unit, request)
            return response

        return handle_request

    def _async_wrapper(self, adapter: Adapter, where: UrlOf, original: Any) -> Any:
        async def handle_async_request(transport: Any, request: Any) -> Any:
            routes, url = self._routes, where(request)
            before, method, aimed = routes.last
            if url != before or method != request.method:
                aimed = routes.find(request, url)
            unit = aimed[0].missed(request) if len(aimed) == 1 else None
            if unit is None:
                return await _carry_all(_carry_async, adapter, aimed, partial(original, transport), request)
            try:
                response = await original(transport, request)
            except BaseException:
                aimed[0].failed(unit, request)
                raise
            if response.status_code >= 400:
                aimed[0].failed(unit, request)
            return response

        return handle_async_request


def _carry_all(carry: Any, adapter: Adapter, aimed: tuple[_Armed, ...], ask: Callable[[Any], Any], request: Any) -> Any:
    """Carry out what several faults do to one exchange, around one another in the order of arming; where there is none, ask."""
    for armed in aimed:
        ask = partial(carry, adapter, armed, ask)
    return ask(request)


def _carry(adapter: Adapter, armed: _Armed, ask: Callable[[Any], Any], request: Any) -> Any:
    todo = script(armed.aim, HttpxView(request))
    if todo is None:
        return ask(request)
    if not isinstance(todo, Attempt):
        return adapter.carry(todo, ask, request, armed.lease)
    try:
        response = ask(request)
    except BaseException:
        todo.ended(failed=True)
        raise
    todo.ended(failed=response.status_code >= 400)
    return response


async def _carry_async(adapter: Adapter, armed: _Armed, ask: Callable[[Any], Any], request: Any) -> Any:
    todo = script(armed.aim, HttpxView(request))
    if todo is None:
        return await ask(request)
    if not isinstance(todo, Attempt):
        return await adapter.carry_async(todo, ask, request, armed.lease)
    try:
        response = await ask(request)
    except BaseException:
        todo.ended(failed=True)
        raise
    todo.ended(failed=response.status_code >= 400)
    return response


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
        yield f"neither {' nor '.join(LIBRARIES)} is installed; {_others()}"


def _explained(armed: _Armed) -> Landing:
    """Return the counts, with the likely reason where there are none."""
    landing = armed.aim.switch.landing()
    landing = replace(landing, cut=landing.cut + armed.lease.cut_short())
    seen = landing.eligible or landing.control_eligible or landing.unattributed
    if seen:
        return landing
    return landing + Landing(reason=f"no matching call was seen over {' or '.join(LIBRARIES)}; {_others()}")


def _others() -> str:
    """Say which HTTP libraries the process has loaded that are not hooked."""
    loaded = [name for name in _UNHOOKED if name in sys.modules]
    return f"loaded but not hooked: {', '.join(loaded)}" if loaded else "no other HTTP library is loaded"


INJECTOR = HttpInjector()
"""The process's injector, found by entry point `http`."""


def hooks_installed() -> int:
    """Return how many methods of other libraries are hooked now; 0 while nothing is armed."""
    return INJECTOR.hooks_installed()
