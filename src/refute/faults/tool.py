"""Faults of the tools that an agent calls: they fail, they do it and never say so, they answer about somebody else."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

from refute.faults.spec import Fault, Magnitude
from refute.wire.exchange import UNCHANGED, Call, PythonCall, PythonStrike, Reply, Strike

_ERROR_TEXT = "upstream service returned 500 Internal Server Error"


def _error(call: PythonCall, _magnitude: float | None, _rng: random.Random) -> PythonStrike:
    error = ConnectionError(_ERROR_TEXT)
    error.add_note(f"injected by Refute: tool.error into {call.name}")
    return PythonStrike(effect="ConnectionError", raises=error)


def _error_exchange(_call: Call, _magnitude: float | None, _rng: random.Random) -> Strike:
    body = json.dumps({"error": {"code": "internal_error", "message": _ERROR_TEXT}}).encode()
    headers = (("content-type", "application/json"), ("content-length", str(len(body))))
    return Strike(effect="status 500", instead=Reply(500, headers, body))


ERROR = Fault(
    name="tool.error",
    summary="The tool fails at once, without doing its work.",
    kinds=frozenset({"tool", "service", "datastore", "feature_store"}),
    hazard="availability",
    effect=(
        "A Python tool raises ConnectionError (an OSError, as HTTP clients and drivers raise) and is not called; an HTTP tool answers "
        "500 with a JSON error body and is not asked."
    ),
    landing="counted as the exception or the status is handed to the caller",
    belief="A failing tool is retried or owned up to, and the agent never makes up its answer.",
    source="tau-bench and AgentDojo tool failures; agent frameworks' issue trackers",
    typical_share=0.2,
    strike_exchange=_error_exchange,
    strike_python=_error,
)

_WAIT = Magnitude(unit="s", low=0.01, high=600.0, typical=10.0, meaning="time from the end of the work to the time-out", log=True)


def _timeout_after_commit(call: PythonCall, magnitude: float | None, _rng: random.Random) -> PythonStrike:
    seconds = _WAIT.typical if magnitude is None else magnitude
    error = TimeoutError(f"timed out after {seconds:g} s")
    error.add_note(f"injected by Refute: tool.timeout_after_commit into {call.name}")
    return PythonStrike(effect="TimeoutError after the work", raises=error, call_first=True, hold_after_s=seconds)


TIMEOUT_AFTER_COMMIT = Fault(
    name="tool.timeout_after_commit",
    summary="The tool does its work, but the caller waits and then hears of a time-out.",
    kinds=frozenset({"tool", "service", "datastore"}),
    hazard="state_write",
    effect="The function runs to its end; the caller waits for the magnitude and gets TimeoutError instead of the result.",
    landing="counted as the TimeoutError is raised, after the work was done and the whole wait had passed",
    undone_by="the lease: revoked or expired, waits end and callers get the real result; work done twice by retries stays done",
    belief="A retry after a time-out does not do the work twice.",
    source="double charges and double bookings after retries: idempotency guides of payment providers",
    magnitude=_WAIT,
    typical_share=0.1,
    strike_python=_timeout_after_commit,
)


def _knows_another(call: PythonCall) -> bool:
    return bool(call.earlier)


def _wrong_entity(call: PythonCall, _magnitude: float | None, rng: random.Random) -> PythonStrike:
    def rewrite(result: Any) -> Any:
        others = [answer for answer in call.earlier if not _same(answer, result)]
        return copy.deepcopy(rng.choice(others)) if others else UNCHANGED

    return PythonStrike(effect="another entity's answer", rewrite=rewrite)


def _same(one: Any, other: Any) -> bool:
    """Compare as far as the types allow; arrays and the like, whose comparison is no boolean, count as different."""
    try:
        return bool(one == other)
    except (TypeError, ValueError):
        return False


WRONG_ENTITY = Fault(
    name="tool.wrong_entity",
    summary="The tool answers with a valid result that is about somebody else.",
    kinds=frozenset({"tool", "service", "datastore", "feature_store"}),
    hazard="data_exposure",
    effect=(
        "The function is called, and its result replaced by a copy of one that it really gave to other arguments earlier in the run. "
        "A call is eligible only once such a result is known."
    ),
    landing="counted as a result that differs from the real one is returned",
    belief="The agent checks that a result is about what it asked for.",
    source="crossed cache keys and race conditions: the March 2023 ChatGPT incident (another user's data through a Redis client)",
    typical_share=0.1,
    strike_python=_wrong_entity,
    matches_python=_knows_another,
    remembers=32,
)

FAULTS = (ERROR, TIMEOUT_AFTER_COMMIT, WRONG_ENTITY)
