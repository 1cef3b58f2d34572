"""Intent deviation: its arithmetic, what is recorded of an agent, what criteria make of it, and beliefs that wait for others."""

from __future__ import annotations

import asyncio
import sys
import types
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from refute.campaign.plan import Question, ask
from refute.campaign.standing import Standing
from refute.core.arming import Arming
from refute.core.context import UnitContext, current_unit
from refute.core.criterion import parse_criterion
from refute.core.deviation import (
    BANDS,
    WEIGHTS,
    Action,
    Deviation,
    band_of,
    lateness,
    longest_thought_s,
    tool_deviation,
    weighted,
)
from refute.core.errors import RefuteError
from refute.core.intent import Indicator
from refute.core.lease import Lease
from refute.core.measure import measure
from refute.core.outcome import Outcome
from refute.core.system import Component
from refute.experiment.assess import Count
from refute.experiment.cases import Unit
from refute.experiment.load import Generator, Load
from refute.experiment.spans import action_of, record_spans
from refute.injectors.callables import INJECTOR, listen
from refute.intent import load, loads
from refute.learning import Claim, Counts
from support.intents import VALID, problems, project

TOOLS = st.lists(st.sampled_from("abc"), max_size=6)


# Arithmetic


def test_the_published_weights_add_up_and_the_bands_rise():
    assert sum(WEIGHTS.values()) == pytest.approx(1.0)
    assert [band_of(value) for value in (0.0, 0.149, 0.15, 0.399, 0.4, 0.699, 0.7, 1.0)] == [
        "nominal", "nominal", "degraded", "degraded", "critical", "critical", "catastrophic", "catastrophic",
    ]  # fmt: skip


@given(TOOLS, TOOLS)
def test_tools_differ_by_how_many_calls_are_not_shared(meant, called):
    value = tool_deviation(meant, called)
    assert 0.0 <= value <= 1.0
    assert value == tool_deviation(called, reversed(meant)), "order is free, and both sides are alike"
    assert (value == 0.0) is (sorted(meant) == sorted(called))
    if meant and not set(meant) & set(called):
        assert value == 1.0


def test_a_retry_and_a_call_that_is_missing_count():
    assert tool_deviation(["orders"], ["orders"] * 3) == 0.5
    assert tool_deviation(["orders", "refunds"], ["orders"]) == pytest.approx(1 / 3)


@given(st.dictionaries(st.sampled_from(sorted(WEIGHTS)), st.floats(0, 1), min_size=1))
def test_what_is_not_known_does_not_count(values):
    mean = weighted(values, WEIGHTS)
    assert min(values.values()) - 1e-9 <= mean <= max(values.values()) + 1e-9


def test_thinking_is_the_time_in_which_no_tool_runs():
    ran = [Action("a", start_s=1.0, end_s=3.0), Action("b", start_s=2.0, end_s=4.0), Action("c", start_s=4.5, end_s=5.0)]
    assert longest_thought_s(ran, 5.5) == 1.0
    assert longest_thought_s(ran, 7.5) == 2.5
    assert longest_thought_s([], 2.0) == 2.0
    assert [lateness(thought, 2.0) for thought in (1.0, 2.0, 3.0, 9.0)] == [0.0, 0.0, 0.5, 1.0]


# What is recorded


@pytest.fixture
def shop():
    """A module with tools, one of which calls another."""
    module = types.ModuleType("shop_of_this_test")
    source = """
def lookup(order_id):
    if order_id == "none":
        raise LookupError(order_id)
    return {"order_id": order_id}

def refund(order_id, amount=1):
    return {"refunded": lookup(order_id)["order_id"], "amount": amount}

async def search(query):
    return [query]
"""
    exec(source, vars(module))
    sys.modules[module.__name__] = module
    for tool in ("lookup", "refund", "search"):
        listen(f"{module.__name__}:{tool}", tool)
    yield module
    del sys.modules[module.__name__]


def recording(work):
    unit = UnitContext("case/0", "treatment")
    unit.actions = []
    token = current_unit.set(unit)
    try:
        work()
    finally:
        current_unit.reset(token)
    return unit.actions


def test_calls_are_seen_as_their_caller_sees_them(shop):
    def work():
        with pytest.raises(LookupError):
            shop.lookup("none")
        shop.refund("7", amount=3)
        asyncio.run(shop.search(query="zips"))

    failed, inner, outer, searched = recording(work)
    assert (failed.tool, failed.arguments, failed.result, failed.error) == ("lookup", {"order_id": "none"}, None, "LookupError")
    assert (inner.tool, inner.within) == ("lookup", ("refund",))
    assert (outer.tool, outer.arguments, outer.result) == ("refund", {"order_id": "7", "amount": 3}, {"refunded": "7", "amount": 3})
    assert (searched.tool, searched.arguments, searched.result) == ("search", {"query": "zips"}, ["zips"])
    assert outer.start_s <= inner.start_s <= inner.end_s <= outer.end_s


