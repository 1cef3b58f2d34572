"""Which way of running an experiment its workload asks for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from refute.experiment.design import Experiment
from refute.experiment.run import Run
from refute.experiment.telling import Sink
from refute.experiment.training.run import TrainingRun
from refute.safety.journal import Journal


def run_of(experiment: Experiment, sink: Sink, journal: Journal, log: Path, aborted: Callable[[], bool]) -> Run | TrainingRun:
    """Return what runs an experiment; arguments as for `Run`."""
    kind = TrainingRun if experiment.intent.workload.training is not None else Run
    return kind(experiment, sink, journal, log, aborted)
