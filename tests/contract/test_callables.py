"""Faults on real functions, sync, async and in threads; every single one is in test_python_faults.py."""

import asyncio
import contextvars
import gc
import inspect
import sys
import threading
import time
import types
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from refute.core.arming import Arming
from refute.core.context import UnitContext, current_unit, shielded
from refute.core.errors import RefuteError
from refute.core.lease import Lease
from refute.core.system import Component
from refute.faults._results import CANARY
from refute.injectors import callables
from refute.injectors.callables import CallablesInjector

SOURCE = '''
import functools
work = []
def lookup(order, *, detail=False):
    """Look an order up."""
    work.append(order)
    return {"order": order, "owner": f"owner of {order}"}
async def alookup(order):
    work.append(order)
    return {"order": order, "owner": f"owner of {order}"}
def search(query):
    return [f"first about {query}", f"second about {query}"]
async def asearch(query):
    return [f"first about {query}", f"second about {query}"]
def stream(query):
    yield query
async def astream(query):
    yield query
@functools.lru_cache
def cached(query):
    return query
def broken(query):
    raise KeyError(query)
class Base:
    def inherited(self, order):
        return {"order": order}
class Tool(Base):
    def method(self, order):
        return {"order": order, "self": type(self).__name__}
    @staticmethod
    def static(order):
        return {"order": order}
    @classmethod
    def klass(cls, order):
        return {"order": order, "cls": cls.__name__}
TOOLS = {"lookup": lookup}
LIST = [lookup]
bound = Tool().method
'''


@pytest.fixture
def app():
    module = types.ModuleType("victim_app")
    exec(SOURCE, vars(module))
    for value in vars(module).values():
        if inspect.isfunction(value) or inspect.isclass(value):
            value.__module__ = "victim_app"
    user = types.ModuleType("victim_user")
    user.lookup, user.search = module.lookup, module.search
    sys.modules |= {"victim_app": module, "victim_user": user}
    yield module
    del sys.modules["victim_app"], sys.modules["victim_user"]
    assert not callables._PATCHES


def arming(function, fault, kind="tool", **more):
    return Arming(Component("target", kind, python=f"victim_app:{function}"), fault, **({"cohort": 0.5, "seed": 3} | more))


class Live:
    def __init__(self, *armings, ttl_s=20.0):
        self.injector = CallablesInjector()
        self.handles = [self.injector.prepare(one) for one in armings]
        self.lease = Lease(ttl_s)

    def __enter__(self):
        for handle in self.handles:
            self.injector.apply(handle, self.lease)
        return self

    def __exit__(self, *_):
        for handle in self.handles:
            self.injector.rollback(handle)
            assert self.injector.verify(handle)

    def landing(self, index=0):
        return self.injector.landed(self.handles[index])


def as_unit(arm, function, *args, key="case/0", shield=False):
    def body():
        current_unit.set(UnitContext(key, arm))
        shielded.set(shield)
        result = function(*args)
        return asyncio.run(result) if inspect.iscoroutine(result) else result

    return contextvars.copy_context().run(body)


CASES = [
    ("tool.error", "tool", "lookup", None),
    ("tool.error", "tool", "alookup", None),
    ("tool.timeout_after_commit", "tool", "lookup", 0.02),
    ("tool.timeout_after_commit", "tool", "alookup", 0.02),
    ("tool.wrong_entity", "tool", "lookup", None),
    ("tool.wrong_entity", "tool", "alookup", None),
    ("retriever.error", "retriever", "search", None),
    ("retriever.error", "retriever", "asearch", None),
    ("retriever.delay", "retriever", "search", 0.02),
    ("retriever.delay", "retriever", "asearch", 0.02),
    ("retriever.empty", "retriever", "search", None),
    ("retriever.empty", "retriever", "asearch", None),
    ("retriever.poisoned", "retriever", "search", None),
    ("retriever.poisoned", "retriever", "asearch", None),
]


