"""A system learned from what its own programs wrote with the OpenTelemetry SDK, in every kind of file, and from traces that are damaged."""

import base64
import gzip
import json
import struct

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

from refute.core.errors import RefuteError
from refute.system.otlp import read_spans
from refute.system.reading import read_system
from refute.system.seen import SeenSystem
from refute.system.span import KEPT, Span
from refute.system.trace_store import traces
from refute.system.traces import learn, learn_from
from support.traced_app import LIMIT_S, System


@pytest.fixture(scope="module")
def written():
    """Spans of eight questions: all with a model that fails once, five about an order, two of those too slow."""
    with System() as system:
        for number in range(8):
            system.ask("where is it?", order=number < 5 and f"A{number}", slow=number < 2)
        ports = {"model": system.model.server_port, "shop": system.store.server_port}
        return system.spans(), ports


def as_json(spans):
    """What the collector's file exporter writes: identifiers in hexadecimal, kinds as numbers."""
    batch = MessageToDict(encode_spans(spans), use_integers_for_enums=True)
    for resource in batch["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                for name in {"traceId", "spanId", "parentSpanId"} & set(span):
                    span[name] = _hex(span[name])
    return batch


def _hex(text):
    return base64.b64decode(text).hex()


def lines(spans, each=7):
    return "".join(json.dumps(as_json(spans[at : at + each])) + "\n" for at in range(0, len(spans), each)).encode()


def prefixed(spans, each=7):
    batches = [encode_spans(spans[at : at + each]).SerializeToString() for at in range(0, len(spans), each)]
    return b"".join(struct.pack(">I", len(batch)) + batch for batch in batches)


FORMS = {
    "lines": lines,
    "object": lambda spans: json.dumps(as_json(spans), indent=1).encode(),
    "one line": lambda spans: json.dumps(as_json(spans)).encode(),
    "protobuf": lambda spans: encode_spans(spans).SerializeToString(),
    "length-prefixed": prefixed,
    "gzipped": lambda spans: gzip.compress(lines(spans)),
}


@pytest.fixture(params=FORMS)
def file(request, tmp_path, written):
    path = tmp_path / "traces.json"
    path.write_bytes(FORMS[request.param](written[0]))
    return path


def test_components_calls_and_journeys(file, written):
    seen, ports = learn([file]), written[1]
    assert {name: (one.kind, sorted(one.calls)) for name, one in seen.components.items()} == {
        "front": ("service", ["assistant"]),
        "assistant": ("agent", ["local", "lookup_order"]),
        "local": ("llm", []),
        "lookup_order": ("tool", ["shop"]),
        "shop": ("service", ["orders"]),
        "orders": ("datastore", []),
    }
    assert {name: (one.entry, one.count, one.share) for name, one in seen.journeys.items()} == {"ask": ("front", 8, 1.0)}
    assert seen.components["local"].models == ("smol",)
    assert seen.components["local"].endpoint == f"127.0.0.1:{ports['model']}"
    assert seen.components["shop"].endpoint == f"127.0.0.1:{ports['shop']}"
    assert seen.components["lookup_order"].reach == 5 / 8


def test_retries_timeouts_and_errors(file):
    components = learn([file]).components
    model = components["assistant"].calls["local"]
    assert (model.count, model.errors, model.retries, model.timeouts) == (8, 8, 8, 0)
    shop = components["lookup_order"].calls["shop"]
    assert (shop.count, shop.traces, shop.errors, shop.timeouts) == (5, 5, 2, 2)
    assert shop.timeout_s == pytest.approx(LIMIT_S, rel=0.5)
    assert shop.p50_s < LIMIT_S <= shop.p95_s * 1.05


def test_prompts_are_dropped_as_a_file_is_read(file):
    spans = list(read_spans(file))
    assert any(span.name == "invoke_agent assistant" for span in spans)
    assert all(set(span.attributes) <= KEPT for span in spans)
    assert "secret" not in repr(spans)


def test_programs_in_files_of_their_own(tmp_path, written):
    spans = written[0]
    names = {span.resource.attributes["service.name"] for span in spans}
    files = []
    for name in sorted(names):
        files.append(tmp_path / f"{name}.jsonl")
        files[-1].write_bytes(lines([span for span in spans if span.resource.attributes["service.name"] == name]))
    assert len(files) == 3
    whole = tmp_path / "all.jsonl"
    whole.write_bytes(lines(spans))
    assert learn(files) == learn([whole])


def test_nothing_depends_on_order_or_on_what_is_held(tmp_path, written):
    path = tmp_path / "traces.jsonl"
    path.write_bytes(lines(written[0]))
    spans = list(read_spans(path))
    assert learn_from(reversed(spans)).to_json() == learn_from(spans).to_json()
    assert sorted(map(len, traces(spans, held=3))) == sorted(map(len, traces(spans)))


def test_the_graph_is_read_again(tmp_path, file):
    seen = learn([file])
    graph = tmp_path / "graph.json"
    graph.write_text(json.dumps(seen.to_json()))
    assert read_system([graph]) == seen
    assert SeenSystem.from_json(seen.to_json()) == seen


# ---- damaged and odd traces


def span(
    number, parent="", *, trace="t", service="front", name="work", kind=1, start=0, end=10**9, failed=False, linked=False, **attributes
):
    named = {key.replace("__", "."): value for key, value in attributes.items()}
    return Span(trace, str(number), parent and str(parent), service, name, kind, start, end, False, linked, named)


def call(number, parent, host, **fields):
    return span(number, parent, kind=3, name="GET", server__address=host, **fields)


def test_duplicates_count_once():
    spans = [span(1, kind=2, http__route="/ask"), call(2, 1, "db")]
    seen = learn_from(spans * 3)
    assert seen.quality.duplicates == 4
    assert seen.components["front"].calls["db"].count == 1
    assert seen.journeys["ask"].count == 1


def test_missing_parents_keep_their_calls_and_begin_no_journey():
    seen = learn_from([span(2, 1, kind=2, http__route="/inner"), call(3, 2, "db"), span(9, trace="u", kind=2, http__route="/ask")])
    assert seen.quality.missing_parents == 1
    assert list(seen.components["front"].calls) == ["db"]
    assert list(seen.journeys) == ["ask"]


def test_spans_that_cause_themselves_end():
    spans = [span(1, 2), span(2, 1), span(3, 3), call(4, 1, "db")]
    seen = learn_from(spans)
    assert seen.quality.cycles >= 1
    assert list(seen.components["front"].calls) == ["db"]
    assert not seen.journeys


def test_components_may_call_each_other_in_a_circle():
    spans = [
        span(1, kind=2, service="a"), call(2, 1, "b", service="a"), span(3, 2, kind=2, service="b"), call(4, 3, "a", service="b"),
        span(5, 4, kind=2, service="a"),
    ]  # fmt: skip
    seen = learn_from(spans)
    assert {name: list(one.calls) for name, one in seen.components.items()} == {"a": ["b"], "b": ["a"]}


def test_clocks_may_differ_by_hours():
    hour = 3600 * 10**9
    spans = [
        span(1, kind=2, start=5 * hour, end=5 * hour + 10), call(2, 1, "shop:80", start=5 * hour, end=5 * hour + 5),
        span(3, 2, kind=2, service="shop", start=hour, end=hour + 1), span(4, 3, service="shop", start=hour + 9, end=hour),
    ]  # fmt: skip
    seen = learn_from(spans)
    assert seen.quality.skewed == 1
    assert list(seen.components["front"].calls) == ["shop"]
    assert seen.components["front"].calls["shop"].p95_s < 1


def test_a_host_is_the_program_that_answers_there_in_other_traces():
    answered = [span(1, kind=2), call(2, 1, "10.0.0.7:80"), span(3, 2, kind=2, service="shop")]
    lonely = [span(1, trace="u", kind=2), call(2, 1, "10.0.0.7:80", trace="u")]
    seen = learn_from(answered + lonely)
    assert {name: one.count for name, one in seen.components["front"].calls.items()} == {"shop": 2}


def test_queues_stand_between_programs():
    sent = span(2, 1, kind=4, name="send", messaging__system="kafka", messaging__destination__name="orders")
    taken = span(
        1, trace="u", service="billing", kind=5, name="process", linked=True, messaging__system="kafka",
        messaging__destination__name="orders",
    )  # fmt: skip
    seen = learn_from([span(1, kind=2, http__route="/buy"), sent, taken])
    assert {name: (one.kind, list(one.calls)) for name, one in seen.components.items()} == {
        "front": ("service", ["orders"]), "orders": ("queue", ["billing"]), "billing": ("service", []),
    }  # fmt: skip
    assert list(seen.journeys) == ["buy"]


@pytest.mark.parametrize(
    ("attributes", "kind", "name"),
    [
        ({"gen_ai__operation__name": "embeddings", "gen_ai__provider__name": "openai"}, "embedder", "openai-embedder"),
        ({"gen_ai__operation__name": "retrieval", "gen_ai__data_source__id": "docs"}, "retriever", "docs"),
        ({"gen_ai__operation__name": "invoke_workflow", "gen_ai__workflow__name": "triage"}, "agent", "triage"),
        ({"openinference__span__kind": "LLM", "llm__provider": "anthropic"}, "llm", "anthropic"),
        ({"openinference__span__kind": "TOOL", "tool__name": "search"}, "tool", "search"),
        ({"mcp__method__name": "tools/call", "server__address": "mcp.local"}, "mcp_server", "mcp-local"),
        ({"db__system__name": "qdrant", "db__namespace": "docs"}, "vector_store", "docs"),
        ({"db__system": "redis"}, "cache", "redis"),
        ({"rpc__system": "grpc", "rpc__service": "shop.Orders"}, "service", "shop-Orders"),
        ({"server__address": "api.anthropic.com", "server__port": 443}, "llm", "api-anthropic-com-443"),
    ],
)
def test_kinds_of_components(attributes, kind, name):
    seen = learn_from([span(1, kind=2), span(2, 1, kind=3, **attributes)])
    assert seen.components[name].kind == kind
    assert list(seen.components["front"].calls) == [name]


def test_names_with_identifiers_do_not_become_journeys_without_end():
    many = (span(1, trace=f"t{number}", kind=2, url__path=f"/things/{number}") for number in range(300))
    assert {name: one.count for name, one in learn_from(many).journeys.items()} == {"things-id": 300}
    words = (span(1, trace=f"t{number}", name=f"job x{number}y") for number in range(300))
    journeys = learn_from(words).journeys
    assert len(journeys) <= 51
    assert sum(one.count for one in journeys.values()) == 300


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"hello", "TRACES-UNREADABLE"),
        (b'{"resourceSpans": 3}', "TRACES-UNREADABLE"),
        (b'{"some": "thing"}', "TRACES-UNREADABLE"),
        (b'{"resourceSpans": []}\n{"resourceSpans": [{]}\n', "TRACES-UNREADABLE"),
        (b"\x0a\xff\xff\xff", "TRACES-UNREADABLE"),
        (b"\x1f\x8bnot gzip", "TRACES-UNREADABLE"),
    ],
)
def test_what_is_no_trace_is_told(tmp_path, content, code):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(RefuteError) as told:
        learn([path])
    assert told.value.problems[0].code == code
    assert str(path) in told.value.problems[0].where


def test_an_empty_file_has_no_spans(tmp_path):
    (tmp_path / "x.json").write_bytes(b"")
    assert not learn([tmp_path / "x.json"]).components
