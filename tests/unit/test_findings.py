import pytest

from refute.learning import findings

OWNED = {"event": "intent", "beliefs": [{"id": "a", "owner": "team"}]}


def verdict(word, run, at, *, environment="", belief="a"):
    return {"event": "verdict", "belief": belief, "verdict": word, "experiment": run, "at": at, "environment": environment, "claim": "c"}


def acceptance(until, at=0.0):
    return {"event": "acceptance", "belief": "a", "by": "ada", "why": "later", "until": until, "at": at}


def state(events, now=100.0, environment=""):
    found = findings([OWNED, *events], now, environment)
    return (found["a"].state, found["a"].experiment, found["a"].fixed_by) if found else None


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([verdict("held", "1", 1)], None),
        ([verdict("inconclusive", "1", 1)], None),
        ([verdict("refuted", "1", 1)], ("open", "1", "")),
        ([verdict("refuted", "1", 1), verdict("inconclusive", "2", 2)], ("open", "1", "")),
        ([verdict("refuted", "1", 1), verdict("refuted", "2", 2)], ("open", "2", "")),
        ([verdict("refuted", "1", 1), verdict("held", "2", 2)], ("fixed", "1", "2")),
        ([verdict("refuted", "1", 1), verdict("held", "2", 2), verdict("refuted", "3", 3)], ("open", "3", "")),
        ([verdict("refuted", "1", 1), acceptance(200.0)], ("accepted", "1", "")),
        ([verdict("refuted", "1", 1), acceptance(50.0)], ("open", "1", "")),
        ([verdict("refuted", "1", 1), acceptance(200.0), verdict("refuted", "2", 2)], ("accepted", "2", "")),
        ([verdict("refuted", "1", 1), acceptance(200.0), verdict("held", "2", 2)], ("fixed", "1", "2")),
        ([acceptance(200.0), verdict("refuted", "1", 1)], ("open", "1", "")),
    ],
)
def test_a_finding_stays_open_until_a_rerun_holds_or_somebody_accepts_it(events, expected):
    assert state(events) == expected


def test_only_the_environment_asked_for_counts():
    assert state([verdict("refuted", "1", 1, environment="staging")]) is None
    assert state([verdict("refuted", "1", 1, environment="staging")], environment="staging") == ("open", "1", "")


def test_a_finding_says_whose_it_is_and_until_when_it_is_accepted():
    found = findings([OWNED, verdict("refuted", "1", 1), acceptance(86_400.0 * 30)], 5.0)["a"]
    assert (found.owner, found.words()) == ("team", "accepted by ada until 1970-01-31: later")