def outcome(arm, function, argument, **more):
    started = time.monotonic()
    try:
        result = as_unit(arm, function, argument, **more)
    except (ConnectionError, TimeoutError) as error:
        result = type(error)
    return result, time.monotonic() - started >= 0.02


def struck(fault, clean, seen, late):
    if fault == "retriever.delay":
        return late and seen == clean
    expected = {
        "tool.error": seen is ConnectionError,
        "retriever.error": seen is ConnectionError,
        "tool.timeout_after_commit": seen is TimeoutError and late,
        "tool.wrong_entity": seen == {"order": "A", "owner": "owner of A"},
        "retriever.empty": seen == [],
        "retriever.poisoned": CANARY in str(seen) and len(seen) == 2 and str(seen).count(CANARY) == 1,
    }
    return expected[fault]


@pytest.mark.parametrize(("fault", "kind", "function", "magnitude"), CASES)
def test_treatment_is_hit_and_control_shielded_and_background_never(app, fault, kind, function, magnitude):
    original = getattr(app, function)
    clean, _ = outcome("control", original, "B")
    with Live(arming(function, fault, kind, magnitude=magnitude)) as live:
        call = getattr(app, function)
        assert as_unit("control", call, "A") == as_unit("control", original, "A")
        assert outcome("control", call, "B")[0] == clean
        assert outcome("treatment", call, "B", shield=True)[0] == clean
        background = call("B")
        assert (asyncio.run(background) if inspect.iscoroutine(background) else background) == clean
        assert struck(fault, clean, *outcome("treatment", call, "B"))
        landing = live.landing()
    assert (landing.injected, landing.eligible, landing.control_injected, landing.unattributed) == (1, 1, 0, 1)
    assert landing.control_eligible in {1, 2}
    assert sum(landing.effect.values()) == 1
    assert getattr(app, function) is original
    assert outcome("treatment", getattr(app, function), "B")[0] == clean
    assert live.landing() == landing


def test_threads_of_many_units_are_hit_by_cohort_and_share(app):
    def one(number):
        arm = "treatment" if number % 2 else "control"
        return arm, outcome(arm, app.lookup, f"o{number}", key=f"c{number}/0")[0]

    with Live(arming("lookup", "tool.error", share=0.5)) as live, ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(one, range(400)))
        landing = live.landing()
    errors = {arm: sum(result is ConnectionError for which, result in seen if which == arm) for arm in ("treatment", "control")}
    assert errors["control"] == 0
    assert landing.injected == errors["treatment"]
    assert (landing.eligible, landing.control_eligible) == (200, 200)
    assert 60 < errors["treatment"] < 140


def test_the_same_seed_hits_the_same_calls(app):
    def run(seed):
        with Live(arming("lookup", "tool.error", share=0.5, seed=seed)):
            return [outcome("treatment", app.lookup, "A", key=f"c{n}/0")[0] is ConnectionError for n in range(30)]

    assert run(1) == run(1) != run(2)


def test_the_caller_sees_a_standard_exception_with_a_plain_message(app):
    with Live(arming("lookup", "tool.error")), pytest.raises(ConnectionError) as caught:
        as_unit("treatment", app.lookup, "A")
    assert str(caught.value) == "upstream service returned 500 Internal Server Error"
    assert caught.value.__notes__ == ["injected by Refute into victim_app:lookup"]
    assert app.work == []


def test_a_time_out_after_commit_has_done_the_work(app):
    with Live(arming("lookup", "tool.timeout_after_commit", magnitude=0.01)), pytest.raises(TimeoutError, match=r"timed out after 0\.01 s"):
        as_unit("treatment", app.lookup, "A")
    assert app.work == ["A"]


def test_wrong_entity_is_not_eligible_before_another_answer_is_known(app):
    with Live(arming("lookup", "tool.wrong_entity")) as live:
        assert as_unit("treatment", app.lookup, "A")["order"] == "A"
        assert as_unit("treatment", app.lookup, "A")["order"] == "A"
        landing = live.landing()
        assert (landing.eligible, landing.injected) == (0, 0)
        assert "2 calls could not be hit" in landing.reason
        given = as_unit("treatment", app.lookup, "B")
        assert given["order"] == "A"
        given["order"] = "changed by the caller"
        assert as_unit("treatment", app.lookup, "C")["order"] in {"A", "B"}
    assert live.injector._armed[live.handles[0].id].memory.others(()) == ()


