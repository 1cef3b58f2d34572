"""Do workload, indicators and faults fit together where a unit is a training run?"""

from __future__ import annotations

import re
from collections.abc import Iterator

from refute.core.errors import Problem
from refute.faults.spec import seams
from refute.intent.checks.subject import Subject
from refute.intent.document import listed

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
    for steps, belief in subject.beliefs():
        fault = subject.faults.get(belief.when.fault)
        if fault is not None and seams(fault) == {"training"}:
            what = f"`{fault.name}` strikes inside a training run, and the workload is none"
            yield subject.problem("TRAINING-FAULT", what, (*steps, "when", "fault"), fault.name, allowed="`training` under `workload`")


def _indicators(subject: Subject) -> Iterator[Problem]:
    for name, about in subject.shape.indicators.items():
        if about.metric is None and about.training is None:
            what = f"`{name}` is read from a case and its answer, and a training run has neither"
            allowed = "`metric: NAME` or `training: NAME`"
            yield subject.problem("TRAINING-INDICATOR", what, ("indicators", name), allowed=allowed)


def _bounds(subject: Subject) -> Iterator[Problem]:
    cohort = subject.shape.blast_radius.cohort
    if cohort not in {None, 0.5}:
        what = "each training run with the fault has one run without it beside it"
        yield subject.problem("TRAINING-PAIRS", what, ("blast_radius", "cohort"), f"{cohort:.0%}", allowed="no `cohort`, or 50%")
    for number, stop in enumerate(subject.shape.stop_when):
        what = "there are no stop conditions on training runs: `seeds`, `timeout` and `blast_radius.duration` bound them"
        yield subject.problem("TRAINING-STOP", what, ("stop_when", number), stop.text, allowed="no `stop_when`")
    for number, held in enumerate(subject.shape.steady_state.holds):
        what = "the steady state of a training is its runs without the fault: each pair has one"
        yield subject.problem("TRAINING-STOP", what, ("steady_state", "holds", number), held.text, allowed="no `holds`")


def _beliefs(subject: Subject) -> Iterator[Problem]:
    for steps, belief in subject.beliefs():
        fault = subject.faults.get(belief.when.fault)
        indicator = subject.intent.indicators.get(belief.then.indicator)
        if fault is not None and not seams(fault) & _REACHED:
            what = f"`{fault.name}` strikes what serves requests, not a training run"
            yield subject.problem("TRAINING-FAULT", what, (*steps, "when", "fault"), fault.name, next="refute faults --kind trainer")
        if fault is not None and "training" in seams(fault) and belief.when.share != 1.0:
            what = f"`{fault.name}` strikes once in a run: it has no share"
            yield subject.problem("TRAINING-SHARE", what, (*steps, "when", "share"), f"{belief.when.share:.0%}", allowed="no `share`")
        if indicator is not None and indicator.kind == "ratio" and belief.then.relative:
            what = f"`{indicator.name}` is yes or no in each run: it is held against a bound, not against a pair"
            yield subject.problem("TRAINING-PAIRS", what, (*steps, "then"), belief.then.text, allowed=f"{indicator.name} >= 90%")
