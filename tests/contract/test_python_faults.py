"""Every fault of Python functions, on real functions: the treated caller meets it, control does not, and nothing else is touched."""

from __future__ import annotations

import contextvars
import copy
import sys
import time
import types
from dataclasses import dataclass

import numpy as np
import pytest

from refute.core.arming import Arming
from refute.core.context import UnitContext, current_unit
from refute.core.lease import Lease
from refute.core.system import Component
from refute.faults._results import CANARY
from refute.faults.catalogue import catalogue
from refute.faults.spec import seams
from refute.injectors.callables import CallablesInjector
from refute.wire.exchange import PythonCall


@dataclass(frozen=True)
class Document:
    text: str
    source: str | None
    score: float


ORDER = {"order_id": "A-1", "status": "shipped", "carrier": "Northern Post", "parcels": 2, "total": 12.5}
DOCUMENTS = [Document(f"Text {number} about returns.", f"faq-{number}.md", 1 / number) for number in range(1, 9)]
VECTORS = [[0.1, 0.2, 0.3, 0.4], [0.5, -0.6, 0.7, 0.8]]
VERDICT = {"flagged": True, "safe": False, "action": "block", "score": 0.93}
CLEARED = {"flagged": False, "safe": True, "action": "allow", "score": 0.02}
SAID = {"answer": "I think it left on Monday.", "confidence": 0.4}
DATA = ([[float(row), float(row % 3), 1.5 * row] for row in range(40)], [row % 4 for row in range(40)])
FEATURES = {"age": 41, "income": 52_000.0, "city": "Porto", "orders": 7, "vip": True}

RESULTS = {
    "tool": ORDER, "retriever": DOCUMENTS, "embedder": VECTORS, "vector_store": DOCUMENTS,
    "memory": ["likes tea", "lives in Porto"], "cache": "an entry", "data": DATA, "agent": SAID, "guardrail": VERDICT, "feature": FEATURES,
    "serving": {"predictions": [1, 2, 3], "model_version": "7"},
    "budget": ORDER, "credential": ORDER, "fallback": ORDER,
}  # fmt: skip
SPECIAL = {"guardrail.strict": CLEARED}
RAISES = {
    "tool.error": ConnectionError, "retriever.error": ConnectionError, "guardrail.down": ConnectionError, "tool.timeout": TimeoutError,
    "tool.timeout_after_commit": TimeoutError, "vector_store.timeout": TimeoutError, "agent.peer_silent": TimeoutError,
    "budget.exhausted": PermissionError, "credential.expired": PermissionError, "fallback.atrophied": LookupError,
    "serving.crash": ConnectionResetError, "serving.queue_full": ConnectionError, "serving.oom": MemoryError,
}  # fmt: skip
ONLY_LATE = {"retriever.delay", "serving.slow", "serving.cold_start"}
BY_ARGUMENTS = {"agent.handoff_corrupted", "agent.reordered"}
FROM_MEMORY = {name for name, fault in catalogue().items() if fault.matches_python and fault.remembers}
FAULTS = [name for name, fault in catalogue().items() if "python" in seams(fault)]


class App:
    """A module with one function; what it gives grows with each call where that is wanted."""

    def __init__(self, result) -> None:
        self.calls = []
        self.module = types.ModuleType("victim_faults")
        self.result = result
        self.grown = 0

        def call(*args, **kwargs):
            self.calls.append((args, kwargs))
            given = copy.deepcopy(self.result)
            if self.grown and isinstance(given, dict):
                given["revision"] = len(self.calls)
            elif self.grown and isinstance(given, list):
                given += [given[0]] * len(self.calls)
            elif self.grown:
                given = f"{given} {len(self.calls)}"
            return given

        call.__module__ = "victim_faults"
        self.module.call = call
        sys.modules["victim_faults"] = self.module


@pytest.fixture
def app(request):
    yield (made := App(SPECIAL.get(request.param, RESULTS[request.param.partition(".")[0]])))
    del sys.modules["victim_faults"]
    assert made.module.call.__module__ == "victim_faults"


def as_unit(arm, function, *args):
    def body():
        current_unit.set(UnitContext("case/0", arm))
        return function(*args)

    return contextvars.copy_context().run(body)


def arming(name):
    fault = catalogue()[name]
    magnitude = fault.magnitude and (max(fault.magnitude.low, 0.02) if fault.magnitude.unit == "s" else fault.magnitude.typical)
    return Arming(Component("target", min(fault.kinds), python="victim_faults:call"), name, magnitude, seed=3)


def outcome(arm, app, *args):
    started = time.monotonic()
    try:
        result = as_unit(arm, app.module.call, *args)
    except Exception as error:  # noqa: BLE001 - what is raised is the outcome
        result = type(error)
    return result, time.monotonic() - started


ARGUMENTS = ("Where is order A-1 now, please?", ["first message", "second message"])


