"""Every fault says all of itself, does something somewhere, and comes with a belief that can be pasted."""

from __future__ import annotations

import pytest
import yaml

from refute.faults.belief import example_belief, example_target, in_training
from refute.faults.catalogue import catalogue
from refute.faults.preview import preview, protocols_of, shown
from refute.faults.spec import seams
from refute.intent import loads
from refute.testing import check_fault
from refute.wire.codec import PROTOCOLS

ALL = pytest.mark.parametrize("fault", catalogue().values(), ids=catalogue())
CATALOGUE = """
llm.rate_limit llm.quota llm.long_retry_after llm.overloaded llm.server_error llm.too_large llm.context_length llm.auth
llm.timeout llm.delay llm.reset llm.short_body llm.bad_encoding llm.bad_body llm.wrong_model llm.missing_usage llm.token_spike
stream.slow_start stream.slow_tokens stream.stall stream.cut stream.reset stream.error_event stream.bad_chunk stream.duplicate
stream.reorder stream.not_a_stream stream.keepalive stream.empty_choices
content.empty content.truncated content.filtered content.refusal content.invalid_json content.schema_drift content.verbose
content.wrong_language content.degraded content.hallucinated_citation
toolcall.bad_arguments toolcall.unknown_tool toolcall.duplicate_id toolcall.missing_id toolcall.repeated
tool.timeout tool.error tool.empty tool.partial tool.schema_drift tool.stale tool.wrong_entity tool.transposed tool.false_success
tool.timeout_after_commit tool.replay tool.injection
mcp.session_lost mcp.new_session mcp.error mcp.disconnect mcp.partial_tools mcp.tools_changed mcp.rug_pull mcp.shadowed_tool mcp.slow
retriever.delay retriever.error retriever.empty retriever.stale retriever.permuted retriever.truncated retriever.poisoned
retriever.missing_source embedder.dimension embedder.swapped vector_store.partial vector_store.timeout
memory.lost memory.crossed cache.stale cache.crossed_key cache.miss_storm
agent.handoff_corrupted agent.handoff_dropped agent.reordered agent.contradiction agent.delegation_loop agent.peer_silent
agent.peer_overconfident guardrail.down guardrail.annotate_only guardrail.strict budget.exhausted credential.expired fallback.atrophied
serving.crash serving.slow serving.queue_full serving.oom serving.wrong_version serving.batch_mix serving.cold_start
feature.missing feature.stale feature.default feature.skew feature.drift
"""


def test_the_catalogue_is_whole():
    assert set(CATALOGUE.split()) <= set(catalogue())


@ALL
def test_fault_is_described(fault):
    check_fault(fault)


@ALL
def test_a_fault_on_http_does_something_over_some_protocol(fault):
    assert bool(protocols_of(fault)) == ("exchange" in seams(fault))


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("stream", [False, True])
def test_what_is_shown_is_what_is_sent(protocol, stream):
    for fault in catalogue().values():
        struck = preview(fault, protocol, stream=stream)
        assert struck is None or len(shown(struck)) > 20


@ALL
def test_the_example_belief_is_valid(fault, tmp_path):
    target = example_target(fault)
    where = f"endpoint: '{target.endpoint}'" if target.endpoint else f"python: '{target.python}'"
    if target.via:
        where += f", via: {target.via}"
    if target.place.directory:
        (tmp_path / target.place.directory).mkdir()
        where = f"directory: {target.place.directory}"
    (tmp_path / "cases.jsonl").write_text('{"question": "?"}\n')
    written = yaml.safe_load(f"""
version: 1
system:
  name: example
  components:
    assistant: {{kind: service, calls: [{target.name}]}}
    {target.name}: {{kind: {target.kind}, {where}}}
journeys: {{ask: {{entry: assistant}}}}
workload: {{python: "app.main:answer", cases: cases.jsonl, rate: 5/s}}
indicators: {{answered: {{ratio: "app.checks:answered"}}}}
""")
    if target.name == "service":
        written["system"]["components"]["assistant"]["kind"] = "agent"
    if in_training(fault):
        written["system"]["components"][target.name] = {"kind": target.kind} | ({"python": target.python} if target.python else {})
        written["workload"] = {"training": {"python": "train:run"}}
        written["indicators"] = {"accuracy": {"metric": "accuracy"}, "finished": {"training": "finished"}}
    belief = yaml.safe_load(example_belief(fault))
    intent = loads({**written, "beliefs": belief}, tmp_path, resolve=False)
    assert next(iter(intent.beliefs.values())).when.fault == fault.name
