"""Which faults can strike one component at once: the first that is stated stands nearest to the caller, each next one behind it."""

from __future__ import annotations

import random
from dataclasses import dataclass

from refute.core.system import Component
from refute.faults.preview import Preview, preview, protocols_of
from refute.faults.spec import Fault
from refute.wire.exchange import Call, Pause, PythonCall

_CALL = PythonCall("module:function")


@dataclass(frozen=True, slots=True)
class Part:
    """One fault of a combination, as far as it matters to the others.

    Attributes:
        fault: what it is.
        always: whether every call that it could hit is hit.
    """

    fault: Fault
    always: bool


def conflict(before: Part, behind: Part, component: Component) -> str:
    """Say why two faults cannot strike one component at once, or return "".

    Args:
        before: nearer to the caller.
        behind: asked only where the other asks on.
        component: that both strike.
    """
    first, second, name = before.fault, behind.fault, component.name
    reasons = {
        f"`{first.name}` twice on `{name}` is one fault: its `share` and `magnitude` say how much": first.name == second.name,
        f"`{first.name}` and `{second.name}` both act on the {first.acts_on} of `{name}`: one undoes or hides the other": (
            bool(first.acts_on) and first.acts_on == second.acts_on
        ),
        f"`{first.name}` answers every call itself: nothing is left for `{second.name}`, which stands behind it": (
            before.always and _hides(first, second, component)
        ),
        f"`{second.name}` answers every call itself: `{first.name}`, which stands before it, finds no reply to change": (
            behind.always and _starves(first, second, component)
        ),
    }
    return next((reason for reason, so in reasons.items() if so), "")


def _hides(first: Fault, second: Fault, component: Component) -> bool:
    """Say whether one fault leaves nothing that another behind it could hit."""
    if not _by_exchange(first, second, component):
        return _python_alone(first)
    met = _previews(second)
    return _alone(first) and all(first.matches_exchange is None or first.matches_exchange(one.call) for one in met)


def _starves(first: Fault, second: Fault, component: Component) -> bool:
    """Say whether one fault changes nothing but replies, and another behind it leaves no good one."""
    if not _by_exchange(first, second, component):
        struck = first.strike_python(_CALL, None, random.Random(0)) if first.strike_python else None
        return struck is not None and struck.rewrite is not None and not struck.hold_s and _python_alone(second)
    met = _previews(first)
    changed = not _alone(first) and not any(isinstance(one.steps[0], Pause) for one in met if one.steps)
    asked: list[Call] = [one.call for one in met]
    return changed and _alone(second) and all(second.matches_exchange is None or second.matches_exchange(call) for call in asked)


def _by_exchange(first: Fault, second: Fault, component: Component) -> bool:
    return bool(component.endpoint and first.strike_exchange and second.strike_exchange)


def _alone(fault: Fault) -> bool:
    """Say whether a fault answers without anybody behind it being asked."""
    met = _previews(fault)
    return bool(met) and all(one.request is None for one in met)


def _previews(fault: Fault) -> list[Preview]:
    found = (preview(fault, protocol, stream=stream) for protocol in protocols_of(fault) for stream in (False, True))
    return [one for one in found if one is not None]


def _python_alone(fault: Fault) -> bool:
    if fault.strike_python is None:
        return False
    struck = fault.strike_python(_CALL, None, random.Random(0))
    return struck.instead is not None or (struck.raises is not None and not struck.call_first)
