"""Faults of embedders: vectors of another length, which is loud, and vectors of another model, which is not."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from refute.core.system import ComponentKind
from refute.faults._data import awaits_change, on_exchange, on_python
from refute.faults.spec import Fault, Magnitude
from refute.wire.codec import codec_of
from refute.wire.events import Edit
from refute.wire.exchange import UNCHANGED, Call, PythonCall, PythonStrike, Reply, Strike

_KINDS: frozenset[ComponentKind] = frozenset({"embedder"})
_SAME_LENGTH = {
    "text-embedding-ada-002": "text-embedding-3-small",
    "text-embedding-3-small": "text-embedding-ada-002",
    "text-embedding-004": "embedding-001",
    "embedding-001": "text-embedding-004",
    "all-minilm": "snowflake-arctic-embed:22m",
    "nomic-embed-text": "snowflake-arctic-embed:110m",
    "mxbai-embed-large": "snowflake-arctic-embed",
}
"""Real models of one provider whose vectors have the same length: 1536, 768, 384, 768, 1024."""

_LENGTH = Magnitude("%", 1.0, 99.0, 50.0, "share of each vector that is missing")


def _of_vectors(data: Any, change: Any) -> Any:
    """Change one vector, each of several, or the vectors inside an object that holds them under a usual name."""
    if hasattr(data, "shape") and getattr(data, "ndim", 0) in {1, 2}:
        return change(data)
    if isinstance(data, list | tuple) and data:
        if all(isinstance(part, int | float) and not isinstance(part, bool) for part in data):
            return type(data)(change(list(data)))
        parts = [_of_vectors(part, change) for part in data]
        return UNCHANGED if any(part is UNCHANGED for part in parts) else type(data)(parts)
    if isinstance(data, dict):
        inner = {key: new for key in ("embedding", "embeddings", "vectors", "values", "data") if key in data
                 and (new := _of_vectors(data[key], change)) is not UNCHANGED}  # fmt: skip
        return data | inner if inner else UNCHANGED
    return UNCHANGED


def _shortened(data: Any, magnitude: float | None, _rng: random.Random) -> Any:
    kept = 1 - _LENGTH.or_typical(magnitude) / 100
    return _of_vectors(data, lambda vector: vector[..., : max(1, int(vector.shape[-1] * kept))] if hasattr(vector, "shape")
                       else vector[: max(1, int(len(vector) * kept))])  # fmt: skip


@cache
def _turn(length: int) -> tuple[list[int], list[int]]:
    """Return places and signs of a fixed signed permutation: it keeps all lengths and angles between its own images."""
    rng = random.Random(f"swapped/{length}")
    places = list(range(length))
    rng.shuffle(places)
    return places, [rng.choice((-1, 1)) for _ in places]


def _turned(vector: Any) -> Any:
    if hasattr(vector, "shape"):
        places, signs = _turn(vector.shape[-1])
        return vector[..., places] * _like(vector, signs)
    places, signs = _turn(len(vector))
    return [vector[place] * sign for place, sign in zip(places, signs, strict=True)]


def _like(array: Any, numbers: list[int]) -> Any:
    import numpy as np

    return np.asarray(numbers, dtype=array.dtype)


def _swapped(data: Any, _magnitude: float | None, _rng: random.Random) -> Any:
    return _of_vectors(data, _turned)


_turned_exchange = on_exchange("vectors of another space", _swapped)
_turned_python = on_python("vectors of another space", _swapped)


@cache
def _function(reference: str) -> Callable[..., Any]:
    module, _, name = reference.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), name)
    return found


def _shape(vectors: Any) -> tuple[int, ...]:
    """Return how many vectors there are, and how long they are, as far as that is regular."""
    if hasattr(vectors, "shape"):
        return tuple(vectors.shape)
    return (len(vectors), *_shape(vectors[0])) if isinstance(vectors, list | tuple) and vectors else ()


def _swapped_python(call: PythonCall, magnitude: float | None, rng: random.Random) -> PythonStrike:
    """Have the component's stand-in embed the same texts; what is not of the same shape would be noticed at once, and is left alone."""
    if not call.stand_in:
        return _turned_python(call, magnitude, rng)

    def rewrite(result: Any) -> Any:
        other = _function(call.stand_in)(*call.args, **call.kwargs)
        if _shape(other) != _shape(result):
            raise ValueError(f"{call.stand_in} gives {_shape(other)}")
        if hasattr(result, "shape"):
            return _like(result, other)
        return other.tolist() if hasattr(other, "tolist") else other

    return PythonStrike("another model's vectors", rewrite=rewrite)


def _swapped_exchange(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    """Ask a real second model of the same length where one is known; the answer bears the name of the one asked for."""
    codec, other = codec_of(call), call.stand_in or _SAME_LENGTH.get(call.model)
    if other is None:
        return _turned_exchange(call, magnitude, rng)

    def renamed(reply: Reply) -> Reply:
        answer = codec.answer(reply)
        return reply if answer is None else codec.edit_answer(reply, answer, Edit(model=call.model))

    return Strike("another model's vectors", request=codec.for_model(call.request, other), rewrite_reply=renamed)


def _is_embedding(call: Call) -> bool:
    return call.operation in {"embeddings", "request"}


FAULTS: tuple[Fault, ...] = (
    Fault(
        "embedder.dimension",
        "The vectors are too short.",
        _KINDS,
        "availability",
        effect="each vector loses its end, as much as the magnitude says; in Python lists, tuples and arrays, alone or several",
        landing="counted as the vectors are handed to the caller",
        belief="Vectors of the wrong length are refused, and never indexed",
        source="a new default dimension after an upgrade; `dimensions` that was dropped by a gateway",
        magnitude=_LENGTH,
        typical_share=0.2,
        strike_exchange=on_exchange("vectors too short", _shortened),
        strike_python=on_python("vectors too short", _shortened),
        matches_exchange=_is_embedding,
        awaits=awaits_change(_shortened),
    ),
    Fault(
        "embedder.swapped",
        "The vectors are another model's, of the same length.",
        _KINDS,
        "wrong_answer",
        effect="the component's `stand_in` embeds the same texts: another model at the same endpoint, or another function, whose vectors "
        "are as long; over HTTP, where none is stated and the provider has such a model, that one, and the answer bears the name of the "
        "one asked for. Where there is no such model, each vector goes through a fixed turn of its space, which keeps all distances among "
        "such vectors and none to those in an index",
        landing="counted as the vectors are handed to the caller, or the request is sent to the other model",
        belief="A mixed index is noticed by its answers within a day",
        source="`text-embedding-ada-002` and `text-embedding-3-small` are both 1536 long",
        typical_share=0.3,
        strike_exchange=_swapped_exchange,
        strike_python=_swapped_python,
        matches_exchange=_is_embedding,
    ),
)
