"""An intent whose components, calls and weights its traces refine."""

import json

import pytest
import yaml
from click.testing import CliRunner

from refute.campaign.plan import eligible_units
from refute.cli import group
from refute.core.errors import RefuteError
from refute.intent import fingerprint, load, loads
from refute.system.seen import SeenSystem
from refute.system.traces import learn_from
from support.intents import FAULTS, VALID, project

HEADER = '{"resourceSpans": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "front"}}]}, "scopeSpans": '


def span(number, parent, name, kind, **attributes):
    """One span as OTLP JSON."""
    listed = [{"key": key.replace("__", "."), "value": {"stringValue": value}} for key, value in attributes.items()]
    return {"traceId": f"t{number // 100}", "spanId": str(number), "parentSpanId": parent and str(parent), "name": name, "kind": kind,
            "startTimeUnixNano": "1", "endTimeUnixNano": "1000000001", "attributes": listed}  # fmt: skip


def agent(number, *children):
    named = {"gen_ai__operation__name": "invoke_agent", "gen_ai__agent__name": "assistant"}
    return [span(number, "", "invoke_agent", 1, **named), *children]


def chat(number, parent):
    named = {"gen_ai__operation__name": "chat", "gen_ai__provider__name": "local", "server__address": "127.0.0.1", "server__port": "8081"}
    return span(number, parent, "chat", 3, **named)


def search(number, parent):
    return span(number, parent, "search", 1, gen_ai__operation__name="retrieval", gen_ai__data_source__id="faq")


def cache(number, parent):
    return span(number, parent, "GET", 3, db__system__name="redis")


def write(folder, spans, name="traces/one.json"):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(HEADER + json.dumps([{"spans": spans}]) + "}]}\n")
    return path


SPANS = [*agent(100, chat(101, 100), search(102, 100)), *agent(200, chat(201, 200), cache(202, 200))]
TRACED = VALID.replace("  owner: team-support\n", "  owner: team-support\n  traces: traces/*.json\n", 1)


@pytest.fixture
def path(tmp_path):
    write(tmp_path, SPANS)
    return project(tmp_path, TRACED)


def test_what_is_written_down_keeps_its_name_and_the_rest_is_added(path):
    after = load(path, faults=FAULTS)
    path.write_text(VALID)
    before = load(path, faults=FAULTS)
    assert set(after.system.components) - set(before.system.components) == {"redis"}
    assert after.system.components["redis"].kind == "cache"
    assert set(after.system.components["assistant"].calls) == {*before.system.components["assistant"].calls, "redis"}
    assert after.system.components["llm"] == before.system.components["llm"]  # named local in the traces, found by its address
    assert after.system.components["retriever"] == before.system.components["retriever"]  # named faq, the only one of its kind


def test_traffic_weighs_what_a_run_can_see(path):
    intent = load(path, faults=FAULTS)
    assert {name: intent.system.reach[name] for name in ("assistant", "llm", "retriever")} == {"assistant": 1, "llm": 1, "retriever": 0.5}
    slow, limited = intent.beliefs["slow-retrieval-tolerated"], intent.beliefs["rate-limits-absorbed"]
    assert 2 * eligible_units(intent, slow, 400) == eligible_units(intent, limited, 400)


def test_journeys_without_a_share_get_theirs_from_traces(tmp_path):
    users = {"http__route": "/ask"}, {"http__route": "/buy"}
    spans = [span(100 * (number + 1), "", "POST", 2, **users[number > 5]) for number in range(8)]
    write(tmp_path, spans)
    data = {
        "version": 1,
        "system": {"name": "s", "components": {"front": {"kind": "service", "endpoint": "http://127.0.0.1:1"}}, "traces": "traces/*"},
        "journeys": {"ask": {"entry": "front"}, "buy": {"entry": "front"}},
        "workload": {"http": "http://127.0.0.1:1/ask", "cases": "cases.jsonl", "rate": "5/s"}, "indicators": {"latency": {"latency": True}},
        "beliefs": [{"id": "b", "claim": "c", "when": {"fault": "service.delay", "target": "front"}, "then": "latency p95 <= 1 s",
                     "confidence": "80%"}],
    }  # fmt: skip
    (tmp_path / "cases.jsonl").write_text('{"q": 1}\n')
    shares = {name: one.share for name, one in loads(data, tmp_path, faults=FAULTS).system.journeys.items()}
    assert shares == {"ask": 0.75, "buy": 0.25}
    data["journeys"]["ask"] = {"entry": "front", "share": "10%"}
    assert loads(data, tmp_path, faults=FAULTS).system.journeys["ask"].share == 0.1


def test_a_graph_does_as_well_as_traces(path):
    intent = load(path, faults=FAULTS)
    seen = CliRunner().invoke(group, ["import", "traces", str(path.parent / "traces/one.json"), "--json"])
    assert seen.exit_code == 0
    (path.parent / "graph.json").write_text(seen.stdout)
    path.write_text(TRACED.replace("traces/*.json", "graph.json"))
    again = load(path, faults=FAULTS)
    assert again.system == intent.system


def test_a_change_of_graph_makes_answers_stale_and_more_of_the_same_traffic_does_not(path):
    def marks():
        intent = load(path, faults=FAULTS)
        return fingerprint(intent, intent.beliefs["slow-retrieval-tolerated"])

    before = marks()
    write(path.parent, [*agent(300, chat(301, 300))], "traces/two.json")
    assert marks() == before
    write(path.parent, [*agent(400, search(401, 400), span(402, 401, "SELECT", 3, db__system__name="qdrant"))], "traces/three.json")
    after = marks()
    assert {name for name in before if before[name] != after[name]} == {"component", "graph"}


@pytest.mark.parametrize(
    ("named", "code"), [("nowhere/*.json", "TRACES-MISSING"), ("cases.jsonl", "TRACES-UNREADABLE"), ("5", "VALUE-TYPE")]
)
def test_bad_traces_are_told_with_their_place(tmp_path, named, code):
    path = project(tmp_path, TRACED.replace("traces/*.json", named))
    with pytest.raises(RefuteError) as told:
        load(path, faults=FAULTS)
    assert code in {problem.code for problem in told.value.problems}


def test_import_prints_what_can_be_pasted(path):
    told = CliRunner().invoke(group, ["import", "traces", str(path.parent / "traces/*.json")])
    assert told.exit_code == 0
    pasted = yaml.safe_load(told.stdout)
    assert pasted["system"]["components"]["assistant"] == {"kind": "agent", "calls": ["local", "faq", "redis"]}
    assert pasted["system"]["components"]["local"]["endpoint"] == "http://127.0.0.1:8081"
    assert pasted["journeys"] == {"assistant": {"entry": "assistant", "share": "100%"}}


def test_import_refuses_what_is_not_there(tmp_path):
    told = CliRunner().invoke(group, ["import", "traces", str(tmp_path / "no.json")])
    assert told.exception is not None
    assert told.exception.problems[0].code == "TRACES-MISSING"


def test_spans_of_nothing_are_an_empty_system():
    assert learn_from([]) == SeenSystem({}, {})
