"""Faults in named Python functions: wrapped while armed, the identical object again afterwards."""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

from refute.core.arming import Arming, Handle, Landing, RollbackKind
from refute.core.errors import refuse
from refute.core.lease import Lease
from refute.faults.catalogue import catalogue
from refute.injectors._armed import Arguments, Armed, Begun, play, play_async
from refute.injectors._awaited import awaits, forget, when_imported
from refute.injectors._ear import Ear
from refute.injectors._memory import identity_of_arguments
from refute.injectors._targets import MISSING, Site, Target, UnresolvedError, resolve, sites_of
from refute.wire.exchange import PythonCall

_LOCK = threading.RLock()
_PATCHES: list[_Patch] = []
"""Functions that are wrapped now, in this process; empty while nothing is armed."""
_WRAPPERS: weakref.WeakSet[Any] = weakref.WeakSet()
"""Every wrapper that somebody still refers to."""


class CallablesInjector:
    """Wraps the function that a component's `python` names, and everything in loaded modules that refers to it."""

    name = "callables"
    rollback_kind: RollbackKind = "expiring"

    def __init__(self) -> None:
        """Arm nothing yet."""
        self._armed: dict[str, Armed] = {}
        self._awaited: dict[str, Callable[[], None]] = {}
        self._missed: dict[str, str] = {}

    def refuses(self, arming: Arming) -> str:
        """Say why this injector cannot do it, or return ""; imports nothing, as the planner's process is not the program's."""
        component, fault = arming.component, catalogue().get(arming.fault)
        if not component.python:
            return f"component {component.name!r} names no python function"
        if fault is None or fault.strike_python is None:
            return f"{arming.fault} is not a fault of Python functions"
        return fault.objection(component.kind, arming.magnitude)

    def prepare(self, arming: Arming) -> Handle:
        """Make the handle.

        Raises:
            RefuteError: it cannot be done (`CALLABLES-REFUSED`).
        """
        if reason := self.refuses(arming):
            raise refuse("CALLABLES-REFUSED", reason, where=arming.component.name)
        return Handle(self.name, "expiring", {"arming": arming.to_json()})

    def apply(self, handle: Handle, lease: Lease) -> None:
        """Wrap the function; calls are struck for as long as the lease lasts.

        Raises:
            RefuteError: the function is no longer there (`CALLABLES-REFUSED`), or the handle is applied (`CALLABLES-TWICE`).
        """
        arming = Arming.from_json(handle.data["arming"])
        lease.permits(arming.component)
        if reason := self.refuses(arming):
            raise refuse("CALLABLES-REFUSED", reason, where=arming.component.name)
        if handle.id in self._armed:
            raise refuse("CALLABLES-TWICE", "this handle has been applied before; prepare a new one", seen=handle.id)
        armed = Armed(arming, catalogue()[arming.fault], lease)
        module = arming.component.python.partition(":")[0]
        if awaits(module):
            self._armed[handle.id] = armed
            self._awaited[handle.id] = partial(self._imported, handle.id)
            when_imported(module, self._awaited[handle.id])
            return
        try:
            self._put(armed)
        except UnresolvedError as error:
            raise refuse("CALLABLES-REFUSED", str(error), where=arming.component.name) from None
        self._armed[handle.id] = armed

    def _imported(self, handle: str) -> None:
        """Wrap a function whose module the program has just imported."""
        del self._awaited[handle]
        try:
            self._put(self._armed[handle])
        except UnresolvedError as error:
            self._missed[handle] = str(error)

    def _put(self, armed: Armed) -> None:
        """Wrap the function.

        Raises:
            UnresolvedError: it is not there.
        """
        target = resolve(armed.arming.component.python)
        with _LOCK:
            patch = _patch_of(target)
            patch.armed = (*patch.armed, armed)

    def landed(self, handle: Handle) -> Landing:
        """Return what has been delivered so far, after the rollback too."""
        armed = self._armed.get(handle.id)
        if armed is None:
            return Landing(reason="never applied in this process")
        missed = self._missed.get(handle.id, "")
        return replace(armed.landing(), reason=missed) if missed else armed.landing()

    def rollback(self, handle: Handle) -> None:
        """End the fault, and unwrap the function once no other fault is armed on it."""
        armed = self._armed.get(handle.id)
        if armed is None:
            return
        armed.off()
        if handle.id in self._awaited:
            forget(armed.arming.component.python.partition(":")[0], self._awaited.pop(handle.id))
            self._missed[handle.id] = f"{armed.arming.component.python.partition(':')[0]} was not imported while armed"
        with _LOCK:
            for patch in [known for known in _PATCHES if armed in known.armed]:
                patch.armed = tuple(other for other in patch.armed if other is not armed)
                patch.let_go()

    def verify(self, handle: Handle) -> bool:
        """Say whether nothing in this process is struck, held or wrapped for this handle any more."""
        armed = self._armed.get(handle.id)
        if armed is None:
            return True
        if handle.id in self._awaited:
            return False
        if handle.id in self._missed:
            return True
        with _LOCK:
            if armed.holding or any(armed in patch.armed for patch in _PATCHES):
                return False
            try:
                target = resolve(armed.arming.component.python)
            except UnresolvedError:
                return True
            return target.function not in _WRAPPERS or any(patch.covers(target) for patch in _PATCHES)


