"""What an injection harmed: failures in treatment beyond those that control had in the same minutes, journey by journey."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from refute.core.feed import independent
from refute.core.outcome import Outcome, Slot
from refute.stats import compare_arms, log_harm

Became = Literal["harmed", "spared", "unclear"]

NEGLIGIBLE = 0.1
"""Share of a journey's units that may have been spoiled unseen where it is called spared."""


@dataclass(frozen=True, slots=True)
class Bad:
    """Bad units of one arm.

    Attributes:
        units: that ended.
        bad: of them; they failed, or a ratio says that they were no good.
    """

    units: int = 0
    bad: int = 0


@dataclass(frozen=True, slots=True)
class Harm:
    """What became of one journey.

    Attributes:
        treatment: units that could see the fault.
        control: those beside them; of a fault that struck everybody, those before it.
        spoiled: units that went bad because of the fault; below 0 where control did worse.
        low: of its 95 % interval.
        high: likewise.
        became: harmed, where chance does not explain what was spoiled; spared, where the interval leaves no room for more than
            `NEGLIGIBLE` of its units; unclear, where there were too few of them to say either.
    """

    treatment: Bad
    control: Bad
    spoiled: float
    low: float
    high: float
    became: Became

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return asdict(self)


def harm_of(slots: Iterable[Slot], before: Iterable[Outcome], ratios: Collection[str], alpha: float) -> dict[str, Harm]:
    """Return the harm to each journey; to "" where units name none.

    The steps of a ramp are compared each by itself, as their shares differ. One unit of each user counts where a user's units share an
    arm, and stands for all of them in what was spoiled.

    Args:
        slots: of the injection.
        before: outcomes of the baseline, which stand for control where there is none.
        ratios: names of the indicators that say whether a unit is good.
        alpha: probability of calling a journey harmed that is not.
    """
    ended = [slot for slot in slots if slot.outcome is not None and slot.arm != "outside"]
    calm = list(before)
    found = {}
    for journey in sorted({slot.journey for slot in ended}):
        mine = [slot for slot in ended if slot.journey == journey]
        usual = _bad((outcome for outcome in calm if outcome.journey == journey), ratios)
        if (harm := _harm(mine, usual, ratios, alpha)) is not None:
            found[journey] = harm
    return found


def _harm(slots: list[Slot], usual: Bad, ratios: Collection[str], alpha: float) -> Harm | None:
    spoiled = variance_low = variance_high = 0.0
    units = 0
    treatment = control = Bad()
    segments: list[tuple[int, int, float]] = []
    for step in sorted({slot.step for slot in slots}):
        here = [slot for slot in slots if slot.step == step]
        alike = list(independent(here))
        treated, beside = (
            _bad((one.outcome for one in alike if one.arm == arm and one.outcome), ratios) for arm in ("treatment", "control")
        )
        share = here[0].share
        beside = usual if share >= 1 else beside
        if not treated.units or not beside.units:
            continue
        stands_for = sum(slot.arm == "treatment" for slot in here)
        difference = compare_arms((treated.bad, treated.units), (beside.bad, beside.units), min(share, 0.5))
        units += stands_for
        spoiled += difference.difference * stands_for
        variance_low += ((difference.difference - difference.low) * stands_for) ** 2
        variance_high += ((difference.high - difference.difference) * stands_for) ** 2
        treatment = Bad(treatment.units + treated.units, treatment.bad + treated.bad)
        control = Bad(control.units + beside.units, control.bad + beside.bad)
        segments += [(treated.bad, beside.bad, share)] if share < 1 else []
    if not treatment.units:
        return None
    low, high = spoiled - math.sqrt(variance_low), spoiled + math.sqrt(variance_high)
    harmed = log_harm(segments) >= -math.log(alpha) if segments else low > 0
    spared = high < NEGLIGIBLE * units
    return Harm(treatment, control, spoiled, low, high, "harmed" if harmed else "spared" if spared else "unclear")


def _bad(outcomes: Iterable[Outcome], ratios: Collection[str]) -> Bad:
    known = list(outcomes)
    bad = sum(bool(one.error) or any(one.values.get(name) == 0 for name in ratios) for one in known)
    return Bad(len(known), bad)
