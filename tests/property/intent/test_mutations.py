"""Whatever is done to a valid intent: it is an intent, or problems with codes say why not. Never a traceback."""

import copy
import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refute.core.errors import RefuteError
from refute.core.intent import Intent
from refute.intent import load, loads
from refute.intent.codes import CODES
from support.intents import ASSISTANT, FAULTS, VALID, project

DATA = yaml.safe_load(VALID)
QUICK = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory() as name:
        project(Path(name))
        yield Path(name)


def intent_or_problems(work):
    """Return the intent, or None where it was refused in words that somebody can act on."""
    try:
        found = work()
    except RefuteError as error:
        refusal = error
    else:
        assert isinstance(found, Intent)
        return found
    assert refusal.exit_code == 2
    assert refusal.problems
    for problem in refusal.problems:
        assert problem.code in CODES
        assert problem.what
        assert problem.where
        assert problem.next
    return None


def ways(value, steps=()):
    """Yield the way to every value inside."""
    yield steps
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, child in inside:
        yield from ways(child, (*steps, step))


WAYS = [steps for steps in ways(DATA) if steps]
WORDS = [
    *(">= 95%", "on", "30", "30%", "2 s", "-1 s", "nan", "1e999 s", "answered >= 95%", "latency p95 <= 4 s", "llm", "a:b", ""),
    *("x.yaml", ".", "\x00", "\x00.yaml", "x" * 5000 + ".yaml", "\ud800"),
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def with_value(steps, value):
    data = copy.deepcopy(DATA)
    here = data
    for step in steps[:-1]:
        here = here[step]
    here[steps[-1]] = value
    return data


@given(st.sampled_from(WAYS), VALUES)
@QUICK
def test_any_value_anywhere(folder, steps, value):
    intent_or_problems(lambda: loads(with_value(steps, value), folder, faults=FAULTS))


@given(VALUES)
@QUICK
def test_any_include(folder, value):
    intent_or_problems(lambda: loads({**DATA, "include": value}, folder, faults=FAULTS))


@given(st.sampled_from(WAYS), st.sampled_from(WAYS))
@QUICK
def test_any_value_in_the_place_of_another(folder, steps, source):
    value = DATA
    for step in source:
        value = value[step]
    intent_or_problems(lambda: loads(with_value(steps, copy.deepcopy(value)), folder, faults=FAULTS))


@given(VALUES)
@QUICK
def test_any_mapping_at_all(folder, value):
    intent_or_problems(lambda: loads(value if isinstance(value, dict) else {"system": value}, folder, faults=FAULTS))


@given(
    st.integers(0, len(VALID)),
    st.integers(0, 12),
    st.text(max_size=6) | st.sampled_from(["\t", ": ", "&a ", "*a ", "- ", "{", "]", "!!x ", "\n"]),
)
@QUICK
def test_any_edit_of_the_text(folder, at, length, new):
    path = folder / "refute.yaml"
    path.write_bytes((VALID[:at] + new + VALID[at + length :]).encode("utf-8", "surrogatepass"))
    intent_or_problems(lambda: load(path, faults=FAULTS))


@given(st.binary(max_size=200))
@QUICK
def test_any_bytes(folder, content):
    path = folder / "refute.yaml"
    path.write_bytes(content)
    intent_or_problems(lambda: load(path, faults=FAULTS))


@given(st.binary(max_size=120))
@QUICK
def test_any_cases(folder, content):
    (folder / "cases.jsonl").write_bytes(content)
    intent_or_problems(lambda: loads(DATA, folder, faults=FAULTS))


STATED = st.fixed_dictionaries(
    {
        "cohort": st.integers(1, 99),
        "units": st.integers(2, 10**6),
        "rate": st.floats(0.01, 1000, allow_nan=False),
        "timeout": st.integers(1, 10**5),
        "share": st.integers(1, 100),
        "confidence": st.integers(1, 99),
        "bound": st.integers(1, 99),
        "magnitude": st.integers(10, 120_000),
    }
)


@given(STATED)
@settings(max_examples=50, deadline=None)
def test_what_is_stated_is_what_is_loaded_from_code_and_from_yaml(stated):
    data = copy.deepcopy(DATA)
    data["blast_radius"] |= {"cohort": f"{stated['cohort']}%", "units": stated["units"]}
    data["workload"] |= {"rate": f"{stated['rate']!r}/s", "timeout": f"{stated['timeout']} ms"}
    belief = data["beliefs"][1]
    belief |= {"confidence": f"{stated['confidence']}%", "then": f"answered >= {stated['bound']}%"}
    belief["when"] |= {"share": f"{stated['share']} %", "magnitude": f"{stated['magnitude']} ms"}
    from_code = loads(data, ASSISTANT, faults=FAULTS)
    from_yaml = loads(yaml.safe_load(yaml.safe_dump(data)), ASSISTANT, faults=FAULTS)
    assert from_yaml == from_code
    found = from_code.beliefs["slow-retrieval-tolerated"]
    assert (from_code.blast_radius.cohort, from_code.blast_radius.units) == (stated["cohort"] / 100, stated["units"])
    assert from_code.workload.rate_per_s == stated["rate"]
    assert from_code.workload.timeout_s == pytest.approx(stated["timeout"] / 1000)
    assert (found.confidence, found.then.value, found.when.share) == tuple(stated[key] / 100 for key in ("confidence", "bound", "share"))
    assert found.when.magnitude == pytest.approx(stated["magnitude"] / 1000)
