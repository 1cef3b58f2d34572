"""Faults of vector stores, memories and caches: a part is gone, somebody else's answer comes, or an old one, or none."""

from __future__ import annotations

import random
from hashlib import blake2b
from typing import Any

from refute.core.system import ComponentKind
from refute.faults import _calls, _results
from refute.faults._changes import picked
from refute.faults._data import changes, is_work
from refute.faults.spec import Fault, Magnitude
from refute.wire.exchange import UNCHANGED, Call, PythonCall, PythonStrike, Strike

_VECTORS: frozenset[ComponentKind] = frozenset({"vector_store", "retriever"})
_MEMORY: frozenset[ComponentKind] = frozenset({"datastore", "service", "tool", "vector_store"})
_CACHE: frozenset[ComponentKind] = frozenset({"cache", "datastore"})

_GONE = Magnitude("%", 1.0, 99.0, 30.0, "share of the documents whose shard is gone")
_SILENCE = Magnitude("s", 0.01, 600.0, 30.0, "time from the call to the time-out", log=True)
_timeout, _timeout_python = _calls.times_out(_SILENCE)


def _sharded(data: Any, magnitude: float | None, _rng: random.Random) -> Any:
    """Take away the rows whose hash falls into the shards that are gone: the same ones at every call."""
    share = _GONE.or_typical(magnitude) / 100

    def there(rows: Any) -> list[int]:
        return [place for place, row in enumerate(rows) if _hashed(row) >= share]

    return UNCHANGED if isinstance(data, str) else picked(data, there)


def _hashed(row: Any) -> float:
    return int.from_bytes(blake2b(repr(_identity(row)).encode(), digest_size=4).digest(), "big") / 2**32


def _identity(row: Any) -> Any:
    for name in ("id", "doc_id", "document_id", "chunk_id"):
        found = row.get(name) if isinstance(row, dict) else getattr(row, name, None)
        if found is not None:
            return found
    return row


def _emptied(data: Any, _magnitude: float | None, _rng: random.Random) -> Any:
    changed = _results.emptied(data)
    return UNCHANGED if _calls.same(changed, data) else changed


def _miss(_call: PythonCall, _magnitude: float | None, _rng: random.Random) -> PythonStrike:
    return PythonStrike("miss", instead=lambda: None)


def _miss_exchange(_call: Call, _magnitude: float | None, _rng: random.Random) -> Strike:
    return Strike("status 404", instead=_calls.json_reply(404, {"error": {"code": "not_found", "message": "no such key"}}))


def _reads(call: Call) -> bool:
    return call.request.method in {"GET", "HEAD"}


FAULTS: tuple[Fault, ...] = (
    Fault(
        "vector_store.partial",
        "Some shards are gone, and the search answers all the same.",
        _VECTORS,
        "wrong_answer",
        **changes("shards missing", _sharded),
        effect="the search is made; documents whose hash falls into the missing share are taken out of the results, the same ones at every "
        "call; nothing says so",
        belief="A part of the index that is gone is noticed before users notice",
        source="Elasticsearch and Qdrant answer 200 with failed shards",
        magnitude=_GONE,
        typical_draw="conversation",
    ),
    Fault(
        "vector_store.timeout",
        "The search does not answer.",
        _VECTORS,
        "availability",
        effect="the caller waits for the magnitude and then hears of a time-out: TimeoutError from a function, the transport's own "
        "read time-out "
        "over HTTP",
        landing="counted as the time-out reaches the caller, or the caller gives up waiting",
        belief="A search that hangs does not hang the answer",
        source="compaction, snapshots and full memory of vector databases",
        magnitude=_SILENCE,
        typical_share=0.1,
        strike_exchange=_timeout,
        strike_python=_timeout_python,
        matches_exchange=is_work,
    ),
    Fault(
        "memory.lost",
        "Nothing is remembered of what was said before.",
        _MEMORY,
        "wrong_answer",
        **changes("memory empty", _emptied),
        effect="the memory is read, and what comes back is empty, of the same type",
        belief="A conversation that was forgotten is asked for again, not made up",
        source="evictions, expired sessions, moves between regions",
        typical_share=0.1,
        typical_draw="conversation",
    ),
    Fault(
        "memory.crossed",
        "What is remembered is another user's.",
        _MEMORY,
        "data_exposure",
        effect="the function is called, or the request made, and its result "
        "replaced by a copy of one that it really gave to other arguments earlier in the "
        "run; a "
        "call is eligible only once such a result is known",
        landing="counted as a result that differs from the real one is returned",
        belief="One user never sees what another one said",
        source="the March 2023 ChatGPT incident: titles of other users' conversations",
        typical_share=0.05,
        **_calls.recalls("another user's memory", another=True),
    ),
    Fault(
        "cache.stale",
        "The cache answers with what was true before.",
        _CACHE,
        "wrong_answer",
        effect="the function is called, or the request made, and its result "
        "replaced by the first one that it gave to the same arguments in the run; a call is "
        "eligible only once such a result is known, and one that has not changed since is left alone",
        landing="counted as a result that differs from the real one is returned",
        belief="A cached answer does not outlive what it was about",
        source="caches without invalidation",
        typical_share=0.1,
        **_calls.recalls("stale entry", another=False),
    ),
    Fault(
        "cache.crossed_key",
        "The cache answers with another key's entry.",
        _CACHE,
        "data_exposure",
        effect="the function is called, or the request made, and its result "
        "replaced by a copy of one that it really gave to another key earlier in the "
        "run; a call is "
        "eligible only once such a result is known",
        landing="counted as a result that differs from the real one is returned",
        belief="An entry is checked for whose it is before it is shown",
        source="keys without the user or the tenant; semantic caches with too wide a threshold",
        typical_share=0.05,
        **_calls.recalls("another key's entry", another=True),
    ),
    Fault(
        "cache.miss_storm",
        "The cache has nothing.",
        _CACHE,
        "availability",
        effect="the function is not called and gives None; over HTTP a GET is answered 404 with a JSON body",
        landing="counted as the miss is handed to the caller",
        belief="What stands behind the cache bears the whole load",
        source="restarts of caches, keys that expire together",
        strike_exchange=_miss_exchange,
        strike_python=_miss,
        matches_exchange=_reads,
    ),
)
