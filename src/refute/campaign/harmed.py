"""The blast radius of a run: what was predicted before it, what was harmed, and what all runs have spent of the error budget."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from typing import Any

from refute.campaign.plan import Proposal
from refute.campaign.record import Record
from refute.core.intent import Intent
from refute.experiment.telling import Result
from refute.learning import Resilience, compare, resilience


def tell_blast(record: Record, intent: Intent, result: Result, proposal: Proposal, environment: str) -> None:
    """Tell what a run harmed, beside what was predicted of it; nothing where nothing was injected.

    Watched are the journeys, the components at which they enter, and the target: of what lies between, outcomes say nothing.

    Args:
        record: where to.
        intent: validated.
        result: of the run.
        proposal: that it followed.
        environment: where it ran.
    """
    if not result.harm:
        return
    target = result.experiment.arming.component.name
    harmed = {name for name, harm in result.harm.items() if harm.harmed and name}
    entries = {intent.system.journeys[name].entry: False for name in result.harm if name in intent.system.journeys}
    entries |= {intent.system.journeys[name].entry: True for name in harmed}
    components = entries | {target: result.landing.injected > 0}
    reach, harm = dict(proposal.reach), dict(proposal.harm)
    touched = [name for name, hit in components.items() if hit]
    found = compare(_named(reach, harm), _names(harmed, touched), _names([name for name in result.harm if name], components))
    record.tell(
        "blast", experiment=result.experiment.id, target=target, environment=environment, predicted={"journeys": reach, "components": harm},
        actual={"journeys": {name: one.to_json() for name, one in result.harm.items()}, "components": components},
        brier=found.brier, surprises=list(found.surprises),
        spoiled={
            "units": math.fsum(one.spoiled for one in result.harm.values()), "low": math.fsum(one.low for one in result.harm.values()),
            "high": math.fsum(one.high for one in result.harm.values()),
        },
    )  # fmt: skip


def spent(intent: Intent, blasts: Iterable[Mapping[str, Any]], environment: str, now: float | None = None) -> Resilience | None:
    """Return what experiments have spent of the error budget within its window; None where no budget is stated.

    Args:
        intent: validated.
        blasts: `blast` events of the ledger.
        environment: only runs here count.
        now: seconds since the epoch; the present where None.
    """
    budget = intent.blast_radius.error_budget
    if budget is None:
        return None
    since = (time.time() if now is None else now) - budget.window_s
    runs = [one["spoiled"] for one in blasts if one["at"] >= since and one.get("environment", "") == environment]
    whole = (1 - budget.objective) * intent.workload.rate_per_s * budget.window_s
    return resilience(((run["units"], run["low"], run["high"]) for run in runs), whole, budget.spend)


def _named(journeys: Mapping[str, float], components: Mapping[str, float]) -> dict[str, float]:
    """Return all predictions, under names that tell journeys and components apart."""
    return {f"journey {name}": chance for name, chance in journeys.items()} | dict(components)


def _names(journeys: Iterable[str], components: Iterable[str]) -> list[str]:
    return [*(f"journey {name}" for name in journeys), *components]
