"""Notes calls of a function in the unit that makes them, for indicators that ask what an agent did."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from typing import Any

from refute.core.context import UnitContext, current_unit, shielded
from refute.core.deviation import Action

_within: ContextVar[tuple[str, ...]] = ContextVar("refute_within", default=())


class Ear:
    """Listens to one function.

    Args:
        tool: what its calls are called.
        function: for the names of its arguments.
    """

    __slots__ = ("_signature", "_tool")

    def __init__(self, tool: str, function: Callable[..., Any]) -> None:
        """Read the function's signature, where it has one."""
        self._tool = tool
        try:
            self._signature: inspect.Signature | None = inspect.signature(function)
        except (TypeError, ValueError):
            self._signature = None

    def hears(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Note | None:
        """Return what notes a call, to be entered around it; None where it is made for no unit of which that is asked."""
        unit = current_unit.get()
        if unit is None or unit.actions is None or shielded.get():
            return None
        return Note(unit, self._tool, self._bound(args, kwargs))

    def _bound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Mapping[str, Any]:
        if self._signature is not None:
            try:
                return self._signature.bind(*args, **kwargs).arguments
            except TypeError:
                pass  # the call itself will say so
        return {**{str(place): value for place, value in enumerate(args)}, **kwargs}


class Note:
    """One call; a context manager around it.

    Args:
        unit: that makes it.
        tool: what is called.
        arguments: by name.

    Attributes:
        result: to be set to what the caller is given.
    """

    __slots__ = ("_arguments", "_start_s", "_token", "_tool", "_unit", "result")

    def __init__(self, unit: UnitContext, tool: str, arguments: Mapping[str, Any]) -> None:
        """Note nothing yet."""
        self._unit, self._tool, self._arguments = unit, tool, arguments
        self.result: Any = None

    def __enter__(self) -> None:
        """Begin."""
        self._token: Token[tuple[str, ...]] = _within.set((*_within.get(), self._tool))
        self._start_s = time.perf_counter()

    def __exit__(self, kind: type[BaseException] | None, *_exc: object) -> None:
        """Note how it ended."""
        within = _within.get()[:-1]
        _within.reset(self._token)
        end_s, error = time.perf_counter(), "" if kind is None else kind.__name__
        if self._unit.actions is not None:
            self._unit.actions.append(Action(self._tool, self._arguments, self.result, error, self._start_s, end_s, within))