@pytest.mark.parametrize(
    ("fault", "function"), [("retriever.delay", "search"), ("retriever.delay", "asearch"), ("tool.timeout_after_commit", "lookup")]
)
@pytest.mark.parametrize("how", ["revoked", "expired", "rolled back"])
def test_a_sleep_ends_with_the_lease_and_the_call_goes_through(app, fault, function, how):
    kind = "retriever" if fault.startswith("retriever") else "tool"
    live = Live(arming(function, fault, kind, magnitude=30.0), ttl_s=0.5 if how == "expired" else 20)
    original = getattr(app, function)
    with live:
        if how == "revoked":
            threading.Timer(0.2, live.lease.revoke).start()
        if how == "rolled back":
            threading.Timer(0.2, live.injector.rollback, [live.handles[0]]).start()
        started = time.monotonic()
        result = as_unit("treatment", getattr(app, function), "A")
        assert time.monotonic() - started < 1.5
        assert result == as_unit("treatment", original, "A")
        assert live.landing().injected == 0


def test_nothing_is_hit_after_the_lease(app):
    with Live(arming("lookup", "tool.error")) as live:
        live.lease.revoke()
        assert as_unit("treatment", app.lookup, "A")["order"] == "A"
        assert live.landing().eligible == 0


def test_rollback_is_idempotent_and_verified_and_a_call_in_flight_is_not_gone(app):
    live = Live(arming("search", "retriever.delay", "retriever", magnitude=30.0))
    handle = live.handles[0]
    assert live.injector.verify(handle)
    with live:
        assert not live.injector.verify(handle)
        thread = threading.Thread(target=as_unit, args=("treatment", app.search, "A"))
        thread.start()
        armed = live.injector._armed[handle.id]
        while not armed.holding:
            time.sleep(0.005)
        with armed._held():  # a second call that takes its time to wake
            live.injector.rollback(handle)
            thread.join(5)
            assert not thread.is_alive()
            assert not live.injector.verify(handle)
        assert live.injector.verify(handle)
        live.injector.rollback(handle)


@pytest.mark.parametrize("first_out", [0, 1])
def test_two_faults_on_one_function(app, first_out):
    original = app.search
    live = Live(
        arming("search", "retriever.delay", "retriever", magnitude=0.03),
        Arming(Component("other", "retriever", python="victim_user:search"), "retriever.empty"),
    )
    with live:
        started = time.monotonic()
        assert as_unit("treatment", app.search, "A") == []
        assert time.monotonic() - started >= 0.03
        live.injector.rollback(live.handles[first_out])
        assert live.injector.verify(live.handles[first_out])
        assert not live.injector.verify(live.handles[1 - first_out])
        assert app.search is not original
    assert app.search is original
    assert live.landing(0).injected == live.landing(1).injected == 1


def test_names_imported_elsewhere_tables_and_late_imports_are_wrapped_and_restored(app):
    original, user = app.lookup, sys.modules["victim_user"]
    with Live(arming("lookup", "tool.error")):
        places = (app.lookup, user.lookup, app.TOOLS["lookup"], app.LIST[0])
        assert len(set(map(id, places))) == 1
        assert places[0] is not original
        user.late = app.lookup
    assert all(place is original for place in (app.lookup, user.lookup, app.TOOLS["lookup"], app.LIST[0], user.late))


def test_while_idle_no_wrapper_exists(app):
    original = app.lookup
    with Live(arming("lookup", "tool.error")):
        assert inspect.signature(app.lookup) == inspect.signature(original)
        assert (app.lookup.__doc__, app.lookup.__name__, app.lookup.__module__) == ("Look an order up.", "lookup", "victim_app")
        assert app.lookup.__wrapped__ is original
    gc.collect()
    left = [one for one in gc.get_objects() if inspect.isfunction(one) and one.__qualname__ == "lookup" and one is not original]
    assert left == []
    assert not callables._WRAPPERS


