"""What a function answered to other arguments, kept only while a fault that needs it is armed."""

from __future__ import annotations

import copy
import threading
from collections.abc import Hashable, Mapping
from typing import Any

from refute.wire.exchange import Call
from refute.wire.request import json_object

_PLAIN = frozenset({str, int, float, bool, bytes, type(None)})


class Memory:
    """A bounded memory of real answers by arguments: the first answer to each, as a copy.

    Args:
        size: how many different arguments it knows at most; 0 keeps nothing.
    """

    __slots__ = ("_answers", "_lock", "size")

    def __init__(self, size: int) -> None:
        """Start empty."""
        self.size = size
        self._answers: dict[Hashable, Any] = {}
        self._lock = threading.Lock()

    def others(self, identity: Hashable) -> tuple[Any, ...]:
        """Return the answers to other arguments than these, oldest first."""
        if not self._answers:
            return ()
        with self._lock:
            return tuple(answer for known, answer in self._answers.items() if known != identity)

    def first(self, identity: Hashable) -> tuple[Any, ...]:
        """Return the first answer to these arguments, in a tuple; an empty one where there is none."""
        with self._lock:
            return (self._answers[identity],) if identity in self._answers else ()

    def keep(self, identity: Hashable, answer: Any) -> None:
        """Keep a copy of an answer, unless it says nothing, cannot be copied, or enough is known."""
        if identity in self._answers or len(self._answers) >= self.size or _says_nothing(answer):
            return
        try:
            kept = copy.deepcopy(answer)
        except Exception:  # noqa: BLE001  # locks, sockets and the like refuse in ways of their own; such an answer is not kept
            return
        with self._lock:
            self._answers.setdefault(identity, kept)

    def clear(self) -> None:
        """Forget everything, for good."""
        with self._lock:
            self.size = 0
            self._answers.clear()


def identity_of_call(call: Call) -> Hashable:
    """Return a key that is equal for requests that ask for the same thing on behalf of the same user."""
    request = call.request
    if call.protocol.startswith("mcp"):
        params = json_object(request.body).get("params")
        said = {name: value for name, value in params.items() if name != "_meta"} if isinstance(params, dict) else None
        return (call.operation, _key(said))
    return (request.method, request.url, request.body, request.header("authorization"), request.header("cookie"))


def identity_of_arguments(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Hashable:
    """Return a key that is equal for equal arguments, within this process.

    Objects that compare by identity alone (connections, clients, `self`) count by their type.
    """
    return (_key(args), _key(kwargs)) if kwargs else _key(args)


def _key(value: Any) -> Hashable:
    kind = type(value)
    if kind in _PLAIN:
        return value  # type: ignore[no-any-return]  # hashable: it is one of the plain types
    if isinstance(value, list | tuple):
        return tuple([_key(item) for item in value])
    if isinstance(value, Mapping):
        return frozenset([(_key(key), _key(item)) for key, item in value.items()])
    by_value: Any = kind.__hash__
    if by_value is None or by_value is object.__hash__:
        return kind.__qualname__
    try:
        return (kind.__qualname__, hash(value))
    except TypeError:
        return kind.__qualname__


def _says_nothing(answer: Any) -> bool:
    return answer is None or (hasattr(answer, "__len__") and len(answer) == 0)
