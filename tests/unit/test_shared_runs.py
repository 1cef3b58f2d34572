"""One experiment at a time on what systems share."""

import pytest

from refute.core.errors import RefuteError
from refute.core.intent import System
from refute.core.system import Component
from refute.safety.runs import harmed, live_runs, registered


def system(name, gateway="http://127.0.0.1:9000", llm="http://127.0.0.1:9001/v1"):
    components = [
        Component("app", "agent", ("gateway", "cache")),
        Component("gateway", "service", ("llm",), endpoint=gateway),
        Component("llm", "llm", endpoint=llm),
        Component("cache", "cache", endpoint=f"tcp://{name}:6379"),
    ]
    return System(name, {one.name: one for one in components})


def held(first, target, second, other, tmp_path):
    with registered(first.name, "1", tmp_path, harmed(first, [target])):
        assert [run.system for run in live_runs(tmp_path)] == [first.name]
        with registered(second.name, "2", tmp_path, harmed(second, [other])):
            return {run.system for run in live_runs(tmp_path)}


def test_two_systems_with_an_ancestor_in_common_are_not_examined_at_once(tmp_path):
    with pytest.raises(RefuteError) as caught:
        held(system("one"), "llm", system("two", llm="http://127.0.0.1:9999/v1"), "llm", tmp_path)
    problem = caught.value.problems[0]
    assert problem.code == "RUN-SHARED"
    assert "'one'" in problem.what
    assert "experiment 1" in problem.seen
    assert not live_runs(tmp_path), "both holds have ended"


def test_what_is_not_harmed_is_not_held(tmp_path):
    assert held(system("one"), "cache", system("two"), "llm", tmp_path) == {"one", "two"}
    assert held(system("one"), "llm", system("two", gateway="http://127.0.0.1:9002", llm="http://10.0.0.1/v1"), "llm", tmp_path)


def test_one_system_is_still_held_whole(tmp_path):
    with pytest.raises(RefuteError) as caught:
        held(system("one"), "cache", system("one"), "llm", tmp_path)
    assert caught.value.problems[0].code == "RUN-CONCURRENT"
