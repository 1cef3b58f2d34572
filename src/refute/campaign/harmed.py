"""The blast radius of a run: what was predicted before it, what was harmed, and what all runs have spent of the error budget."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from refute.campaign.plan import Proposal
from refute.campaign.record import Record
from refute.core.intent import Intent
from refute.experiment.harm import Became
from refute.experiment.telling import Result
from refute.learning import Resilience, compare, resilience

_T = TypeVar("_T")


def tell_blast(record: Record, intent: Intent, result: Result, proposal: Proposal, environment: str) -> None:
    """Tell what a run harmed, beside what was predicted of it; nothing where nothing was injected.

    Watched are the journeys, the components at which they enter, and the target: of what lies between, outcomes say nothing. What they
    leave unclear is not held against the prediction.

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
    journeys = {name: harm.became for name, harm in result.harm.items() if name in intent.system.journeys}
    components = _entries(intent, journeys) | {target: "harmed" if result.landing.injected else "spared"}
    reach, harm = dict(proposal.reach), dict(proposal.harm)
    known = {name: became == "harmed" for name, became in _named(journeys, components).items() if became != "unclear"}
    found = compare(_named(reach, harm), known)
    record.tell(
        "blast", experiment=result.experiment.id, target=target, targets=sorted(result.experiment.targets), environment=environment,
        predicted={"journeys": reach, "components": harm},
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


def _entries(intent: Intent, journeys: Mapping[str, Became]) -> dict[str, Became]:
    """Return what became of the components at which journeys enter: harmed with any of its journeys, spared with all of them."""
    found: dict[str, set[Became]] = {}
    for name, became in journeys.items():
        found.setdefault(intent.system.journeys[name].entry, set()).add(became)
    return {entry: "harmed" if "harmed" in became else "spared" if became == {"spared"} else "unclear" for entry, became in found.items()}


def _named(journeys: Mapping[str, _T], components: Mapping[str, _T]) -> dict[str, _T]:
    """Return both under names that tell journeys and components apart."""
    return {f"journey {name}": one for name, one in journeys.items()} | dict(components)
