"""Finds the function that `module:function` names, and every place that refers to it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from types import ModuleType
from typing import Any

MISSING: Any = object()
"""Stands for an attribute that a class inherits and does not hold itself."""


class UnresolvedError(Exception):
    """The reference leads to nothing that can be wrapped; its text says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """A function and where it is kept.

    Attributes:
        name: `module:function` or `module:Class.method`.
        owner: the module or class that holds it.
        attribute: its name there.
        raw: what stands there: the function, a staticmethod or classmethod, or `MISSING` where it is inherited.
        function: the function itself.
        binding: what a wrapper must be put into before it is kept on the owner.
    """

    name: str
    owner: Any
    attribute: str
    raw: Any
    function: Callable[..., Any]
    binding: Callable[[Any], Any]

    @property
    def is_async(self) -> bool:
        """Say whether calling it gives a coroutine, decorators included."""
        return inspect.iscoroutinefunction(inspect.unwrap(self.function))


@dataclass(frozen=True, slots=True)
class Site:
    """One place that refers to a function: an item of a namespace, dictionary or list.

    Attributes:
        holder: the namespace, dictionary or list.
        key: name, key or index in it.
    """

    holder: Any
    key: Any

    def swap(self, old: object, new: object) -> None:
        """Put `new` there, unless something else than `old` has come to stand there."""
        try:
            if self.holder[self.key] is old:
                self.holder[self.key] = new
        except (KeyError, IndexError):
            return


def resolve(reference: str) -> Target:
    """Import what a reference names and return it as a target.

    Args:
        reference: `module:function` or `module:Class.method`.

    Raises:
        UnresolvedError: there is no such module or function, or it is nothing that can be wrapped.
    """
    module_name, _, path = reference.partition(":")
    if not module_name or not path:
        raise UnresolvedError(f"{reference!r} is not of the form module:function")
    if is_ours(module_name):
        raise UnresolvedError(f"{reference!r} is a part of Refute itself")
    owner: Any = _imported(module_name)
    *outer, attribute = path.split(".")
    for name in outer:
        owner = _member(owner, name, reference)
    function = _member(owner, attribute, reference)
    raw = vars(owner).get(attribute, MISSING)
    binding: Callable[[Any], Any] = _as_is
    if isinstance(owner, type):
        found = inspect.getattr_static(owner, attribute)
        if isinstance(found, staticmethod | classmethod):
            binding, function = type(found), found.__func__
    _check(function, reference)
    return Target(reference, owner, attribute, raw, function, binding)


def sites_of(function: object) -> Iterator[Site]:
    """Return every place in loaded modules, ours left out, that refers to a function by identity.

    Names in modules, and the values of dictionaries and lists that modules hold (tables of tools). What a closure or
    an object holds is not found.
    """
    for module in list(sys.modules.values()):
        if not isinstance(module, ModuleType) or is_ours(module.__name__):
            continue
        namespace = vars(module)
        for name, value in list(namespace.items()):
            if value is function:
                yield Site(namespace, name)
            elif type(value) is dict:
                yield from (Site(value, key) for key, item in list(value.items()) if item is function)
            elif type(value) is list:
                yield from (Site(value, index) for index, item in enumerate(list(value)) if item is function)


def is_ours(module: str) -> bool:
    """Say whether a module belongs to Refute; the application of the demonstration does not."""
    return (module == "refute" or module.startswith("refute.")) and not module.startswith("refute.demo.")


def _imported(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise UnresolvedError(f"there is no module {name!r}{_close(name, sys.modules)}") from error
        raise UnresolvedError(f"importing {name!r} fails: {error}") from error
    except Exception as error:  # a user's module may raise anything while it is imported
        raise UnresolvedError(f"importing {name!r} fails: {type(error).__name__}: {error}") from error


def _member(owner: Any, name: str, reference: str) -> Any:
    if not isinstance(owner, ModuleType | type):
        raise UnresolvedError(f"{reference!r} leads through {type(owner).__name__!r}, which is neither a module nor a class")
    try:
        return getattr(owner, name)
    except AttributeError:
        hint = _close(name, [known for known in dir(owner) if not known.startswith("__")])
        raise UnresolvedError(f"{owner.__name__!r} has no {name!r}{hint}") from None


def _close(name: str, known: Any) -> str:
    close = get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _check(function: Any, reference: str) -> None:
    inner = inspect.unwrap(function) if callable(function) else function
    if inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
        raise UnresolvedError(f"{reference!r} is a generator: its results come one by one; name the function that it gets them from")
    if not (inspect.isfunction(function) or inspect.ismethod(function) or inspect.isbuiltin(function)):
        kind = type(function).__name__
        raise UnresolvedError(f"{reference!r} is a {kind}, not a function; name a plain function that it calls")


def _as_is(wrapper: Any) -> Any:
    return wrapper
