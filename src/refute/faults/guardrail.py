"""Faults of what guards and limits: guardrails that are down, toothless or too strict; budgets, credentials and fallbacks that fail."""

from __future__ import annotations

import random
from typing import Any

from refute.core.system import ComponentKind
from refute.faults import _calls
from refute.faults._changes import rewritten, through_json
from refute.faults._data import changes, is_work
from refute.faults.spec import Fault
from refute.wire.exchange import UNCHANGED

_KINDS: frozenset[ComponentKind] = frozenset({"guardrail_model", "service", "tool"})
_CALLED: frozenset[ComponentKind] = frozenset({"llm", "embedder", "model_server", "service", "tool", "datastore", "vector_store"})

_ALARMS = frozenset(
    {"flagged", "blocked", "unsafe", "violation", "violates", "is_violation", "jailbreak", "block", "triggered", "detected", "toxic"}
)
_CLEARANCES = frozenset({"allowed", "safe", "passed", "is_safe", "valid", "ok", "approved", "allow"})
_VERDICTS = frozenset({"action", "verdict", "decision", "result", "status", "outcome", "label"})
_STOP, _PASS = (
    ("block", "blocked", "deny", "denied", "refuse", "unsafe", "fail", "reject"),
    ("allow", "allowed", "pass", "safe", "ok", "accept"),
)

_down, _down_python = _calls.fails(503, "unavailable", "the guardrail is unavailable")
_expired, _expired_python = _calls.provider_fails("auth", PermissionError)
_exhausted, _exhausted_python = _calls.provider_fails("quota", PermissionError)
_atrophied, _atrophied_python = _calls.provider_fails("not_found", LookupError)


def _ruled(data: Any, *, stop: bool) -> Any:
    """Turn every verdict in the data: alarms and clearances that are booleans, and words such as `allow` and `block`."""

    def turned(name: str, value: Any) -> Any:
        wanted: Any = UNCHANGED
        if isinstance(value, bool) and name.lower() in _ALARMS | _CLEARANCES:
            wanted = stop if name.lower() in _ALARMS else not stop
        elif isinstance(value, bool) and not name:
            wanted = not stop
        elif isinstance(value, str) and (name.lower() in _VERDICTS or not name):
            wanted = _word(value, stop=stop)
        return UNCHANGED if wanted is UNCHANGED or wanted == value else wanted

    return rewritten(data, turned)


def _word(value: str, *, stop: bool) -> Any:
    """Return the opposite word, written alike."""
    words, others = (_PASS, _STOP) if stop else (_STOP, _PASS)
    if value.lower() not in words:
        return UNCHANGED
    other = others[min(words.index(value.lower()), len(others) - 1)]
    return other.upper() if value.isupper() else other.title() if value.istitle() else other


def _annotated(data: Any, _magnitude: float | None, _rng: random.Random) -> Any:
    return _ruled(data, stop=False)


def _strict(data: Any, _magnitude: float | None, _rng: random.Random) -> Any:
    return _ruled(data, stop=True)


FAULTS: tuple[Fault, ...] = (
    Fault(
        "guardrail.down",
        "The guardrail does not answer.",
        _KINDS,
        "data_exposure",
        effect="a function raises ConnectionError without being called; over HTTP: 503 with a JSON body",
        landing="counted as the exception is raised, or the 503 handed to the client",
        belief="Without its guardrail the system says no",
        source="does it fail open or closed? Few teams know",
        typical_share=0.3,
        strike_exchange=_down,
        strike_python=_down_python,
        matches_exchange=is_work,
    ),
    Fault(
        "guardrail.annotate_only",
        "The guardrail notes what it sees, and lets it pass.",
        _KINDS,
        "data_exposure",
        **changes("verdict turned to pass", through_json(_annotated)),
        effect="verdicts that stop are turned into ones that pass: booleans such as `flagged` and `safe`, words such as `block`, and a "
        "plain "
        "True or False (True passes); scores and categories stay",
        belief="A guardrail without teeth is noticed in a drill",
        source="guardrails left in their trial mode",
        typical_draw="conversation",
    ),
    Fault(
        "guardrail.strict",
        "The guardrail stops what is harmless.",
        _KINDS,
        "availability",
        **changes("verdict turned to stop", through_json(_strict)),
        effect="verdicts that pass are turned into ones that stop, as `guardrail.annotate_only` turns them the other way",
        belief="Users who are stopped for nothing get a way on",
        source="a threshold or a model version that changed",
        typical_share=0.1,
    ),
    Fault(
        "budget.exhausted",
        "The budget is used up.",
        _CALLED,
        "availability",
        effect="the provider's own words for an empty account (see `llm.quota`); from a function PermissionError, without its being called",
        landing="counted as the error is handed to the caller",
        belief="When the money is gone the system says so, and nothing is half done",
        source="spending limits that are reached on the last day of the month",
        typical_draw="conversation",
        strike_exchange=_exhausted,
        strike_python=_exhausted_python,
        matches_exchange=is_work,
    ),
    Fault(
        "credential.expired",
        "The credential expires in mid-run.",
        _CALLED,
        "availability",
        effect="401 in the provider's own words (see `llm.auth`); from a function PermissionError, without its being called",
        landing="counted as the error is handed to the caller",
        belief="An expired credential is renewed, or told to whoever can renew it",
        source="tokens that live for an hour, conversations that live for two",
        typical_draw="conversation",
        strike_exchange=_expired,
        strike_python=_expired_python,
        matches_exchange=is_work,
    ),
    Fault(
        "fallback.atrophied",
        "The way out is broken too.",
        _CALLED,
        "availability",
        effect="404 in the provider's own words: the model, or the endpoint, is not there any more; from a function LookupError, "
        "without its "
        "being called; aim it at the component that others fall back to",
        landing="counted as the error is handed to the caller",
        belief="The fallback works on the day that it is needed",
        source="fallback models that were retired; paths that nothing has called for a year",
        typical_draw="conversation",
        strike_exchange=_atrophied,
        strike_python=_atrophied_python,
        matches_exchange=is_work,
    ),
)