@pytest.mark.parametrize("method", ["method", "static", "klass", "inherited"])
def test_methods_keep_their_binding(app, method):
    before = dict(vars(app.Tool))
    clean = getattr(app.Tool(), method)("A")
    with Live(arming(f"Tool.{method}", "tool.error")):
        assert as_unit("control", getattr(app.Tool(), method), "A") == clean
        with pytest.raises(ConnectionError):
            as_unit("treatment", getattr(app.Tool(), method), "A")
        assert as_unit("treatment", lambda order: app.Base().inherited(order), "A") == {"order": "A"}
    assert dict(vars(app.Tool)) == before


def test_a_bound_method_kept_in_a_module_is_wrapped(app):
    original = app.bound
    with Live(arming("bound", "tool.error")), pytest.raises(ConnectionError):
        as_unit("treatment", app.bound, "A")
    assert app.bound is original


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("victim_app:serch", "did you mean 'search'"),
        ("victim_ap:search", "there is no module 'victim_ap'; did you mean 'victim_app'"),
        ("victim_app:Tool.methd", "did you mean 'method'"),
        ("victim_app:stream", "is a generator"),
        ("victim_app:astream", "is a generator"),
        ("victim_app:cached", "is a _lru_cache_wrapper, not a function"),
        ("victim_app:work.append", "neither a module nor a class"),
        ("victim_app", "not of the form module:function"),
        ("", "names no python function"),
        ("refute.core.errors:refuse", "part of Refute itself"),
    ],
)
def test_what_cannot_be_wrapped_is_refused_with_a_reason(app, reference, reason):
    wanted = Arming(Component("target", "tool", python=reference), "tool.error")
    injector = CallablesInjector()
    with pytest.raises(RefuteError) as caught:
        injector.apply(injector.prepare(wanted), Lease(5))
    assert caught.value.problems[0].code == "CALLABLES-REFUSED"
    assert reason in caught.value.problems[0].what


def test_a_wrong_fault_kind_or_magnitude_is_refused(app):
    refuses = CallablesInjector().refuses
    assert refuses(arming("lookup", "tool.eror")) == "tool.eror is not a fault of Python functions"
    assert refuses(arming("lookup", "retriever.empty")) == "retriever.empty does not apply to a component of kind tool"
    assert "outside" in refuses(arming("search", "retriever.delay", "retriever", magnitude=1e6))
    assert refuses(arming("lookup", "tool.error")) == ""


def test_a_function_that_fails_by_itself_still_fails_its_own_way(app):
    for fault, kind in (("retriever.empty", "retriever"), ("tool.timeout_after_commit", "tool")):
        with Live(arming("broken", fault, kind)) as live, pytest.raises(KeyError):
            as_unit("treatment", app.broken, "A")
        assert live.landing().injected == 0


def test_a_landing_says_why_nothing_landed(app):
    with Live(arming("lookup", "tool.error")) as live:
        assert "was not called while armed" in live.landing().reason
        app.lookup("A")
        assert "came from background work" in live.landing().reason
    assert CallablesInjector().landed(live.handles[0]).reason == "never applied in this process"


def test_a_result_that_cannot_be_changed_is_returned_and_not_counted(app):
    app.search = lambda query: 7
    with Live(arming("search", "retriever.poisoned", "retriever")) as live:
        assert as_unit("treatment", app.search, "A") == 7
    assert (live.landing().eligible, live.landing().injected) == (1, 0)
    assert "1 results had nothing to change (a int)" in live.landing().reason


def test_armed_but_not_firing_costs_little(app):
    app.noop = lambda order: None
    plain = app.noop
    with Live(arming("noop", "tool.error", share=0.0)):

        def measure(function):
            best = float("inf")
            for _ in range(15):
                started = time.perf_counter()
                for _ in range(400):
                    function("A-1")
                best = min(best, (time.perf_counter() - started) / 400)
            return best

        added = as_unit("treatment", measure, app.noop) - as_unit("treatment", measure, plain)
    print(f"{added * 1e6:.1f} µs")
    assert added < 20e-6  # about 8 µs on a quiet machine


