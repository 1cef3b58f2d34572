"""The indicators of one training run: from what it told, and from the run of the same seed without the fault."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from refute.core.intent import Indicator
from refute.experiment.training.record import Record

_SPIKE = 1.1  # times control's loss at the same step: beyond it a step belongs to a spike


def values_of(indicators: Iterable[Indicator], run: Record, control: Record) -> dict[str, float | None]:
    """Return each indicator's value for one run; None where it has none: a metric that is missing or no number, a wait without end.

    Args:
        indicators: of the intent.
        run: what to read.
        control: the run of the same seed without the fault, perhaps the same.
    """
    return {one.name: _finite(_value(one, run, control)) for one in indicators}


def _value(indicator: Indicator, run: Record, control: Record) -> float:
    if indicator.kind == "metric" and indicator.source not in _READ:
        return run.metrics.get(indicator.source, math.nan)
    return _READ[indicator.source](run, control)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def struck_s(run: Record) -> float:
    """Return when a fault first struck a run; its start where nobody noted that."""
    return min((hit.at_s for hit in run.hits), default=0.0)


def told(run: Record) -> list[float]:
    """Return when anything said that something is wrong: an exit code, an alarm in the output, a metric that is no number.

    A run that simply hangs tells nobody: that its time is up says as little of the fault as of anything else.

    Args:
        run: what to read.

    Returns:
        Seconds from the run's start.
    """
    moments = list(run.failures)
    if run.alarm_s is not None:
        moments.append(run.alarm_s)
    if any(not math.isfinite(value) for value in run.metrics.values()):
        moments.append(run.seconds)
    return moments


def _detection_time(run: Record, _control: Record) -> float:
    since = struck_s(run)
    return min((at - since for at in told(run) if at >= since), default=math.nan)


def _noticed(run: Record, control: Record) -> float:
    return float(math.isfinite(_detection_time(run, control)))


def _finished(run: Record, _control: Record) -> float:
    return float(run.finished)


def _resumed_equal(run: Record, control: Record) -> float:
    """1 where the run ended with the very metrics of control."""
    return float(run.finished and bool(run.metrics) and dict(run.metrics) == dict(control.metrics))


@dataclass(frozen=True, slots=True)
class Setback:
    """A time that a run went back.

    Attributes:
        lost: steps that were to be done again.
        from_s: when its furthest step before was told, seconds from the run's start.
        to_s: when it was further; infinite where it never was and did not finish.
    """

    lost: int
    from_s: float
    to_s: float


def setbacks(run: Record) -> Iterator[Setback]:
    """Yield each time that a run went back.

    Ranks report the same steps within a moment of each other: only a step that comes after a pause of its own kind counts, so that
    going back means to report a step that had been reported by the same run before, and then the steps after it, too.

    Args:
        run: what to read.
    """
    furthest, at_s = 0, 0.0
    lost, since_s = 0, 0.0
    for before, now in pairwise(run.steps):
        if before.step > furthest:
            furthest, at_s = before.step, before.at_s
        if not lost and now.step <= furthest and now.step < before.step:
            lost, since_s = furthest - now.step + 1, at_s
        elif lost and now.step > furthest:
            yield Setback(lost, since_s, now.at_s)
            lost = 0
    if lost:
        yield Setback(lost, since_s, run.seconds if run.finished else math.inf)


def _steps_lost(run: Record, _control: Record) -> float:
    """How many steps were done again; all of them, without end, where the run did not finish."""
    return float(sum(one.lost for one in setbacks(run))) if run.finished else math.inf


def _recovery_time(run: Record, _control: Record) -> float:
    """The longest time from a last step before a setback until the run was further; 0 where it never went back and finished."""
    if not run.finished:
        return math.inf
    return max((one.to_s - one.from_s for one in setbacks(run)), default=0.0)


def _wasted_compute(run: Record, _control: Record) -> float:
    """Seconds of work that were done again or for nothing: all of a run that did not finish."""
    return run.seconds if not run.finished else sum(one.to_s - one.from_s for one in setbacks(run))


def _spike(run: Record, control: Record) -> list[tuple[float, float]]:
    """Return loss and control's loss of each step from the strike on at which the loss lies beyond control's; infinite for no number."""
    usual = {step.step: step.loss for step in control.steps if step.loss is not None}
    since = struck_s(run)
    pairs = [(step.loss, usual.get(step.step, math.nan)) for step in run.steps if step.at_s >= since and step.loss is not None]
    known = [(loss if math.isfinite(loss) else math.inf, other) for loss, other in pairs if math.isfinite(other)]
    return [(loss, other) for loss, other in known if loss > max(other * _SPIKE, other)]


def _spike_size(run: Record, control: Record) -> float:
    return max((loss - other for loss, other in _spike(run, control)), default=0.0)


def _spike_steps(run: Record, control: Record) -> float:
    return float(len(_spike(run, control)))


_READ = {
    "finished": _finished, "noticed": _noticed, "resumed_equal": _resumed_equal, "steps_lost": _steps_lost,
    "recovery_time": _recovery_time, "wasted_compute": _wasted_compute, "detection_time": _detection_time, "spike_size": _spike_size,
    "spike_steps": _spike_steps,
}  # fmt: skip