def test_a_fault_is_within_what_is_seen_and_leaves_the_listening_as_it_was(shop):
    arming = Arming(Component("lookup", "tool", python="shop_of_this_test:lookup"), "tool.error")
    handle, lease = INJECTOR.prepare(arming), Lease(30.0)
    INJECTOR.apply(handle, lease)

    def work():
        with pytest.raises(Exception, match="500"):
            shop.lookup("7")

    (struck,) = recording(work)
    assert struck.error
    INJECTOR.rollback(handle)
    assert INJECTOR.verify(handle)
    (well,) = recording(lambda: shop.lookup("7"))
    assert well.result == {"order_id": "7"}


def test_nothing_is_kept_of_units_of_which_it_is_not_asked(shop):
    unit = UnitContext("case/0", "treatment")
    token = current_unit.set(unit)
    shop.lookup("7")
    current_unit.reset(token)
    shop.lookup("8")
    assert unit.actions is None


@pytest.mark.parametrize(
    ("attributes", "seen"),
    [
        (
            {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "orders", "gen_ai.tool.call.arguments": '{"id": 7}',
             "gen_ai.tool.call.result": "late"},
            Action("orders", {"id": 7}, "late", "", 1.0, 2.0),
        ),
        ({"openinference.span.kind": "TOOL", "tool.name": "orders", "tool.parameters": '{"id": 7}', "error.type": "TimeoutError"},
         Action("orders", {"id": 7}, None, "TimeoutError", 1.0, 2.0)),
        ({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "orders"}, Action("orders", {}, None, "", 1.0, 2.0)),
        ({"gen_ai.operation.name": "chat"}, None),
    ],
)  # fmt: skip
def test_tool_calls_are_read_off_spans(attributes, seen):
    assert action_of(attributes, 1.0, 2.0) == seen


def test_spans_of_a_program_are_noted_in_the_unit_that_made_them(monkeypatch):
    provider = TracerProvider()
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    record_spans()
    tracer = provider.get_tracer("agent")

    def work():
        with tracer.start_as_current_span("chat"), tracer.start_as_current_span("execute_tool orders") as span:
            span.set_attributes({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "orders"})

    (seen,) = recording(work)
    assert (seen.tool, seen.within) == ("orders", ())
    work()  # for no unit


def test_without_a_tracer_provider_no_spans_are_waited_for(monkeypatch):
    monkeypatch.setattr(trace, "get_tracer_provider", trace.NoOpTracerProvider)
    with pytest.raises(RefuteError) as refused:
        record_spans()
    assert refused.value.problems[0].code == "DEVIATION-SPANS"


# Units


def driven(stated, functions, answer, calls=("lookup", "refund", "search")):
    """Return the deviation of one unit, and why it failed."""
    module = types.ModuleType("meant_by_this_test")
    for name, function in functions.items():
        setattr(module, name, function)
    sys.modules[module.__name__] = module
    deviation = Deviation("agent", **{name: f"{module.__name__}:{name}" for name in functions}, **stated)
    indicator = Indicator.from_json(asdict(Indicator("strayed", "deviation", deviation=deviation)))
    seen = []

    async def report(_started, ended):
        seen.extend(ended)

    async def run():
        units = iter([Unit("one/0", 0, "one", "", {"order": "7"})])
        with ThreadPoolExecutor(2) as threads:
            generator = Generator(answer, {"strayed": indicator}, threads, report, {"agent": calls})
            await generator.run(units, Load(1, 100.0, 0.5, 1, 5.0), asyncio.Event())

    asyncio.run(run())
    del sys.modules[module.__name__]
    return seen[0].values["strayed"], seen[0].error


def meant(**changed):
    functions = {
        "tools": lambda case: ["refund"],
        "scope": lambda case, action: action.arguments.get("order_id") == case["order"],
        "completion": lambda case, answer: (True, answer["done"]),
        "escalation": lambda case, answer: (False, False),
    }
    return functions | changed


def test_an_agent_that_does_what_it_is_meant_to_does_not_deviate(shop):
    async def answer(case):
        return {"done": shop.refund(case["order"])["refunded"] == case["order"]}

    assert driven({"patience_s": 5.0}, meant(), answer) == (0.0, "")


def test_each_dimension_adds_its_weight(shop):
    async def answer(case):
        shop.refund("8")
        shop.lookup("9")
        return {"done": False}

    value, _ = driven({}, meant(), answer)
    assert value == pytest.approx((0.3 * (1 / 3) + 0.25 * 1.0 + 0.20 * 1.0) / 0.90)
    value, _ = driven({"weights": {**WEIGHTS, "completion": 0.8}}, meant(), answer)
    assert value == pytest.approx((0.3 * (1 / 3) + 0.25 + 0.8) / 1.5)


def test_calls_that_its_tools_make_are_not_the_agents(shop):
    async def answer(case):
        shop.refund(case["order"])
        return {"done": True}

    assert driven({}, meant(tools=lambda case: ["lookup"]), answer, calls=("lookup",)) == (0.0, ""), "refund is no tool of this agent"
    assert driven({}, meant(), answer) == (0.0, ""), "what refund looks up is refund's"


