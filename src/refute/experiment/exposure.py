"""How many units an injection can be expected to read: a ramp takes some, some are outside, and of a user's units one counts."""

from __future__ import annotations

import math
from collections import defaultdict

from refute.core.intent import Intent
from refute.experiment.cases import Case, pools_of, read_cases
from refute.experiment.design import RAMP_UNITS


def ramp_units(intent: Intent, share: float) -> float:
    """Return how many units the steps of a ramp before its last take.

    Args:
        intent: validated.
        share: of units that can meet the fault, in (0, 1].
    """
    return sum(RAMP_UNITS / (step * share * inside(intent)) for step in intent.blast_radius.ramp)


def treated(intent: Intent, units: int, share: float) -> float:
    """Return the treatment units that are evidence.

    Args:
        intent: validated.
        units: of the injection, both arms.
        share: of units that can meet the fault, in [0, 1].
    """
    radius = intent.blast_radius
    if not share or not inside(intent):
        return 0.0
    left = max(0.0, units - ramp_units(intent, share))
    if radius.audience.by:
        return _users(intent, left) * radius.cohort * share
    before = min(len(radius.ramp) * RAMP_UNITS, units * share * inside(intent)) if radius.ramp else 0.0
    return before + left * inside(intent) * radius.cohort * share


def inside(intent: Intent) -> float:
    """Return the share of units that may see a fault, in [0, 1]."""
    if intent.blast_radius.audience.everyone:
        return 1.0
    if intent.workload.observed:
        return _journeys_inside(intent)
    return math.fsum(chance for case, chance in _chances(intent) if intent.blast_radius.audience.includes(case))


def _users(intent: Intent, units: float) -> float:
    """Return how many users that may see a fault so many units are expected to come from."""
    audience = intent.blast_radius.audience
    if intent.workload.cases is None:
        return units * inside(intent)  # each may be somebody else
    by_user: defaultdict[str, float] = defaultdict(float)
    for case, chance in _chances(intent):
        if audience.includes(case):
            by_user[audience.subject(case)] += chance
    return math.fsum(1 - (1 - chance) ** units for chance in by_user.values())


def _journeys_inside(intent: Intent) -> float:
    """Return the share of live traffic that is on journeys which may see a fault; what its requests say is not known before."""
    audience, journeys = intent.blast_radius.audience, intent.system.journeys.values()
    if not journeys:
        return 1.0
    kept = [one for one in journeys if all(not only.journeys or one.name in only.journeys for only in audience.only)]
    kept = [one for one in kept if not any(one.name in without.journeys for without in audience.without)]
    return math.fsum(one.share for one in kept) / math.fsum(one.share for one in journeys)


def _chances(intent: Intent) -> list[tuple[Case, float]]:
    """Return each case with the probability that a unit asks it."""
    journeys = {name: journey.share for name, journey in intent.system.journeys.items()}
    assert intent.workload.cases is not None
    pools = pools_of(read_cases(intent.workload.cases), journeys).values()
    whole = math.fsum(weight for weight, _ in pools)
    return [(case, weight / whole / len(pool)) for weight, pool in pools for case in pool]
