"""Faults of model servers and feature stores."""

from __future__ import annotations

import random
from typing import Any

from refute.core.system import ComponentKind
from refute.faults import _calls
from refute.faults._changes import DROP, picked, rewritten
from refute.faults._data import changes
from refute.faults.spec import Fault, Magnitude
from refute.wire.exchange import UNCHANGED, Call, Failure, PythonCall, PythonStrike, Strike

_SERVERS: frozenset[ComponentKind] = frozenset({"model_server", "llm", "embedder"})
_JSON: frozenset[ComponentKind] = frozenset({"model_server"})
_BATCHES: frozenset[ComponentKind] = frozenset({"model_server", "embedder"})
_STORES: frozenset[ComponentKind] = frozenset({"feature_store"})
_VERSIONS = frozenset({"model_version", "version", "model_name", "model", "modelversion", "revision"})
_OOM = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.15 GiB of which 1.12 GiB is free. Process 1 has "
    "78.02 GiB memory in use."
)
_QUEUE = "inference request batch-size exceeds maximum queue size: Exceeds maximum queue size"

_SLOW = Magnitude("s", 0.05, 120.0, 3.0, "how late the answer is", log=True)
_START = Magnitude("s", 0.1, 900.0, 30.0, "time until the model is loaded", log=True)
_FIELDS = Magnitude("%", 1.0, 100.0, 30.0, "share of the features that is hit, the same ones at every call")
_SKEW = Magnitude("1", 1.01, 1000.0, 100.0, "factor between training and serving", log=True)
_DRIFT = Magnitude("%", 1.0, 500.0, 25.0, "how far the numbers have moved")

_slow, _slow_python = _calls.waits(_SLOW)
_start, _start_python = _calls.waits(_START)
_full, _full_python = _calls.fails(503, "UNAVAILABLE", _QUEUE)
_oom, _oom_python = _calls.fails(500, "INTERNAL", _OOM, MemoryError)


def _crash(_call: Call, _magnitude: float | None, rng: random.Random) -> Strike:
    failure = rng.choice((Failure.RESET, Failure.CONNECT))
    return Strike(failure.value, instead=failure)


def _crash_python(call: PythonCall, _magnitude: float | None, _rng: random.Random) -> PythonStrike:
    return PythonStrike("ConnectionResetError", raises=ConnectionResetError(f"{call.name}: the model server went away"))


def _other_version(data: Any, _magnitude: float | None, _rng: random.Random) -> Any:
    def renamed(name: str, value: Any) -> Any:
        if name.lower() not in _VERSIONS or isinstance(value, bool) or not isinstance(value, str | int):
            return UNCHANGED
        if isinstance(value, int) or value.isdecimal():
            return type(value)(max(0, int(value) - 1))
        return f"{value}-previous"

    return rewritten(data, renamed)


def _mixed(data: Any, _magnitude: float | None, _rng: random.Random) -> Any:
    """Turn each batch by one place: every answer belongs to the next one's question."""
    return UNCHANGED if isinstance(data, str) else picked(data, lambda rows: [*range(1, len(rows)), 0][: len(rows)])


def _chosen(name: str, share: float) -> bool:
    return random.Random(f"feature/{name}").random() < share


def _of_features(data: Any, magnitude: float | None, change: Any) -> Any:
    """Change some of the features, drawn by their names; where the draw takes none, the first."""
    share = _FIELDS.or_typical(magnitude) / 100
    names: list[str] = []
    rewritten(data, lambda name, value: names.append(name) if name and value is not None else UNCHANGED)
    hit = {name for name in names if _chosen(name, share)} or set(names[:1])
    return rewritten(data, lambda name, value: change(value) if name in hit and value is not None else UNCHANGED)


def _missing(data: Any, magnitude: float | None, _rng: random.Random) -> Any:
    return _of_features(data, magnitude, lambda _value: DROP)


def _default(data: Any, magnitude: float | None, _rng: random.Random) -> Any:
    def blank(value: Any) -> Any:
        return UNCHANGED if value == type(value)() else type(value)()

    return _of_features(data, magnitude, blank)


def _numbers(data: Any, factor: float) -> Any:
    def scaled(_name: str, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float) or not value:
            return UNCHANGED
        return type(value)(round(value * factor)) if isinstance(value, int) else value * factor

    return rewritten(data, scaled)


def _skewed(data: Any, magnitude: float | None, _rng: random.Random) -> Any:
    return _numbers(data, _SKEW.or_typical(magnitude))


def _drifted(data: Any, magnitude: float | None, _rng: random.Random) -> Any:
    return _numbers(data, 1 + _DRIFT.or_typical(magnitude) / 100)


