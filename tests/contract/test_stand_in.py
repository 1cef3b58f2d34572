"""What a fault puts in the place of a model: another model at the endpoint, or another function, and only what could go unnoticed."""

from __future__ import annotations

import sys
import types

import httpx
import numpy as np
import pytest

from refute.core.arming import Arming
from refute.core.lease import Lease
from refute.core.system import Component
from refute.injectors.callables import INJECTOR
from servers.calling import armed, unit

ASKED = {"messages": [{"role": "user", "content": "Where is my order?"}]}


@pytest.fixture
def embedders():
    module = types.ModuleType("embedders_of_this_test")
    module.embed = lambda texts: np.ones((len(texts), 4), dtype="float32")
    module.listed = lambda texts: [[1.0, 1.0] for _ in texts]
    module.other = lambda texts: np.full((len(texts), 4), 2.0)
    module.other_listed = lambda texts: np.full((len(texts), 2), 2.0)
    module.shorter = lambda texts: np.ones((len(texts), 3))
    sys.modules[module.__name__] = module
    yield module
    del sys.modules[module.__name__]


def swapped(module, name, stand_in):
    """Return what a caller of `name` is given under the fault, and the landing."""
    path = module.__name__
    component = Component("embedder", "embedder", python=f"{path}:{name}", stand_in=f"{path}:{stand_in}")
    handle = INJECTOR.prepare(Arming(component, "embedder.swapped"))
    INJECTOR.apply(handle, Lease(20))
    try:
        with unit():
            return getattr(module, name)(["a", "b"]), INJECTOR.landed(handle)
    finally:
        INJECTOR.rollback(handle)


def test_another_function_embeds_the_same_texts_in_the_callers_own_kind_of_vectors(embedders):
    seen, landing = swapped(embedders, "embed", "other")
    assert (seen.tolist(), seen.dtype) == ([[2.0] * 4] * 2, np.dtype("float32"))
    assert landing.effect == {"another model's vectors": 1}
    seen, _ = swapped(embedders, "listed", "other_listed")
    assert seen == [[2.0, 2.0]] * 2


def test_vectors_of_another_length_would_be_noticed_and_are_not_put_in(embedders):
    seen, landing = swapped(embedders, "embed", "shorter")
    assert seen.shape == (2, 4)
    assert (landing.eligible, landing.injected) == (1, 0)
    assert "could not be changed" in landing.reason


@pytest.mark.parametrize(
    ("fault", "path", "body", "kind"),
    [
        ("content.degraded", "/v1/chat/completions", ASKED | {"model": "text-of-our-own"}, "llm"),
        ("embedder.swapped", "/v1/embeddings", {"model": "embedder-of-our-own", "input": ["a"]}, "embedder"),
    ],
)
def test_another_model_at_the_endpoint_is_asked_and_the_answer_does_not_say_so(provider, fault, path, body, kind):
    component = Component(kind, kind, endpoint=f"{provider.url}/v1", stand_in="text-weaker")
    with armed(provider.url, fault, component=component) as landing, unit():
        answer = httpx.post(f"{provider.url}{path}", json=body).json()
    assert [asked["model"] for _, _, asked in provider.requests] == ["text-weaker"]
    assert answer["model"] == body["model"]
    assert (landing().eligible, landing().injected) == (1, 1)
