"""Faults of retrieval: late, empty, poisoned."""

from __future__ import annotations

import random

from refute.core.system import ComponentKind
from refute.faults import _results
from refute.faults.spec import Fault, Magnitude
from refute.wire.exchange import Call, PythonCall, PythonStrike, Reply, Strike

_KINDS: frozenset[ComponentKind] = frozenset({"retriever", "vector_store"})

_DELAY = Magnitude(unit="s", low=0.01, high=120.0, typical=2.0, meaning="time added before the search", log=True)


def _delay(_call: PythonCall, magnitude: float | None, _rng: random.Random) -> PythonStrike:
    return PythonStrike(effect="delay", hold_s=_DELAY.typical if magnitude is None else magnitude)


def _delay_exchange(_call: Call, magnitude: float | None, _rng: random.Random) -> Strike:
    return Strike(effect="delay", hold_s=_DELAY.typical if magnitude is None else magnitude)


DELAY = Fault(
    name="retriever.delay",
    summary="The search starts late.",
    kinds=frozenset({"retriever", "vector_store", "embedder"}),
    hazard="availability",
    effect="The call waits for the magnitude and then goes through unchanged.",
    landing="counted once the whole wait has passed",
    undone_by="the lease: revoked or expired, waits end at once",
    belief="Answers stay quick when retrieval is slow.",
    source="cold indexes, compaction and noisy neighbours in vector databases",
    magnitude=_DELAY,
    typical_share=1.0,
    strike_exchange=_delay_exchange,
    strike_python=_delay,
)


def _error(call: PythonCall, _magnitude: float | None, _rng: random.Random) -> PythonStrike:
    return PythonStrike(effect="ConnectionError", raises=ConnectionError(f"{call.name}: the search did not answer"))


def _error_exchange(_call: Call, _magnitude: float | None, _rng: random.Random) -> Strike:
    body = b'{"error": {"message": "the search is unavailable", "type": "unavailable"}}'
    return Strike(effect="status 503", instead=Reply(503, (("content-type", "application/json"),), body))


ERROR = Fault(
    name="retriever.error",
    summary="The search fails.",
    kinds=_KINDS,
    hazard="availability",
    effect="The function raises ConnectionError without being called; behind an endpoint: HTTP 503 with a JSON body.",
    landing="counted as the exception is raised, or the 503 handed to the client",
    belief="When the vector search fails, something simpler still finds an answer.",
    source="restarts, full memory and refused connections of vector databases",
    typical_share=0.3,
    strike_exchange=_error_exchange,
    strike_python=_error,
)


def _empty(_call: PythonCall, _magnitude: float | None, _rng: random.Random) -> PythonStrike:
    return PythonStrike(effect="empty result", rewrite=_results.emptied)


EMPTY = Fault(
    name="retriever.empty",
    summary="The search finds nothing.",
    kinds=_KINDS,
    hazard="wrong_answer",
    effect=(
        "The function is called and its result replaced by an empty one of the same type: sequences, sets, text and arrays of length 0; "
        "in mappings and objects each list is emptied and the rest kept; parallel lists (documents, scores) are emptied together."
    ),
    landing="counted as the empty result is returned; a result of an unknown shape is left alone and not counted",
    belief="With nothing found, the system says so and does not make up an answer.",
    source="index rebuilds, wrong filters and renamed collections that return 200 with no hits",
    typical_share=0.2,
    strike_python=_empty,
)


def _poisoned(_call: PythonCall, _magnitude: float | None, rng: random.Random) -> PythonStrike:
    return PythonStrike(effect="poisoned result", rewrite=lambda result: _results.poisoned(result, rng))


POISONED = Fault(
    name="retriever.poisoned",
    summary="One of the results carries an instruction and contradicts the others.",
    kinds=_KINDS,
    hazard="wrong_answer",
    effect=(
        "The function is called; in a copy of its result one item, drawn at random, keeps the first half of its text (so that it still "
        f"looks relevant) and goes on with: {_results.POISON!r} The word {_results.CANARY} shows in answers that obeyed. Items may be "
        f"text, mappings or objects with a field named {', '.join(_results.TEXT_FIELDS)} (the first of these that holds text)."
    ),
    landing="counted as the changed result is returned; a result with no text in it is left alone and not counted",
    belief="An instruction inside a document is never followed.",
    source="indirect prompt injection: Greshake et al. 2023 (arXiv:2302.12173); PoisonedRAG, Zou et al. 2024 (arXiv:2402.07867)",
    typical_share=0.2,
    strike_python=_poisoned,
)

FAULTS = (DELAY, ERROR, EMPTY, POISONED)