FAULTS: tuple[Fault, ...] = (
    Fault(
        "serving.crash",
        "The model server goes away.",
        _SERVERS,
        "availability",
        effect="the transport's own error for a connection that is reset, or refused; drawn for each call; a function raises "
        "ConnectionResetError without being called",
        landing="number of failures handed to the client, by kind",
        belief="A server that crashes is replaced without users noticing",
        source="out-of-memory kills, driver errors, spot instances",
        typical_share=0.1,
        strike_exchange=_crash,
        strike_python=_crash_python,
    ),
    Fault(
        "serving.slow",
        "Inference is slow.",
        _SERVERS,
        "availability",
        effect="the call goes on after the magnitude; a shorter read time-out fires",
        landing="number of calls held for the whole time",
        belief="Answers stay quick enough when inference is slow",
        source="batches that are full, throttled GPUs, neighbours",
        magnitude=_SLOW,
        typical_share=0.3,
        strike_exchange=_slow,
        strike_python=_slow_python,
    ),
    Fault(
        "serving.queue_full",
        "The model server's queue is full.",
        _SERVERS,
        "availability",
        effect="503 with the words of Triton's batcher; a function raises ConnectionError without being called",
        landing="number of refusals handed to the client",
        belief="A full queue makes the system wait or shed load, not fall over",
        source="Triton's `max_queue_size`; load beyond what was planned",
        typical_share=0.2,
        strike_exchange=_full,
        strike_python=_full_python,
    ),
    Fault(
        "serving.oom",
        "The model server runs out of GPU memory.",
        _SERVERS,
        "availability",
        effect="500 with PyTorch's words for it; a function raises MemoryError without being called",
        landing="number of such errors handed to the client",
        belief="One request that is too large does not fail the others",
        source="long prompts and fragmented memory; PyTorch's own message",
        typical_share=0.05,
        strike_exchange=_oom,
        strike_python=_oom_python,
    ),
    Fault(
        "serving.wrong_version",
        "The answer comes from another version of the model.",
        _JSON,
        "wrong_answer",
        **changes("another version's name", _other_version),
        effect=f"fields named {', '.join(sorted(_VERSIONS))} name the version before (a number less by 1, a name with `-previous`); "
        "the answer "
        "itself stays (see `llm.wrong_model` for providers' APIs)",
        belief="An answer of another version is noticed",
        source="rollouts that stopped half-way",
        typical_share=0.3,
        typical_draw="user",
    ),
    Fault(
        "serving.batch_mix",
        "The answers of a batch are mixed up.",
        _BATCHES,
        "data_exposure",
        **changes("answers turned by one", _mixed),
        effect="lists of answers in the reply (predictions, outputs, vectors) are turned by one place, so that each belongs to another "
        "question; "
        "a batch of one is left as it is",
        belief="Answers are matched to their questions by an id",
        source="race conditions in batchers",
        typical_share=0.05,
    ),
    Fault(
        "serving.cold_start",
        "The model has to be loaded first.",
        _SERVERS,
        "availability",
        effect="all calls of a conversation go on after the magnitude, as long as the fault lasts; a shorter read time-out fires",
        landing="number of calls held for the whole time",
        belief="A cold start is hidden by a spare, or told to the user",
        source="scale to zero: minutes until a large model is loaded",
        magnitude=_START,
        typical_share=0.1,
        typical_draw="conversation",
        strike_exchange=_start,
        strike_python=_start_python,
    ),
    Fault(
        "feature.missing",
        "Some features are missing.",
        _STORES,
        "wrong_answer",
        **changes("features missing", _missing),
        effect="as many of the features as the magnitude says, the same ones at every call, are taken out of the result (None in objects)",
        belief="A missing feature is filled or refused, not guessed",
        source="late pipelines, renamed columns",
        magnitude=_FIELDS,
        typical_share=0.3,
    ),
    Fault(
        "feature.stale",
        "The features are those of before.",
        _STORES,
        "wrong_answer",
        effect="the function is called, or the request made, and its result "
        "replaced by the first one that it gave to the same arguments in the run; a call is "
        "eligible only once such a result is known, and one that has not changed since is left alone",
        landing="counted as a result that differs from the real one is returned",
        belief="Old features are noticed by their age",
        source="stream processors that lag",
        typical_share=0.3,
        **_calls.recalls("stale features", another=False),
    ),
    Fault(
        "feature.default",
        "Some features have their default values.",
        _STORES,
        "wrong_answer",
        **changes("features blank", _default),
        effect="as many of the features as the magnitude says, the same ones at every call, are 0, empty or False, by their type",
        belief="Default values in the place of real ones are noticed",
        source="joins that find nothing; `fillna(0)`",
        magnitude=_FIELDS,
        typical_share=0.3,
    ),
    Fault(
        "feature.skew",
        "Training and serving disagree about the unit.",
        _STORES,
        "wrong_answer",
        **changes("numbers scaled", _skewed),
        effect="all numbers in the result are multiplied by the magnitude",
        belief="A feature in another unit is noticed before it is used",
        source="cents and dollars, seconds and milliseconds; tab-err: the same fault costs most at serving",
        magnitude=_SKEW,
        typical_share=0.3,
    ),
    Fault(
        "feature.drift",
        "The numbers have moved.",
        _STORES,
        "wrong_answer",
        **changes("numbers moved", _drifted),
        effect="all numbers in the result are larger by the magnitude",
        belief="Features that drift are noticed before the answers are wrong",
        source="seasons, prices, new kinds of customers",
        magnitude=_DRIFT,
        typical_share=1.0,
    ),
)
