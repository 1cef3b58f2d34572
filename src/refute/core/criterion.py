"""A criterion: what must hold of an indicator. One grammar for beliefs, steady state and stop conditions.

[journey.]indicator [pNN|mean] (>= | <= | > | < | worse by <= | worse by >) value
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from refute.core import units
from refute.core.deviation import BANDS

Relation = Literal[">=", "<=", ">", "<", "worse by <=", "worse by >"]
ValueKind = Literal["share", "seconds", "money", "number", "points"]

_CRITERION = re.compile(
    r"^\s*(?:(?P<journey>[A-Za-z0-9_-]+)\.)?(?P<indicator>[A-Za-z_][A-Za-z0-9_-]*)"
    r"(?:\s+(?P<statistic>p\d{1,2}(?:\.\d+)?|mean))?"
    r"\s*(?P<relation>worse\s+by\s*(?:<=|>(?!=))|>=|<=|>|<)\s*(?P<value>.+?)\s*$"
)
GRAMMAR = "[journey.]indicator [pNN|mean] (>= | <= | worse by <=) value"


class CriterionError(ValueError):
    """A criterion that cannot be read; the message says what is allowed."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """What must hold of an indicator.

    Attributes:
        indicator: name of the indicator, or `loss` or `spend` in a stop condition.
        relation: how the value bounds it; `worse by` compares with the concurrent control.
        value: the bound: shares and points in [0, 1], durations in seconds, money in its own unit.
        kind: what `value` is.
        journey: only units of this user journey, or "".
        statistic: "" (ratio or plain mean), "mean", or a quantile such as "p95".
        text: as written.
    """

    indicator: str
    relation: Relation
    value: float
    kind: ValueKind
    journey: str = ""
    statistic: str = ""
    text: str = ""

    @property
    def relative(self) -> bool:
        """Whether it compares with the concurrent control."""
        return self.relation.startswith("worse")

    @property
    def quantile(self) -> float | None:
        """The quantile in (0, 1), None where the statistic is none."""
        return float(self.statistic[1:]) / 100 if self.statistic.startswith("p") else None

    @property
    def higher_is_better(self) -> bool | None:
        """Whether a bound from below was stated; None for `worse by`, where the indicator tells."""
        return None if self.relative else self.relation in {">=", ">"}

    @property
    def currency(self) -> str:
        """Three capital letters where the value is money, else ""."""
        return self.text.split()[-1][-3:] if self.kind == "money" else ""

    def __str__(self) -> str:
        return self.text


def parse_criterion(text: str) -> Criterion:
    """Read a criterion.

    Args:
        text: such as `answered >= 95%` or `checkout.latency p95 worse by <= 1 s`.

    Raises:
        CriterionError: it does not follow the grammar, or its value is ambiguous.
    """
    match = _CRITERION.match(text)
    if not match:
        if re.search(r"\bdrops?\b", text):
            raise CriterionError("'drops' is ambiguous (points or percent?): write `worse by <= 5 points`")
        raise CriterionError(f"a criterion reads {GRAMMAR}")
    relation = re.sub(r"\s+", " ", match["relation"]).replace("by>", "by >").replace("by<=", "by <=")
    value, kind = _value(match["value"], relative=relation.startswith("worse"))
    statistic = match["statistic"] or ""
    if statistic.startswith("p") and not 0 < float(statistic[1:]) < 100:
        raise CriterionError("a quantile lies between p1 and p99.9")
    return Criterion(match["indicator"], relation, value, kind, match["journey"] or "", statistic, " ".join(text.split()))  # type: ignore[arg-type]


def _value(text: str, *, relative: bool) -> tuple[float, ValueKind]:
    if text in BANDS:
        return BANDS[text], "number"
    number, unit = _quantity(text)
    if unit in {"points", "point", "pp"}:
        if not relative:
            raise CriterionError("points compare with the control: write `worse by <= …`; an absolute bound is a percentage")
        return number / 100, "points"
    if unit == "%":
        if relative:
            raise CriterionError("a percentage of what? write `worse by <= 5 points`, or an absolute bound")
        return units.share(text), "share"
    if unit == "":
        return number, "number"
    if re.fullmatch(r"[A-Z]{3}", unit):
        return number, "money"
    try:
        return units.seconds(text), "seconds"
    except units.UnitError:
        raise CriterionError("a value with its unit: 95%, 5 points, 1 s, 5 USD or a plain number") from None


def _quantity(text: str) -> tuple[float, str]:
    try:
        return units.quantity(text)
    except units.UnitError as error:
        raise CriterionError(f"the value is {error}") from None