def listen(reference: str, tool: str) -> None:
    """Note every call of a function in the unit that makes it, as its caller sees it: outside whatever faults do to it.

    Args:
        reference: `module:function`.
        tool: what its calls are called.

    Raises:
        UnresolvedError: there is no such function.
    """
    target = resolve(reference)
    with _LOCK:
        patch = _patch_of(target)
        patch.ear = Ear(tool, patch.target.function)


def _patch_of(target: Target) -> _Patch:
    """Return what wraps a function, wrapped now where nothing did."""
    patch = next((known for known in _PATCHES if known.covers(target)), None)
    if patch is None:
        patch = _Patch(target)
        patch.put()
        _PATCHES.append(patch)
    return patch


class _Patch:
    """One wrapped function, the faults that are armed on it, and who listens to its calls.

    Args:
        target: what is wrapped.
    """

    def __init__(self, target: Target) -> None:
        """Make the wrapper without putting it anywhere."""
        self.target = target
        self.armed: tuple[Armed, ...] = ()
        self.ear: Ear | None = None
        self._wrapper = _wrapper_async(self) if target.is_async else _wrapper_sync(self)
        _WRAPPERS.add(self._wrapper)
        self._standing: Any = target.binding(self._wrapper)
        self._sites: list[Site] = []

    def covers(self, target: Target) -> bool:
        """Say whether a target, perhaps resolved by another name, is this function."""
        return target.function is self._wrapper or (target.function is self.target.function and target.owner is self.target.owner)

    def put(self) -> None:
        """Let every reference lead to the wrapper."""
        self._sites = [] if isinstance(self.target.owner, type) else list(sites_of(self.target.function))
        setattr(self.target.owner, self.target.attribute, self._standing)
        for site in self._sites:
            site.swap(self.target.function, self._wrapper)

    def let_go(self) -> None:
        """Unwrap the function once no fault is armed on it and nobody listens."""
        if not self.armed and self.ear is None:
            self.restore()
            _PATCHES.remove(self)

    def restore(self) -> None:
        """Put the original back wherever the wrapper stands, in modules loaded since too."""
        owner, name, raw = self.target.owner, self.target.attribute, self.target.raw
        if vars(owner).get(name) is self._standing:
            if raw is MISSING:
                delattr(owner, name)
            else:
                setattr(owner, name, raw)
        for site in (*self._sites, *sites_of(self._wrapper)):
            site.swap(self._wrapper, self.target.function)
        self._sites = []


def _wrapper_sync(patch: _Patch) -> Callable[..., Any]:
    function = patch.target.function

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        note = patch.ear.hears(args, kwargs) if patch.ear is not None else None
        if note is None:
            return armed_call(args, kwargs)
        with note:
            note.result = armed_call(args, kwargs)
            return note.result

    def armed_call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not patch.armed:
            return function(*args, **kwargs)
        struck = _Struck(patch, args, kwargs)

        def call(other: Arguments | None = None) -> Any:
            result = function(*args, **kwargs) if other is None else function(*other[0], **other[1])
            struck.answered(result)
            return result

        for armed in reversed(patch.armed):
            call = functools.partial(_met, struck, armed, call)
        return call()

    return wrapped


def _wrapper_async(patch: _Patch) -> Callable[..., Any]:
    function = patch.target.function

    @functools.wraps(function)
    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        note = patch.ear.hears(args, kwargs) if patch.ear is not None else None
        if note is None:
            return await armed_call(args, kwargs)
        with note:
            note.result = await armed_call(args, kwargs)
            return note.result

    async def armed_call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not patch.armed:
            return await function(*args, **kwargs)
        struck = _Struck(patch, args, kwargs)

        async def call(other: Arguments | None = None) -> Any:
            result = await (function(*args, **kwargs) if other is None else function(*other[0], **other[1]))
            struck.answered(result)
            return result

        for armed in reversed(patch.armed):
            call = functools.partial(_met_async, struck, armed, call)
        return await call()

    return wrapped


class _Struck:
    """One call on its way through the armed faults, the first to be armed nearest to the caller: each decides once it is reached.

    Args:
        patch: the function.
        args: of the call.
        kwargs: of the call.
    """

    __slots__ = ("_begun", "_call", "_identity")

    def __init__(self, patch: _Patch, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Start before the first fault."""
        self._identity = identity_of_arguments(args, kwargs)
        self._call = PythonCall(patch.target.name, args, kwargs)
        self._begun: list[Begun] = []

    def reaches(self, armed: Armed) -> Begun | None:
        """Let a fault decide; None where the call belongs to no unit."""
        begun = armed.begin(self._call, self._identity)
        if begun is not None:
            self._begun.append(begun)
        return begun

    def answered(self, result: Any) -> None:
        """Tell the faults that were reached what the function really returned."""
        for begun in self._begun:
            begun.answered(result)


def _met(struck: _Struck, armed: Armed, call: Callable[[Arguments | None], Any], other: Arguments | None = None) -> Any:
    begun = struck.reaches(armed)
    if begun is None:
        return call(other)
    try:
        return call(other) if begun.script is None else play(begun.script, call, other, armed.wait)
    except BaseException:
        begun.failed()
        raise


async def _met_async(
    struck: _Struck, armed: Armed, call: Callable[[Arguments | None], Awaitable[Any]], other: Arguments | None = None
) -> Any:
    begun = struck.reaches(armed)
    if begun is None:
        return await call(other)
    try:
        return await (call(other) if begun.script is None else play_async(begun.script, call, other, armed.wait_async))
    except BaseException:
        begun.failed()
        raise


INJECTOR = CallablesInjector()
"""The one of this process, found by entry point."""
