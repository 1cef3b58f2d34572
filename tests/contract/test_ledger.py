"""What every ledger backend must do. A new backend adds its `open(place)` to BACKENDS and runs the same tests."""

import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refute.core.errors import RefuteError
from refute.core.events import Event
from refute.ledger import GENESIS, Ledger, canonical, digest_of
from refute.ledger.export import as_json_lines

BACKENDS = {"sqlite": lambda place: Ledger.open(place / "ledger.db")}


@pytest.fixture(params=BACKENDS)
def opened(request, tmp_path):
    """Opens the same ledger, as often as it is called."""
    made = []

    def again():
        made.append(BACKENDS[request.param](tmp_path))
        return made[-1]

    yield again
    for ledger in made:
        ledger.close()


def phase(number, **more):
    return Event("phase", {"experiment": "e1", "phase": "inject", "units": number} | more, at=100.0 + number)


def test_what_is_appended_comes_back_in_order_with_its_chain(opened):
    ledger = opened()
    digests = [ledger.append(phase(number), durable=number % 2 == 0) for number in range(5)]
    kept = list(ledger.events())
    assert [one.digest for one in kept] == digests
    assert [one.seq for one in kept] == [1, 2, 3, 4, 5]
    assert [one.previous for one in kept] == [GENESIS, *digests[:-1]]
    assert [one.record for one in kept] == [phase(number).to_json() for number in range(5)]
    assert all(digest_of(one.previous, canonical(one.record)) == one.digest for one in kept)
    assert ledger.head() == digests[-1]


def test_an_empty_ledger_is_sound(opened):
    ledger = opened()
    report = ledger.verify()
    assert (report.ok, report.events, report.head, ledger.head(), list(ledger.events())) == (True, 0, GENESIS, GENESIS, [])


def test_events_after_a_position_and_by_kind(opened):
    ledger = opened()
    for number in range(4):
        ledger.append(phase(number))
        ledger.append(Event("progress", {"experiment": "e1"}), durable=False)
    assert [one.seq for one in ledger.events(after=6)] == [7, 8]
    assert [one.seq for one in ledger.events(after=2, kinds={"phase"})] == [3, 5, 7]
    assert list(ledger.events(kinds=["verdict"])) == []


def test_many_events_are_paged(opened):
    ledger = opened()
    for number in range(1100):
        ledger.append(phase(number), durable=False)
    assert sum(1 for _ in ledger.events()) == 1100


def test_another_handle_sees_it_and_continues_the_chain(opened):
    one, other = opened(), opened()
    first = one.append(phase(0))
    second = other.append(phase(1))
    third = one.append(phase(2))
    assert [kept.previous for kept in other.events()] == [GENESIS, first, second]
    assert third == other.head()
    assert other.verify().ok


def test_threads_may_share_a_handle(opened):
    ledger = opened()
    threads = [threading.Thread(target=lambda: [ledger.append(phase(number), durable=False) for number in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report = ledger.verify()
    assert (report.ok, report.events) == (True, 200)


@pytest.mark.parametrize("data", [{"x": float("nan")}, {"x": float("inf")}, {"x": object()}, {"x": {1, 2}}, {"event": "x"}, {"at": 1}])
def test_what_json_cannot_say_is_refused_and_leaves_no_trace(opened, data):
    ledger = opened()
    ledger.append(phase(0))
    with pytest.raises(RefuteError) as caught:
        ledger.append(Event("phase", data))
    assert caught.value.problems[0].code == "LEDGER-EVENT"
    assert ledger.verify().events == 1
    ledger.append(phase(1))
    assert ledger.verify().ok


def test_runs_and_evidence_follow_from_the_events(opened):
    ledger = opened()
    story(ledger)
    assert ledger.runs() == [
        {
            "experiment": "e1", "at": 1.0, "ended_at": 5.0, "fault": "tool.error", "target": "orders", "magnitude": None, "share": 0.3,
            "environment": "local", "stopped_by": "answered < 70%", "landed": 1, "rolled_back": 0,
        }
    ]  # fmt: skip
    assert ledger.evidence("b1") == [
        {
            "belief": "b1", "experiment": "e1", "at": 5.0, "n": 100, "breaches": 3, "verdict": "held", "confidence_before": 0.7,
            "confidence_after": 0.9, "counted": 1, "environment": "local", "fingerprint": {"app": "1.0"},
        }
    ]  # fmt: skip
    assert ledger.evidence("b2") == []


def test_rebuilding_the_derived_tables_changes_nothing(opened):
    ledger = opened()
    story(ledger)
    before = ledger.runs(), ledger.evidence(), ledger.head()
    ledger.rebuild()
    assert (ledger.runs(), ledger.evidence(), ledger.head()) == before


def story(ledger):
    of = {"experiment": "e1"}
    about = {"fault": "tool.error", "target": "orders", "share": 0.3, "environment": "local"}
    ledger.append(Event("experiment", of | about, 1.0))
    ledger.append(Event("stop", of | {"condition": "answered < 70%"}, 2.0))
    ledger.append(Event("landing", of | {"ok": True}, 3.0))
    ledger.append(Event("rollback", of | {"ok": False}, 4.0))
    judged = {"belief": "b1", "verdict": "held", "n": 100, "breaches": 3, "environment": "local", "versions": {"app": "1.0"}}
    ledger.append(Event("verdict", of | judged, 5.0))
    ledger.append(Event("learned", of | {"belief": "b1", "confidence_before": 0.7, "confidence_after": 0.9, "counted": True}, 6.0))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
KINDS = ["experiment", "landing", "verdict", "learned", "stop", "rollback", "phase"]
KEYS = ["experiment", "belief", "n", "breaches", "share", "fault", "ok", "confidence_before", "fingerprint", "é\n"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(KEYS), JSON, max_size=5), st.booleans()), max_size=8))
def test_any_json_is_kept_verified_and_derived_alike_twice(opened, story):
    ledger = opened()
    for kind, data, durable in story:
        ledger.append(Event(kind, data, 1.5), durable=durable)
    kept = list(ledger.events())[-len(story) :] if story else []
    assert [one.record for one in kept] == [{"event": kind, "at": 1.5, **data} for kind, data, _ in story]
    derived = ledger.runs(), ledger.evidence()
    ledger.rebuild()
    assert (ledger.runs(), ledger.evidence()) == derived
    assert ledger.verify().ok


def test_export_has_a_line_a_record(opened):
    ledger = opened()
    story(ledger)
    assert len(list(as_json_lines(ledger))) == 6
    assert len(list(as_json_lines(ledger, after=2, kinds=["verdict"]))) == 1
