"""What a campaign came to: its summary, and the exit code that the summary names."""

from __future__ import annotations

import time
from collections.abc import Sequence

from refute.campaign.record import Record
from refute.campaign.telling import Told
from refute.core.errors import EXIT_INCONCLUSIVE, RefuteError, worst_exit
from refute.core.events import Event
from refute.experiment.telling import Result


def codes_of(results: Sequence[Result]) -> list[int]:
    """Return the exit codes that count; one run of several for a threshold is only a step."""
    return [result.exit_code for result in results if not _step(result, results)]


def _step(result: Result, results: Sequence[Result]) -> bool:
    """Whether a run was only a step towards a threshold, and another run has decided what is believed of it."""
    if result.exit_code != EXIT_INCONCLUSIVE or result.over or len(result.decided()) != 1:
        return False
    (belief,) = result.decided()
    words = {other.verdicts[belief.id].word for other in results if belief.id in other.verdicts}
    return belief.at_least is not None and result.verdicts[belief.id].word == "inconclusive" and bool(words & {"held", "refuted"})


def sum_up(record: Record, told: Told, results: Sequence[Result], began: float, code: int) -> int:
    """Keep and show the summary, and return the exit code that it names.

    Args:
        record: where to; what cannot be kept is shown all the same.
        told: of the experiments.
        results: of them, oldest first.
        began: when, in seconds since the epoch.
        code: the worst of what happened.
    """
    event = _summary(told, results, began, code)
    try:
        record.ledger.append(event)
    except RefuteError as error:
        record.problems(error)
        event = _summary(told, results, began, worst_exit([code, EXIT_INCONCLUSIVE]))
    record.see(event)
    return int(event.data["exit_code"])


def _summary(told: Told, results: Sequence[Result], began: float, code: int) -> Event:
    data = {
        "exit_code": code, "experiments": [result.experiment.id for result in results],
        "verdicts": [told.summed(result, belief) for result in results for belief in result.decided()],
        "seconds": time.time() - began, "spend": _spend(results), "units": sum(result.units for result in results),
    }  # fmt: skip
    return Event("summary", data, time.time())


def _spend(results: Sequence[Result]) -> dict[str, float]:
    names = sorted({name for result in results for name in result.cost})
    return {name: sum(result.cost.get(name, 0.0) for result in results) for name in names}
