"""Who may see a fault: units are kept in or out by journey and by what their case says, and a user's units stay in one arm."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Literal

from refute.core.context import Arm
from refute.core.draws import in_treatment

Side = Literal["treatment", "control", "outside"]
"""An arm, or neither: a unit that no fault may meet is no control either, as nothing was drawn for it."""

_PSEUDONYM_BYTES = 6


@dataclass(frozen=True, slots=True)
class Selection:
    """Some units.

    Attributes:
        journeys: names; empty for any where it says which units there are, for none where it says which are spared.
        cases: values by field of the case, as text; likewise.
    """

    journeys: frozenset[str] = frozenset()
    cases: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def all_of(self, case: Mapping[str, Any]) -> bool:
        """Say whether a case is of one of the journeys and has one of the values of each field."""
        fits = not self.journeys or case.get("journey") in self.journeys
        return fits and all(_texts(case.get(name)) & values for name, values in self.cases.items())

    def any_of(self, case: Mapping[str, Any]) -> bool:
        """Say whether a case is of one of the journeys, or has one of the values of a field."""
        return case.get("journey") in self.journeys or any(_texts(case.get(name)) & values for name, values in self.cases.items())

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {"journeys": sorted(self.journeys), "cases": {name: sorted(values) for name, values in self.cases.items()}}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Selection:
        """Return the selection that `to_json` wrote."""
        return cls(frozenset(data["journeys"]), {name: frozenset(values) for name, values in data["cases"].items()})


@dataclass(frozen=True, slots=True)
class Audience:
    """Who may see a fault.

    Attributes:
        by: field of the case by which cohorts are drawn, so that all units of one value are in one arm; "" for each unit by itself.
        only: units must be in each of these.
        without: units in any of these are kept out.
    """

    by: str = ""
    only: tuple[Selection, ...] = ()
    without: tuple[Selection, ...] = ()

    @property
    def everyone(self) -> bool:
        """Whether no unit is kept out."""
        return not self.only and not self.without

    def includes(self, case: Mapping[str, Any]) -> bool:
        """Say whether units of a case may see a fault."""
        return all(one.all_of(case) for one in self.only) and not any(one.any_of(case) for one in self.without)

    def subject(self, case: Mapping[str, Any]) -> str:
        """Return a pseudonym of whom a case belongs to, "" where each unit stands for itself: who it is is nobody's business here."""
        if not self.by:
            return ""
        return "u" + blake2b(f"{self.by}\x1f{case.get(self.by, '')}".encode(), digest_size=_PSEUDONYM_BYTES).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {"by": self.by, "only": [one.to_json() for one in self.only], "without": [one.to_json() for one in self.without]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Audience:
        """Return the audience that `to_json` wrote."""
        return cls(data["by"], tuple(map(Selection.from_json, data["only"])), tuple(map(Selection.from_json, data["without"])))


def side(seed: int, drawn_for: str, share: float, *, inside: bool) -> Side:
    """Return where a unit belongs; as the share grows, what was in treatment stays there.

    Args:
        seed: the experiment's.
        drawn_for: the unit's key, or the pseudonym of its user.
        share: of treatment, in [0, 1].
        inside: whether it may see a fault at all.
    """
    if not inside:
        return "outside"
    return "treatment" if in_treatment(seed, drawn_for, share) else "control"


def arm_of(where: Side) -> Arm:
    """Return the arm in which injectors see a unit: what is outside is spared as control is."""
    return "treatment" if where == "treatment" else "control"


def _texts(value: Any) -> frozenset[str]:
    """Return what a field says as text; a list says each of its items."""
    items: Iterable[Any] = value if isinstance(value, list) else () if value is None else (value,)
    return frozenset(str(item).lower() if isinstance(item, bool) else str(item) for item in items)