Point = namedtuple("Point", "id text")  # noqa: PYI024  # the shape under test


@dataclass(frozen=True)
class Chunk:
    page_content: str
    score: float = 0.5


@dataclass(frozen=True, slots=True)
class Results:
    documents: list
    total: int = 2


@pytest.mark.parametrize(
    ("result", "empty"),
    [
        (["a text"], []),
        (("id-1", "a longer text"), ()),
        ((["a text"], [0.5]), ([], [])),
        ({"documents": [["a text"]], "n": 1}, {"documents": [[]], "n": 1}),
        ({"hits": {"hits": [{"text": "a text"}], "took": 3}}, {"hits": {"hits": [], "took": 3}}),
        ([{"id": 1, "text": "a text"}], []),
        ([Chunk("a text")], []),
        (Results([Chunk("a text")]), Results([])),
        ([Point(1, "a text")], []),
        ([(Chunk("a text"), 0.5)], []),
        ("a text", ""),
    ],
)
def test_results_of_many_shapes_are_emptied_and_poisoned_in_copies(app, result, empty):
    before = repr(result)
    app.search = lambda query: result
    with Live(arming("search", "retriever.empty", "retriever")):
        seen = as_unit("treatment", app.search, "A")
    assert seen == empty
    assert type(seen) is type(result)
    with Live(arming("search", "retriever.poisoned", "retriever")) as live:
        seen = as_unit("treatment", app.search, "A")
    assert repr(seen).count(CANARY) == 1
    assert type(seen) is type(result)
    assert repr(result) == before
    assert live.landing().injected == 1


def test_a_retry_of_a_failed_call_sees_the_same_draw_and_a_repeat_after_success_a_new_one(app):
    def retried(order):
        for _ in range(3):
            try:
                return app.lookup(order)
            except ConnectionError:
                continue
        return "gave up"

    with Live(arming("lookup", "tool.error", share=0.5)) as live:
        seen = [as_unit("treatment", retried, "A", key=f"c{number}/0") for number in range(40)]
        landing = live.landing()
    assert landing.eligible == 40
    assert landing.injected == seen.count("gave up")
    assert landing.effect == {"ConnectionError": 3 * landing.injected}
    with Live(arming("search", "retriever.delay", "retriever", magnitude=0.01)) as live:
        as_unit("treatment", lambda: [app.search("A") for _ in range(3)])
    assert (live.landing().eligible, live.landing().injected) == (3, 3)
    calls = iter([KeyError("by itself"), "fine"])

    def flaky(order):
        answer = next(calls)
        if isinstance(answer, Exception):
            raise answer
        return answer

    app.lookup = flaky

    def once_again():
        with pytest.raises(KeyError):
            app.lookup("A")
        return app.lookup("A")

    with Live(arming("lookup", "tool.error", share=0.0)) as live:
        assert as_unit("treatment", once_again) == "fine"
    assert live.landing().eligible == 1


@pytest.mark.parametrize("function", ["lookup", "alookup"])
def test_of_two_faults_on_a_function_the_second_meets_what_the_first_lets_through(app, function):
    armings = [arming(function, "tool.error", share=0.4, seed=3), arming(function, "tool.wrong_entity", share=0.5, seed=8)]
    with Live(*armings) as live:
        for number in range(400):
            try:
                as_unit("treatment", getattr(app, function), f"A{number}", key=f"c{number}/0")
            except Exception:  # noqa: BLE001 - whatever the fault raises
                continue
        first, second = live.landing(0), live.landing(1)
    assert first.eligible == 400
    assert second.eligible <= 400 - first.injected, "what is answered by the first never reaches the second"
    assert 0.32 < first.injected / first.eligible < 0.48
    assert 0.4 < second.injected / second.eligible < 0.6
