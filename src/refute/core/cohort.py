"""How a unit's cohort travels to another process: signed W3C `baggage` there, one report for each call that counts back.

The signature's key comes from the link's token, so that only processes on the link can make or check one.

| member | holds |
| --- | --- |
| `refute-unit` | the unit's key, percent-encoded |
| `refute-arm` | `treatment` or `control` |
| `refute-sig` | HMAC-SHA256 over both, 32 hexadecimal digits |
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast, get_args
from urllib.parse import quote, unquote

from refute.core.audience import Side
from refute.core.context import Arm, Count, UnitContext

HEADER = "baggage"
MAX_REPORT_BYTES = 8192
_PREFIX = "refute-"
_DIGITS = 32

Tell = Callable[[Count, str], None]


class Seal:
    """Signs the cohort of a unit, and knows a forged one.

    Args:
        token: the link's.

    Attributes:
        salt: what names of users are hashed with, so that they mean nothing outside the run.
    """

    __slots__ = ("_key", "salt")

    def __init__(self, token: str) -> None:
        """Derive the key."""
        self._key = hmac.digest(token.encode(), b"refute cohort", "sha256")
        self.salt = hmac.digest(token.encode(), b"refute user", "sha256")

    def baggage(self, key: str, arm: Arm) -> str:
        """Return the members that carry a unit.

        Args:
            key: the unit's.
            arm: its cohort.
        """
        return f"refute-unit={quote(key, safe='')},refute-arm={arm},refute-sig={self._sign(key, arm)}"

    def opened(self, baggage: str) -> tuple[str, Arm] | None:
        """Return key and arm from a baggage header; None where it carries no unit, or the signature is not ours."""
        ours = dict(_pair(member) for member in _members(baggage) if member.startswith(_PREFIX))
        key, arm = unquote(ours.get("refute-unit", "")), ours.get("refute-arm", "")
        signature = ours.get("refute-sig", "")
        if not key or arm not in get_args(Arm) or not hmac.compare_digest(signature.encode(), self._sign(key, arm).encode()):
            return None
        return key, cast("Arm", arm)

    def _sign(self, key: str, arm: str) -> str:
        return hmac.new(self._key, f"{arm}\x1f{key}".encode(), "sha256").hexdigest()[:_DIGITS]


def carries_unit(baggage: str) -> bool:
    """Say whether a baggage header has members that carry a unit, whoever wrote them."""
    return any(member.startswith(_PREFIX) for member in _members(baggage))


def without_unit(baggage: str) -> str:
    """Return a baggage header without the members that carry a unit."""
    return ",".join(member for member in _members(baggage) if not member.startswith(_PREFIX))


class TravellingUnit(UnitContext):
    """A unit that another process started: what is counted here is told there, at once.

    Args:
        key: the unit's.
        arm: its cohort.
        tell: passes a count on.
    """

    __slots__ = ("_tell",)

    tells = True

    def __init__(self, key: str, arm: Arm, tell: Tell) -> None:
        """Start with nothing seen."""
        super().__init__(key, arm)
        self._tell = tell

    def saw_eligible(self, component: str) -> None:
        """See `UnitContext.saw_eligible`."""
        super().saw_eligible(component)
        self._tell("eligible", component)

    def saw_drawn(self, component: str) -> None:
        """See `UnitContext.saw_drawn`."""
        super().saw_drawn(component)
        self._tell("drawn", component)

    def saw_hit(self, component: str) -> None:
        """See `UnitContext.saw_hit`."""
        super().saw_hit(component)
        self._tell("hit", component)


def report_address(link: str) -> str:
    """Return the path of the datagram socket that takes reports, next to the link's own."""
    return f"{link}.units"


def report(baggage: str, count: Count, component: str) -> bytes:
    """Return one report.

    Args:
        baggage: the signed members that the unit came with.
        count: what was seen.
        component: which component's call it was.
    """
    return json.dumps([baggage, count, component]).encode()


def read_report(datagram: bytes, seal: Seal) -> tuple[str, Count, str] | None:
    """Return (unit's key, count, component) of a report; None where it is garbled or forged."""
    try:
        baggage, count, component = json.loads(datagram)
        opened = seal.opened(baggage)
    except (ValueError, TypeError, AttributeError):
        return None
    if opened is None or count not in get_args(Count) or not isinstance(component, str):
        return None
    return opened[0], count, component


@dataclass(frozen=True, slots=True)
class Start:
    """A unit of live traffic that has started.

    Attributes:
        key: the unit's.
        side: its cohort, or `outside`.
        subject: whose it is: an opaque name, the same for all units of one user; "" where it stands for itself.
        journey: user journey, or "".
        at_s: when, on `lease_now_s` of its machine.
        share: probability with which it was put into treatment, in [0, 1].
        step: of a ramp, from 0.
    """

    key: str
    side: Side
    subject: str
    journey: str
    at_s: float
    share: float
    step: int


def start_report(baggage: str, start: Start) -> bytes:
    """Return the report of a unit's start.

    Args:
        baggage: the signed members that carry it.
        start: what is told of it.
    """
    return json.dumps([baggage, "start", [start.side, start.subject, start.journey, start.at_s, start.share, start.step]]).encode()


def read_start(datagram: bytes, seal: Seal) -> Start | None:
    """Return a unit's start; None where the report is another one, garbled or forged."""
    try:
        baggage, what, (side, subject, journey, at_s, share, step) = json.loads(datagram)
        opened = seal.opened(baggage) if what == "start" and side in get_args(Side) else None
        return None if opened is None else Start(opened[0], side, str(subject), str(journey), float(at_s), float(share), int(step))
    except (ValueError, TypeError, AttributeError):
        return None


def _members(baggage: str) -> Iterator[str]:
    return (stripped for member in baggage.split(",") if (stripped := member.strip()))


def _pair(member: str) -> tuple[str, str]:
    name, _, value = member.partition(";")[0].partition("=")
    return name.strip(), value.strip()
