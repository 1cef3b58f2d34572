import pytest

from refute.core.intent import Journey, System
from refute.core.system import Component
from refute.system.graph import ancestors, journeys_through, on_path, reachable, shared_ancestors


def system(**calls):
    components = {name: Component(name, "service", tuple(called)) for name, called in calls.items()}
    return System("s", components, {"ask": Journey("ask", "a"), "buy": Journey("buy", "c"), "lost": Journey("lost", "nowhere")})


DIAMOND = system(a="bc", b="d", c="d", d="", e="a")
LOOP = system(a="b", b="c", c="a", d="c")


@pytest.mark.parametrize(
    ("graph", "start", "found"),
    [(DIAMOND, "a", "abcd"), (DIAMOND, "d", "d"), (DIAMOND, "e", "abcde"), (LOOP, "a", "abc"), (LOOP, "d", "abcd"), (LOOP, "x", "")],
)
def test_calls_are_followed_to_their_end(graph, start, found):
    assert reachable(graph, start) == set(found)


@pytest.mark.parametrize(("graph", "name", "found"), [(DIAMOND, "d", "abcde"), (DIAMOND, "e", "e"), (LOOP, "a", "abcd"), (LOOP, "x", "")])
def test_ancestors_are_those_that_reach_it(graph, name, found):
    assert ancestors(graph, name) == set(found)
    assert all(name in reachable(graph, each) for each in found)


def test_calls_to_undeclared_components_are_passed_over():
    assert reachable(system(a="bz", b=""), "a") == {"a", "b"}


def test_shared_ancestors_are_where_harm_meets():
    assert shared_ancestors(DIAMOND, "b", "c") == {"a", "e"}


def test_a_journey_passes_through_what_its_entry_reaches():
    assert on_path(DIAMOND, DIAMOND.journeys["buy"], "d")
    assert not on_path(DIAMOND, DIAMOND.journeys["buy"], "b")
    assert not on_path(DIAMOND, DIAMOND.journeys["lost"], "a")
    assert journeys_through(DIAMOND, "d") == ("ask", "buy")
