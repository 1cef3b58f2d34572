"""Do workload, indicators and faults fit together where a unit is a training run?"""

from __future__ import annotations

import re
from collections.abc import Iterator

from refute.core.errors import Problem
from refute.faults.spec import seams
from refute.intent.checks.subject import Subject
from refute.intent.document import Steps, listed
from refute.intent.shape import BlastRadiusShape

_REACHED = frozenset({"training", "python", "exchange"})


def check_training(subject: Subject) -> Iterator[Problem]:
    """Yield a problem for each thing that only training runs have and this is none, or that they do not have."""
    training = subject.intent.workload.training
    if training is None:
        yield from _elsewhere(subject)
        return
    yield from _indicators(subject)
    yield from _bounds(subject)
    yield from _beliefs(subject)
    known = set(training.metrics)
    for name, about in subject.shape.indicators.items():
        if training.command and about.metric is not None and known and about.metric not in known:
            what = f"`workload.training.metrics` does not say how to read `{about.metric}` from the output"
            yield subject.problem("TRAINING-METRIC", what, ("indicators", name, "metric"), about.metric, allowed=listed(sorted(known)))
    for number, name in enumerate(training.files):
        if not (subject.intent.folder / name).exists():
            what = "a file that the training depends on does not exist"
            yield subject.problem("DEPENDS-MISSING", what, ("workload", "training", "files", number), name)
    for name, pattern in training.metrics.items():
        if re.compile(pattern).groups != 1:
            what = "the value of a metric is what one group of its expression matches"
            steps = ("workload", "training", "metrics", name)
            yield subject.problem("PATTERN-SYNTAX", what, steps, pattern, allowed="accuracy=([0-9.]+)")


def _elsewhere(subject: Subject) -> Iterator[Problem]:
    for name, about in subject.shape.indicators.items():
        key = "metric" if about.metric is not None else "training" if about.training is not None else ""
        if key:
            what = f"`{name}` is read from a training run, and the workload is none"
            allowed = "`ratio`, `score`, `cost` or `latency`; or `training` under `workload`"
            yield subject.problem("TRAINING-INDICATOR", what, ("indicators", name, key), allowed=allowed)
    for steps, _belief, when in subject.faulted():
        fault = subject.faults.get(when.fault)
        if fault is not None and seams(fault) == {"training"}:
            what = f"`{fault.name}` strikes inside a training run, and the workload is none"
            yield subject.problem("TRAINING-FAULT", what, (*steps, "fault"), fault.name, allowed="`training` under `workload`")


def _indicators(subject: Subject) -> Iterator[Problem]:
    for name, about in subject.shape.indicators.items():
        if about.metric is None and about.training is None:
            what = f"`{name}` is read from a case and its answer, and a training run has neither"
            allowed = "`metric: NAME` or `training: NAME`"
            yield subject.problem("TRAINING-INDICATOR", what, ("indicators", name), allowed=allowed)


def _bounds(subject: Subject) -> Iterator[Problem]:
    yield from _radius(subject, ("blast_radius",), subject.shape.blast_radius)
    for name, about in subject.shape.environments.items():
        if about.blast_radius is not None:
            yield from _radius(subject, ("environments", name, "blast_radius"), about.blast_radius)
    for steps, criterion, role in subject.criteria():
        if role == "stop condition":
            what = "there are no stop conditions on training runs: `seeds`, `timeout` and `blast_radius.duration` bound them"
            yield subject.problem("TRAINING-STOP", what, steps, criterion.text, allowed="no `stop_when`")
        elif role == "steady state":
            what = "the steady state of a training is its runs without the fault: each pair has one"
            yield subject.problem("TRAINING-STOP", what, steps, criterion.text, allowed="no `holds`")


def _radius(subject: Subject, steps: Steps, stated: BlastRadiusShape) -> Iterator[Problem]:
    if stated.cohort not in {None, 0.5}:
        what = "each training run with the fault has one run without it beside it"
        yield subject.problem("TRAINING-PAIRS", what, (*steps, "cohort"), f"{stated.cohort:.0%}", allowed="no `cohort`, or 50%")
    for key, value in {"ramp": stated.ramp, "cohort_by": stated.cohort_by, "only": stated.only, "except": stated.except_}.items():
        if value is not None:
            what = f"`{key}` chooses among requests and users, and the units of a training are its seeds"
            yield subject.problem("TRAINING-LOAD", what, (*steps, key), allowed=f"no `{key}`")


def _beliefs(subject: Subject) -> Iterator[Problem]:
    for steps, belief in subject.beliefs():
        indicator = subject.intent.indicators.get(belief.then.indicator)
        if indicator is not None and indicator.kind == "ratio" and belief.then.relative:
            what = f"`{indicator.name}` is yes or no in each run: it is held against a bound, not against a pair"
            yield subject.problem("TRAINING-PAIRS", what, (*steps, "then"), belief.then.text, allowed=f"{indicator.name} >= 90%")
        if len(belief.faults) > 1:
            what = "a training run takes one fault at a time"
            yield subject.problem("TRAINING-FAULT", what, (*steps, "when"), f"{len(belief.faults)} faults", allowed="one belief a fault")
    for steps, _belief, when in subject.faulted():
        fault = subject.faults.get(when.fault)
        if fault is not None and not seams(fault) & _REACHED:
            what = f"`{fault.name}` strikes what serves requests, not a training run"
            yield subject.problem("TRAINING-FAULT", what, (*steps, "fault"), fault.name, next="refute faults --kind trainer")
        if fault is not None and "training" in seams(fault) and when.share != 1.0:
            what = f"`{fault.name}` strikes once in a run: it has no share"
            yield subject.problem("TRAINING-SHARE", what, (*steps, "share"), f"{when.share:.0%}", allowed="no `share`")
