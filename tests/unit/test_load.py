"""What the load generator makes of indicators that misbehave, and of what units cost."""

from __future__ import annotations

import asyncio
import json
import math
import sys
import threading
import time
import types
from concurrent.futures import ThreadPoolExecutor

import pytest

from refute.core.intent import Indicator
from refute.core.link import encode
from refute.experiment import load as load_module
from refute.experiment.cases import Unit
from refute.experiment.load import Generator, Load


def outcomes_of(indicators, functions, answer=None, units=6):
    """Drive some units; return their outcomes by index, each of which the link must be able to carry."""

    async def fine(_case):
        return "text"

    seen = []

    async def report(_started, ended):
        encode({"outcomes": [one.to_json() for one in ended]})
        seen.extend(ended)

    module = types.ModuleType("judges_of_this_test")
    for name, function in functions.items():
        setattr(module, name, function)
    sys.modules[module.__name__] = module
    threads = ThreadPoolExecutor(8)
    made = {name: Indicator(name, kind, f"{module.__name__}:{name}", *more) for name, (kind, *more) in indicators.items()}

    async def run():
        made_units = iter([Unit(f"{number}/0", number, str(number), "", {"number": number}) for number in range(units)])
        generator = Generator(answer or fine, made, threads, report)
        async with asyncio.timeout(20):
            await generator.run(made_units, Load(units, 200.0, 0.5, 1, 5.0), asyncio.Event())

    try:
        asyncio.run(run())
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        del sys.modules[module.__name__]
    return sorted(seen, key=lambda one: one.index)


async def _coroutine():
    return 1.0


def raises(kind):
    def judge(_case, _answer):
        raise kind("no")

    return judge


@pytest.mark.parametrize(
    "judge",
    [
        lambda _case, _answer: math.nan,
        lambda _case, _answer: math.inf,
        lambda _case, _answer: -math.inf,
        lambda _case, _answer: 10**400,
        lambda _case, _answer: "good",
        lambda _case, _answer: None,
        lambda _case, _answer: {"score": 1},
        lambda _case, _answer: -1.0,
        lambda _case, _answer: [_coroutine].append(1),
        raises(ValueError),
        raises(SystemExit),
        raises(asyncio.CancelledError),
        raises(RecursionError),
    ],
)
@pytest.mark.parametrize("kind", ["score", "cost"])
def test_an_indicator_that_gives_no_number_could_not_be_evaluated_for_that_unit(judge, kind):

    def sometimes(case, answer):
        return judge(case, answer) if case["number"] == 2 else 0.5

    def other(_case, _answer):
        return True

    seen = outcomes_of({"judged": (kind,), "other": ("ratio",)}, {"judged": sometimes, "other": other})
    assert len(seen) == 6
    assert seen[2].values == {"judged": None, "other": 1.0}
    assert "judged" not in seen[2].cost
    rest = [one.cost["judged"] if kind == "cost" else one.values["judged"] for one in seen if one.index != 2]
    assert rest == [0.5] * 5


def test_what_is_awaitable_is_awaited_and_what_is_true_counts_as_one():
    async def awaited(_case, _answer):
        return True

    seen = outcomes_of(
        {"plain": ("ratio",), "asynchronous": ("ratio",), "returned": ("score",)},
        {"plain": lambda _case, _answer: True, "asynchronous": awaited, "returned": lambda _case, _answer: _coroutine()},
    )
    assert all(one.values == {"plain": 1.0, "asynchronous": 1.0, "returned": 1.0} for one in seen)


def test_a_score_off_by_rounding_is_a_score():
    seen = outcomes_of({"score": ("score",)}, {"score": lambda _case, _answer: 1.0000001})
    assert [one.values["score"] for one in seen] == [1.0] * 6


@pytest.mark.parametrize("hang", ["thread", "task", "coroutine"])
def test_an_indicator_that_hangs_could_not_be_evaluated(monkeypatch, hang):
    monkeypatch.setattr(load_module, "MEASURE_S", 0.3)
    let_go = threading.Event()

    async def in_task(case, _answer):
        if case["number"] == 2:
            await asyncio.sleep(60)
        return 1.0

    def in_thread(case, _answer):
        if case["number"] == 2:
            let_go.wait(30)
        return 1.0

    def returned(case, answer):
        return in_task(case, answer)

    judge = {"thread": in_thread, "task": in_task, "coroutine": returned}[hang]
    start = time.monotonic()
    try:
        seen = outcomes_of({"slow": ("ratio",)}, {"slow": judge})
        assert time.monotonic() - start < 5
    finally:
        let_go.set()
    assert [one.values["slow"] for one in seen] == [1.0, 1.0, None, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("kind", [SystemExit, asyncio.CancelledError, ValueError])
def test_whatever_a_workload_raises_is_its_outcome(kind):
    async def answer(case):
        if case["number"] == 2:
            raise kind
        return "text"

    seen = outcomes_of({"fine": ("ratio",)}, {"fine": lambda _case, _answer: True}, answer)
    assert [one.error for one in seen] == ["", "", kind.__name__, "", "", ""]
    assert seen[2].values == {"fine": 0.0}


def test_a_unit_whose_cost_is_not_known_is_spent_like_the_dearest():
    done = {-1}

    async def answer(case):
        while case["number"] - 1 not in done:  # noqa: ASYNC110 - one after the other, so that the dearest by then is known
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.02)
        if case["number"] == 4:
            done.add(4)
            raise ValueError
        return "text"

    def tokens(case, _answer):
        done.add(case["number"])
        if case["number"] == 3:
            raise ValueError
        return 100 * (1 + case["number"])

    seen = outcomes_of({"tokens": ("cost", 0.01, "USD")}, {"tokens": tokens}, answer)
    assert [one.cost.get("tokens") for one in seen] == [100, 200, 300, None, None, 600]
    assert [one.cost["spend"] for one in seen] == pytest.approx([1.0, 2.0, 3.0, 3.0, 3.0, 6.0])
    assert seen[3].values == {"tokens": None}
    assert seen[4].values == {}, "a unit that failed has not missed its evaluation"
    json.dumps([one.to_json() for one in seen], allow_nan=False)
