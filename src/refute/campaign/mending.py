"""What a runner that was killed between a verdict and its lesson left undone: the verdict is on record, so it is learned from now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from refute.campaign.standing import Standing
from refute.campaign.telling import Judged, Told
from refute.core.errors import RefuteError
from refute.core.intent import Belief, Intent
from refute.experiment.assess import Count, Look
from refute.safety.runs import registered


def mend(told: Told, standings: Mapping[str, Standing]) -> None:
    """Learn from verdicts on record that nobody has learned from; nothing while another run on this system is live.

    Args:
        told: of this campaign.
        standings: where each belief stands.
    """
    pending = _pending(told)
    if not pending:
        return
    try:
        with registered(told.intent.system.name, "mending the ledger"):
            for experiment, verdict, forecast in _pending(told):
                before = standings[verdict["belief"]]
                told.remember(experiment["experiment"], dict(forecast))
                marks = (experiment.get("marks") or {}).get(before.belief.id, before.marks)
                told.learn(_judged(told.intent, before.belief, experiment, verdict), replace(before, marks=marks))
    except RefuteError as error:
        if error.problems[0].code != "RUN-CONCURRENT":
            raise


def _pending(told: Told) -> list[tuple[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]]]:
    """Return announcement, verdict and forecasts of each verdict without a lesson, in this environment, on beliefs that are still there."""
    announced: dict[str, Mapping[str, Any]] = {}
    forecasts: dict[str, Mapping[str, Any]] = {}
    open_ones: dict[tuple[str, str], Mapping[str, Any]] = {}
    for event in told.record.kept("experiment", "forecast", "verdict", "learned"):
        name = event["experiment"]
        if event["event"] == "experiment":
            announced[name] = event
        elif event["event"] == "forecast":
            forecasts[name] = event["beliefs"]
        elif event["event"] == "verdict":
            open_ones[name, event["belief"]] = event
        else:
            open_ones.pop((name, event["belief"]), None)
    return [
        (announced[name], verdict, forecasts.get(name, {}))
        for (name, belief), verdict in open_ones.items()
        if belief in told.intent.beliefs and name in announced and "arming" in announced[name]
        if verdict.get("environment", "") == told.environment
    ]


def _judged(intent: Intent, belief: Belief, experiment: Mapping[str, Any], verdict: Mapping[str, Any]) -> Judged:
    treatment, control = (Count(one["n"], one["breaches"]) for one in (verdict, verdict["control"]))
    absolute = not belief.then.relative or belief.then.quantile is not None  # a relative quantile was fixed at the baseline
    look = Look(treatment=treatment, control=control, bound=verdict["bound"], absolute=absolute)
    arming, components = experiment["arming"], intent.system.components
    answered = {name: models for name, models in (verdict.get("versions") or {}).items() if name in components}
    return Judged(verdict["experiment"], experiment["seed"], arming["magnitude"], verdict["verdict"], look, answered)