def test_a_unit_that_fails_deviates_in_everything_and_one_that_cannot_be_read_counts_for_nothing(shop):
    async def fails(_case):
        raise ValueError

    async def fine(_case):
        return {"done": True}

    assert driven({}, meant(), fails) == (1.0, "ValueError")
    assert driven({}, meant(completion=lambda case, answer: answer["missing"]), fine) == (None, "")


def test_an_answer_may_tell_what_was_called():
    async def answer(_case):
        return {"called": ["lookup", "lookup"], "done": True}

    functions = {"tools": lambda case: ["lookup"], "actions": lambda case, answer: [Action(name) for name in answer["called"]]}
    assert driven({}, functions, answer)[0] == pytest.approx(1 / 3)


# Criteria


INDICATORS = {"strayed": Indicator("strayed", "deviation", deviation=Deviation("agent", tools="a:b"))}


def outcome(value, error=""):
    return Outcome("u", "c", "control", "", 0, 0.0, 0.1, {"strayed": value}, error=error)


def test_a_band_stands_for_its_upper_bound():
    for name, bound in BANDS.items():
        criterion = parse_criterion(f"strayed <= {name}")
        assert (criterion.value, criterion.kind) == (bound, "number")


@pytest.mark.parametrize("text", ["strayed <= nominal", "strayed worse by <= 5 points"])
def test_more_deviation_is_worse_whatever_it_is_compared_with(text):
    one = measure(parse_criterion(text), INDICATORS)
    assert one.breaches([outcome(0.0), outcome(0.3), outcome(None), outcome(0.0, "ValueError")]) == [0.0, 0.3, 1.0]


def test_a_verdict_names_the_band():
    assert Count(10, 5.6, "deviation").to_json()["band"] == "critical"
    assert "0.560 on average, critical; at most 0.15" in Count(10, 5.6, "deviation").shown(0.15)
    assert "band" not in Count(10, 5.6, "score").to_json()


# The file


DEVIATION = """
  strayed:
    deviation:
      agent: assistant
      tools: "app.checks:answered"
      weights: {tools: 50%}
"""


def written(old="", new="", text=DEVIATION):
    assert old in text
    return VALID.replace("indicators:\n", "indicators:" + text.replace(old, new), 1)


def test_a_file_and_python_code_state_the_same(tmp_path):
    path = project(tmp_path, written())
    from_file = load(path)
    stated = from_file.indicators["strayed"].deviation
    assert stated == Deviation("assistant", tools="app.checks:answered", weights=WEIGHTS | {"tools": 0.5})
    assert loads(from_file.raw, tmp_path).indicators == from_file.indicators


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("agent: assistant", "agent: assistent", "COMPONENT-UNKNOWN"),
        ('tools: "app.checks:answered"', "actions: calls", "DEVIATION-EMPTY"),
        ("agent: assistant", "agent: assistant\n      actions: everywhere", "VALUE-CHOICE"),
        ("agent: assistant", "agent: llm", "DEVIATION-ACTIONS"),
        ("tools: 50%", "tools: 0%", "VALUE-RANGE"),
        ("tools: 50%", "tool: 50%", "KEY-UNKNOWN"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path, old, new, code):
    assert code in {problem.code for problem in problems(project(tmp_path, written(old, new)))}


# Beliefs that wait for others


SECOND = """
  - id: second
    claim: Another thing
    when: {fault: llm.rate_limit, target: llm, share: 20%}
    then: answered >= 95%
    confidence: 80%
    after: [rate-limits-absorbed]
"""


def refused(intent, word):
    told = {}
    for belief in intent.beliefs.values():
        mine = word if belief.id == "rate-limits-absorbed" else ""
        seen = Counts(0, 200) if mine == "held" else Counts()
        told[belief.id] = Standing(belief, Claim(belief.confidence, 0.05, seen), mine)
    return {one.beliefs[0].id: one.code for one in ask(intent, told, Question()).refused}


def test_a_phase_is_let_in_by_the_one_before_it(tmp_path):
    intent = load(project(tmp_path, VALID.rstrip() + SECOND))
    assert refused(intent, "")["second"] == "PLAN-GATED"
    assert refused(intent, "refuted")["second"] == "PLAN-GATED"
    assert refused(intent, "held").get("second") != "PLAN-GATED"


@pytest.mark.parametrize(("after", "code"), [("[nothing]", "AFTER-UNKNOWN"), ("[second]", "BELIEF-CIRCLE")])
def test_nobody_waits_for_what_never_comes(tmp_path, after, code):
    text = VALID.rstrip() + SECOND.replace("[rate-limits-absorbed]", after)
    assert code in {problem.code for problem in problems(project(tmp_path, text))}


def test_beliefs_about_one_fault_of_which_one_waits_are_not_tested_at_once(tmp_path):
    intent = load(project(tmp_path, VALID.rstrip() + SECOND))
    first, second = intent.beliefs["rate-limits-absorbed"], intent.beliefs["second"]
    alike = replace(intent, beliefs={first.id: first, second.id: replace(second, when=first.when)})
    assert refused(alike, "held").get("rate-limits-absorbed") == "PLAN-ANSWERED"
    assert refused(alike, "held").get("second") != "PLAN-GATED"
