"""Faults of retrieval: late, failing, empty, old, in the wrong order, poisoned."""

from __future__ import annotations

import random
from typing import Any

from refute.core.system import ComponentKind
from refute.faults import _calls, _results
from refute.faults._changes import DROP, picked, rewritten, through_json
from refute.faults._data import changes, is_work
from refute.faults.spec import Fault, Magnitude
from refute.wire.exchange import UNCHANGED

_KINDS: frozenset[ComponentKind] = frozenset({"retriever", "vector_store"})
_SOURCES = frozenset(
    {
        "source",
        "url",
        "uri",
        "link",
        "title",
        "file",
        "filename",
        "path",
        "author",
        "doc_id",
        "document_id",
        "source_id",
        "reference",
        "citation",
    }
)

_DELAY = Magnitude("s", 0.01, 120.0, 2.0, "time added before the search", log=True)
_DROPPED = Magnitude("%", 1.0, 99.0, 60.0, "share of the results that is missing, the last ones first")
_delay, _delay_python = _calls.waits(_DELAY)
_error, _error_python = _calls.fails(503, "unavailable", "the search is unavailable")


def _emptied(data: Any, _magnitude: float | None, _rng: random.Random) -> Any:
    changed = _results.emptied(data)
    return UNCHANGED if _calls.same(changed, data) else changed


def _poisoned(data: Any, _magnitude: float | None, rng: random.Random) -> Any:
    return _results.poisoned(data, rng)


def _permuted(data: Any, _magnitude: float | None, rng: random.Random) -> Any:
    def shuffled(rows: Any) -> list[int]:
        places = list(range(len(rows)))
        rng.shuffle(places)
        return places if places != sorted(places) else places[::-1]

    return UNCHANGED if isinstance(data, str) else picked(data, shuffled)


def _truncated(data: Any, magnitude: float | None, _rng: random.Random) -> Any:
    kept = 1 - _DROPPED.or_typical(magnitude) / 100
    return (
        UNCHANGED if isinstance(data, str) else picked(data, lambda rows: list(range(max(1, int(len(rows) * kept)))) if len(rows) else [])
    )


def _unsourced(data: Any, _magnitude: float | None, _rng: random.Random) -> Any:
    return rewritten(data, lambda name, value: DROP if name.lower() in _SOURCES and value is not None else UNCHANGED)


FAULTS: tuple[Fault, ...] = (
    Fault(
        "retriever.delay",
        "The search starts late.",
        frozenset({"retriever", "vector_store", "embedder"}),
        "availability",
        effect="The call waits for the magnitude and then goes through unchanged.",
        landing="counted once the whole wait has passed",
        undone_by="the lease: revoked or expired, waits end at once",
        belief="Answers stay quick when retrieval is slow.",
        source="cold indexes, compaction and noisy neighbours in vector databases",
        magnitude=_DELAY,
        typical_share=1.0,
        strike_exchange=_delay,
        strike_python=_delay_python,
        matches_exchange=is_work,
    ),
    Fault(
        "retriever.error",
        "The search fails.",
        _KINDS,
        "availability",
        effect="The function raises ConnectionError without being called; behind an endpoint: HTTP 503 with a JSON body.",
        landing="counted as the exception is raised, or the 503 handed to the client",
        belief="When the vector search fails, something simpler still finds an answer.",
        source="restarts, full memory and refused connections of vector databases",
        typical_share=0.3,
        strike_exchange=_error,
        strike_python=_error_python,
        matches_exchange=is_work,
    ),
    Fault(
        "retriever.empty",
        "The search finds nothing.",
        _KINDS,
        "wrong_answer",
        **changes("empty result", _emptied),
        effect="The search is made and its result replaced by an empty one of the same type: sequences, sets, text and arrays of length 0; "
        "in mappings and objects each list is emptied and the rest kept; parallel lists (documents, scores) are emptied together.",
        belief="With nothing found, the system says so and does not make up an answer.",
        source="index rebuilds, wrong filters and renamed collections that return 200 with no hits",
        typical_share=0.2,
    ),
    Fault(
        "retriever.stale",
        "The search finds what it found before the documents changed.",
        _KINDS,
        "wrong_answer",
        effect="The function is called, or the request made, and its result "
        "replaced by the first one that it gave to the same query in the run; a call is "
        "eligible only once such a result is known, and one that has not changed since is left alone.",
        landing="counted as a result that differs from the real one is returned",
        belief="Old documents do not lead to wrong promises.",
        source="index refreshes that stopped; replicas that lag",
        typical_share=0.2,
        **_calls.recalls("stale result", another=False),
    ),
    Fault(
        "retriever.permuted",
        "The results come in the wrong order.",
        _KINDS,
        "wrong_answer",
        **changes("order shuffled", _permuted),
        effect="The search is made and its results shuffled; parallel lists (documents, scores) alike. One result alone is left as it is.",
        belief="The best document need not come first.",
        source="lost rerankers; Lost in the Middle, Liu et al. 2023 (arXiv:2307.03172)",
        typical_share=0.3,
    ),
    Fault(
        "retriever.truncated",
        "Only the first results come.",
        _KINDS,
        "wrong_answer",
        **changes("results missing", _truncated),
        effect="The search is made and the last results are taken away, as many as the magnitude says; the first one stays.",
        belief="Fewer documents make fewer answers, not wrong ones.",
        source="limits, time-limited searches",
        magnitude=_DROPPED,
        typical_share=0.3,
    ),
    Fault(
        "retriever.poisoned",
        "One of the results carries an instruction and contradicts the others.",
        _KINDS,
        "wrong_answer",
        **changes("poisoned result", _poisoned),
        effect="The search is made; in a copy of its result one item, drawn at random, keeps the first half of its text (so that it still "
        f"looks relevant) and goes on with: {_results.POISON!r} The word {_results.CANARY} shows in answers that obeyed. Items may be "
        f"text, mappings or objects with a field named {', '.join(_results.TEXT_FIELDS)} (the first of these that holds text).",
        belief="An instruction inside a document is never followed.",
        source="indirect prompt injection: Greshake et al. 2023 (arXiv:2302.12173); PoisonedRAG, Zou et al. 2024 (arXiv:2402.07867)",
        typical_share=0.2,
    ),
    Fault(
        "retriever.missing_source",
        "The results do not say where they come from.",
        _KINDS,
        "wrong_answer",
        **changes("sources missing", through_json(_unsourced)),
        effect=f"The search is made; fields named {', '.join(sorted(_SOURCES))} are taken out of the results (None in objects).",
        belief="Without a source, no source is made up.",
        source="metadata lost when documents are split or an index is rebuilt",
        typical_share=0.2,
    ),
)