@pytest.mark.parametrize(("app", "name"), [(name, name) for name in FAULTS], indirect=["app"])
def test_fault_strikes_treatment_and_nothing_else(app, name):
    injector = CallablesInjector()
    handle = injector.prepare(arming(name))
    injector.apply(handle, Lease(20))
    app.grown = name in FROM_MEMORY
    clean = copy.deepcopy(app.result)
    try:
        control, _ = outcome("control", app, *ARGUMENTS)
        if name in FROM_MEMORY:
            outcome("control", app, "another question", ARGUMENTS[1])
        before = len(app.calls)
        seen, took_s = outcome("treatment", app, *ARGUMENTS)
        landing = injector.landed(handle)
    finally:
        injector.rollback(handle)
        assert injector.verify(handle)
    assert app.result == clean
    assert (landing.injected, landing.eligible, landing.control_injected) == (1, 1, 0), landing
    assert sum(landing.effect.values()) == 1
    if name in RAISES:
        assert seen is RAISES[name]
    elif name in ONLY_LATE:
        assert seen == control
        assert took_s >= 0.02
    elif name in BY_ARGUMENTS:
        assert app.calls[-1][0] != ARGUMENTS
        assert ARGUMENTS == ("Where is order A-1 now, please?", ["first message", "second message"])
    elif name == "tool.replay":
        assert len(app.calls) == before + 2
        assert seen == control
    else:
        assert seen != (clean if app.grown == 0 else None)
    check = SHAPES.get(name)
    assert check is None or check(seen, clean), seen


SHAPES = {
    "tool.empty": lambda seen, clean: seen == {},
    "tool.partial": lambda seen, clean: list(seen) == list(clean)[:2],
    "tool.schema_drift": lambda seen, clean: seen != clean and len(seen) == len(clean),
    "tool.transposed": lambda seen, clean: seen["order_id"] == "shipped" and seen["status"] == "A-1",
    "tool.injection": lambda seen, clean: CANARY in str(seen),
    "retriever.empty": lambda seen, clean: seen == [],
    "retriever.permuted": lambda seen, clean: sorted(map(repr, seen)) == sorted(map(repr, clean)),
    "retriever.truncated": lambda seen, clean: seen == clean[:3],
    "retriever.missing_source": lambda seen, clean: all(document.source is None for document in seen) and len(seen) == len(clean),
    "retriever.poisoned": lambda seen, clean: str(seen).count(CANARY) == 1,
    "vector_store.partial": lambda seen, clean: 0 < len(seen) < len(clean) and all(row in clean for row in seen),
    "embedder.dimension": lambda seen, clean: [len(vector) for vector in seen] == [2, 2],
    "embedder.swapped": lambda seen, clean: [len(vector) for vector in seen] == [4, 4],
    "memory.lost": lambda seen, clean: seen == [],
    "cache.miss_storm": lambda seen, clean: seen is None,
    "agent.handoff_dropped": lambda seen, clean: seen is None,
    "agent.delegation_loop": lambda seen, clean: "handed the task back" in seen["answer"] and seen["confidence"] == 0.4,
    "agent.contradiction": lambda seen, clean: seen["answer"].startswith(clean["answer"]),
    "agent.peer_overconfident": lambda seen, clean: seen == {"answer": "It left on Monday.", "confidence": 0.99},
    "guardrail.annotate_only": lambda seen, clean: seen == {"flagged": False, "safe": True, "action": "allow", "score": 0.93},
    "guardrail.strict": lambda seen, clean: (seen["flagged"], seen["safe"], seen["action"]) == (True, False, "block"),
    "serving.batch_mix": lambda seen, clean: seen["predictions"] == [2, 3, 1],
    "serving.wrong_version": lambda seen, clean: seen["model_version"] == "6",
    "feature.missing": lambda seen, clean: 0 < len(seen) < len(clean),
    "feature.default": lambda seen, clean: any(value in (0, "", False) for value in seen.values()) and len(seen) == len(clean),
    "feature.skew": lambda seen, clean: seen["age"] == 4100 and seen["city"] == "Porto" and seen["vip"] is True,
    "feature.drift": lambda seen, clean: seen["income"] == pytest.approx(65_000),
}


@pytest.mark.parametrize("shape", [(4,), (3, 4)])
def test_arrays_of_vectors_keep_their_angles_among_each_other_when_swapped(shape):
    vectors = np.random.default_rng(1).normal(size=shape).astype("float32")
    swap = catalogue()["embedder.swapped"].strike_python
    turned = swap(PythonCall("app:embed"), None, None).rewrite(vectors)
    assert turned.dtype == vectors.dtype
    assert np.allclose(turned @ turned.T, vectors @ vectors.T, atol=1e-5)
    assert not np.allclose(turned, vectors)


def test_missing_shards_are_the_same_at_every_call():
    strike = catalogue()["vector_store.partial"].strike_python
    rows = [{"id": number, "text": f"t{number}"} for number in range(200)]
    kept = [{row["id"] for row in strike(None, 30.0, None).rewrite(part)} for part in (rows, rows[50:150])]
    assert kept[1] == {number for number in kept[0] if 50 <= number < 150}
    assert 110 < len(kept[0]) < 170


def test_parallel_lists_are_picked_alike():
    result = {"ids": [["a", "b", "c", "d"]], "documents": [["ta", "tb", "tc", "td"]], "distances": [[0.1, 0.2, 0.3, 0.4]]}
    import random

    seen = catalogue()["retriever.permuted"].strike_python(None, None, random.Random(2)).rewrite(result)
    pairs = set(zip(seen["ids"][0], seen["documents"][0], seen["distances"][0], strict=True))
    assert pairs == {("a", "ta", 0.1), ("b", "tb", 0.2), ("c", "tc", 0.3), ("d", "td", 0.4)}
    assert seen["ids"] != result["ids"]


def test_json_in_a_text_is_changed_inside():
    import random

    seen = catalogue()["tool.transposed"].strike_python(None, None, random.Random(2)).rewrite('{"first": "Ada", "last": "Lovelace"}')
    assert seen == '{"first": "Lovelace", "last": "Ada"}'
