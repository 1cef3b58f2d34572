from __future__ import annotations

import json
import math
import re

import pytest
from story import Story

from refute.core.errors import RefuteError
from refute.insight.model import report_model
from refute.insight.report import page, write_report
from refute.insight.selection import select

HOSTILE = "</script><img src=x onerror=alert(1)>{{DATA}}\u2028<!--"


@pytest.fixture(scope="module")
def model():
    return report_model(Story().events())


def test_headline_counts_verdicts(model):
    assert model["overview"]["headline"] == "4 beliefs tested: 1 refuted, 1 held, 1 aborted, 1 void"
    assert ["landed", "3 of 4"] in model["overview"]["facts"]


def test_beliefs_carry_confidence_before_and_now(model):
    by_id = {belief["id"]: belief for belief in model["beliefs"]}
    assert (by_id["rate-limits-absorbed"]["before"], by_id["rate-limits-absorbed"]["now"]) == (0.9, 0.021)
    assert by_id["empty-retrieval-admitted"]["now"] == 0.7, "a void run is no evidence"
    assert by_id["cut-streams-noticed"]["tests"] == []


def test_components_without_a_belief_are_blind(model):
    assert {c["name"] for c in model["components"] if c["sight"] == "no belief names it"} == {"assistant", "embedder", "payments"}


def test_cohorts_are_counted_from_outcomes(model):
    experiment = model["experiments"][0]
    answered = next(row for row in experiment["cohorts"] if row["indicator"] == "answered")
    verdict = experiment["verdicts"][0]
    assert answered["treatment"]["n"] == verdict["n"]
    assert answered["treatment"]["value"] == pytest.approx(1 - verdict["rate"])


def test_phases_follow_each_other(model):
    for experiment in model["experiments"]:
        assert [phase["phase"] for phase in experiment["phases"]] == ["check", "baseline", "inject", "recover"]
        for earlier, later in zip(experiment["phases"], experiment["phases"][1:], strict=False):
            assert earlier["from"] <= earlier["to"] <= later["from"]


def test_journeys_show_value_lost(model):
    lost = {row["journey"]: row["lost"] for row in model["experiments"][0]["journeys"]}
    assert re.fullmatch(r"\d+\.\d\d USD", lost["ask-about-order"])
    assert lost["small-talk"] == ""


def test_a_stop_has_its_place_in_time(model):
    stopped = model["experiments"][2]
    inject = next(phase for phase in stopped["phases"] if phase["phase"] == "inject")
    assert inject["from"] < stopped["stops"][0]["t"] <= inject["to"]


def test_the_unproven_rollback_wins_over_later_ones():
    events = Story(scale=0.1).events(1)
    bad = next(event for event in events if event.kind == "rollback")
    first = type(bad)("rollback", {**bad.data, "ok": False, "remove_by_hand": "refute recover"}, bad.at - 1)
    model = report_model([*events[: events.index(bad)], first, *events[events.index(bad) :]])
    assert model["overview"]["unproven"][0]["remove_by_hand"] == "refute recover"


def test_a_run_that_was_killed_still_has_a_report():
    events = Story(scale=0.1).events(1)
    for upto in range(len(events)):
        text = page(report_model(events[:upto]))
        assert text.startswith("<!doctype html>")


def test_no_events_no_crash():
    assert report_model([])["overview"]["headline"] == "Nothing was tested"


def test_infinities_never_reach_json():
    events = [event.to_json() for event in Story(scale=0.1).events(1)]
    next(event for event in events if event["event"] == "verdict")["log_e"]["refute"] = math.inf
    json.dumps(report_model(events), allow_nan=False)


def test_hostile_text_stays_data(tmp_path):
    path = write_report((event.to_json() for event in Story(scale=0.1, claim=HOSTILE).events(1)), tmp_path / "deep" / "report.html")
    text = path.read_text(encoding="utf-8")
    assert text.count("</script>") == 2, "the data's and the program's own"
    assert "<img" not in text
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])
    assert HOSTILE.replace("\u2028", " ") in data["beliefs"][0]["claim"].replace("\u2028", " ")


def test_a_page_names_no_other_place(model):
    text = page(model)
    outside = set(re.findall(r"""(?:src|href|url|@import)\s*[=(]\s*["']?(\w+:)?//[^"')\s]+""", text))
    assert not outside
    assert "default-src 'none'" in text
    assert len(text) < 200_000


def two_runs():
    first, second = Story(scale=0.1).events(1), Story(scale=0.1, seed=8).events(2)
    second = [
        type(e)(e.kind, {**e.data, "experiment": "x" + e.data["experiment"]} if "experiment" in e.data else e.data, e.at) for e in second
    ]
    return [*first, *second]


def test_last_is_the_last_run():
    kept = select(two_runs())
    assert {record["experiment"] for record in kept if "experiment" in record} == {"xe1-7f3a", "xe2-b81c"}
    assert kept[0]["event"] == "intent"


def test_all_is_everything():
    assert len(report_model(select(two_runs(), "all"))["experiments"]) == 3


@pytest.mark.parametrize("which", ["xe2-b81c", "xe2"])
def test_one_experiment_by_the_start_of_its_id(which):
    model = report_model(select(two_runs(), which))
    assert [experiment["id"] for experiment in model["experiments"]] == ["xe2-b81c"]
    assert model["intent"]["system"] == "support-assistant"


@pytest.mark.parametrize(("which", "what"), [("nothing", "no experiment has that id"), ("x", "several experiments start so")])
def test_unknown_or_ambiguous_is_refused(which, what):
    with pytest.raises(RefuteError) as refused:
        select(two_runs(), which)
    assert refused.value.problems[0].what == what
    assert refused.value.problems[0].next == "refute report last"


def test_an_empty_ledger_is_refused():
    with pytest.raises(RefuteError, match="REPORT-EMPTY"):
        select([])
