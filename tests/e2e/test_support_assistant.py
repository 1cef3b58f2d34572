"""The example application, for real: its server through the openai SDK, all its cases, its processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import openai
import pytest

APP = Path(find_spec("refute").submodule_search_locations[0]) / "demo" / "support_assistant"
MODEL = "extractive-1"
ORDER_TOOL = {
    "type": "function",
    "function": {"name": "lookup_order", "parameters": {"type": "object", "properties": {"order_id": {"type": "string"}}}},
}
SEARCH_TOOL = {"type": "function", "function": {"name": "search_help", "parameters": {"type": "object", "properties": {}}}}
ASK = [{"role": "user", "content": "Where is my order FH-10291?"}]
ASK_BOTH = [{"role": "user", "content": "The zip on the jacket from FH-10291 broke. How many years is the warranty on zips?"}]


def start_server(*arguments):
    process = subprocess.Popen(
        [sys.executable, "-m", "app.model_server", "--port", "0", *arguments],
        cwd=APP,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return process, json.loads(process.stdout.readline() or json.dumps({"error": process.stderr.read()}))


def stop(process):
    process.stdin.close()
    process.wait(5)
    process.stdout.close()
    process.stderr.close()


def run_app(code, *arguments, **environment):
    """Run a program of the application's in a process of its own, as its users do."""
    return subprocess.Popen(
        [sys.executable, "-c", f"import asyncio, json, sys; from app import checks, main, rag, tools\n{code}", *arguments],
        cwd=APP,
        env={**os.environ, "SUPPORT_PORT": "0", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def output(process):
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return json.loads(out)


@pytest.fixture(scope="module")
def server():
    process, ready = start_server()
    yield ready["url"]
    stop(process)


@pytest.fixture
def client(server):
    with openai.OpenAI(base_url=server, api_key="any", max_retries=0, timeout=10) as client:
        yield client


def streamed(chunks):
    """The text, the tool calls and the finish reasons of a stream."""
    text, calls, reasons = "", {}, []
    for chunk in chunks:
        for choice in chunk.choices:
            text += choice.delta.content or ""
            reasons += [choice.finish_reason] if choice.finish_reason else []
            for part in choice.delta.tool_calls or []:
                call = calls.setdefault(part.index, {"id": part.id, "name": part.function.name, "arguments": "", "fragments": 0})
                call["arguments"] += part.function.arguments or ""
                call["fragments"] += 1
    return text, calls, reasons


def followed_by(messages, call_id, result):
    call = {"id": call_id, "type": "function", "function": {"name": "lookup_order", "arguments": "{}"}}
    return [
        *messages,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call_id, "content": json.dumps(result)},
    ]


# The wire protocol


def test_lists_its_models(client):
    assert [model.id for model in client.models.list()] == [MODEL, "extractive-0"]
    assert client.models.retrieve(MODEL).object == "model"


def test_a_completion_calls_a_tool(client):
    response = client.chat.completions.with_raw_response.create(model=MODEL, messages=ASK, tools=[ORDER_TOOL])
    completion = response.parse()
    (choice,) = completion.choices
    (call,) = choice.message.tool_calls
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    assert (call.function.name, json.loads(call.function.arguments)) == ("lookup_order", {"order_id": "FH-10291"})
    assert completion.id.startswith("chatcmpl-")
    assert completion.object == "chat.completion"
    assert completion.model == MODEL
    assert completion.system_fingerprint.startswith("fp_")
    assert abs(completion.created - time.time()) < 60
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens > 0
    assert response.headers["x-request-id"].startswith("req_")


def test_a_completion_words_the_result(client):
    messages = followed_by(ASK, "call_1", {"order_id": "FH-10291", "status": "in transit"})
    completion = client.chat.completions.create(model=MODEL, messages=messages, tools=[ORDER_TOOL])
    assert completion.choices[0].finish_reason == "stop"
    assert "in transit" in completion.choices[0].message.content


def test_a_stream_says_the_same_in_pieces(client):
    messages = followed_by(ASK, "call_1", {"order_id": "FH-10291", "status": "in transit", "carrier": "Nordpost"})
    whole = client.chat.completions.create(model=MODEL, messages=messages).choices[0].message.content
    chunks = list(client.chat.completions.create(model=MODEL, messages=messages, stream=True))
    assert streamed(chunks) == (whole, {}, ["stop"])
    assert chunks[0].choices[0].delta.role == "assistant"
    assert len({chunk.id for chunk in chunks}) == 1
    assert len(chunks) > 3
    assert all(chunk.usage is None for chunk in chunks)


def test_a_stream_of_two_tool_calls_with_usage(client):
    options = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = list(client.chat.completions.create(model=MODEL, messages=ASK_BOTH, tools=[ORDER_TOOL, SEARCH_TOOL], **options))
    text, calls, reasons = streamed(chunks)
    assert text == ""
    assert [calls[i]["name"] for i in (0, 1)] == ["lookup_order", "search_help"]
    assert calls[0]["id"] != calls[1]["id"]
    assert "warranty" in json.loads(calls[1]["arguments"])["query"]
    assert calls[1]["fragments"] > 2
    assert reasons == ["tool_calls"]
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens > 0


def test_tool_choice_is_respected(client):
    none = client.chat.completions.create(model=MODEL, messages=ASK, tools=[ORDER_TOOL], tool_choice="none")
    assert none.choices[0].message.tool_calls is None
    forced = {"type": "function", "function": {"name": "search_help"}}
    completion = client.chat.completions.create(model=MODEL, messages=ASK, tools=[ORDER_TOOL, SEARCH_TOOL], tool_choice=forced)
    assert [call.function.name for call in completion.choices[0].message.tool_calls] == ["search_help"]


async def test_the_asynchronous_client_streams_too(server):
    async with openai.AsyncOpenAI(base_url=server, api_key="any", max_retries=0, timeout=10) as client:
        assert [model.id async for model in client.models.list()] == [MODEL, "extractive-0"]
        whole = await client.chat.completions.create(model=MODEL, messages=ASK, tools=[ORDER_TOOL])
        stream = await client.chat.completions.create(model=MODEL, messages=ASK, tools=[ORDER_TOOL], stream=True)
        _, calls, reasons = streamed([chunk async for chunk in stream])
        assert calls[0]["arguments"] == whole.choices[0].message.tool_calls[0].function.arguments
        assert reasons == ["tool_calls"]


@pytest.mark.parametrize(
    ("change", "error", "param"),
    [
        ({"model": "gpt-unknown"}, openai.NotFoundError, None),
        ({"model": ""}, openai.BadRequestError, "model"),
        ({"messages": []}, openai.BadRequestError, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, openai.BadRequestError, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 3}]}, openai.BadRequestError, "messages[0].content"),
        ({"messages": [*ASK, {"role": "tool", "tool_call_id": "x", "content": "{}"}]}, openai.BadRequestError, "messages[1].role"),
        ({"messages": [*followed_by(ASK, "a", {})[:2], *ASK]}, openai.BadRequestError, "messages[2]"),
        ({"messages": followed_by(ASK, "a", {})[:2]}, openai.BadRequestError, "messages"),
        ({"n": 2}, openai.BadRequestError, "n"),
        ({"stream_options": {"include_usage": True}}, openai.BadRequestError, "stream_options"),
        ({"tools": [{"type": "function"}]}, openai.BadRequestError, "tools[0].function.name"),
    ],
)
def test_a_bad_request_is_refused_in_the_apis_words(client, change, error, param):
    with pytest.raises(error) as caught:
        client.chat.completions.create(**{"model": MODEL, "messages": ASK, **change})
    assert caught.value.body["type"] == "invalid_request_error"
    assert caught.value.param == param
    assert caught.value.request_id.startswith("req_")


def test_malformed_json_and_unknown_urls_are_refused(client):
    with pytest.raises(openai.BadRequestError, match="could not parse the JSON"):
        client.post("/chat/completions", cast_to=object, content=b"{oops")
    with pytest.raises(openai.NotFoundError, match="Invalid URL"):
        client.post("/embeddings", cast_to=object, body={})


def test_a_missing_key_is_refused(client):
    with pytest.raises(openai.AuthenticationError, match="didn't provide an API key"):
        client.chat.completions.create(model=MODEL, messages=ASK, extra_headers={"Authorization": "Basic any"})


# The application

ALL_CASES = """
async def go():
    cases = [json.loads(line) for line in open("cases.jsonl")]
    async with main.running():
        gate = asyncio.Semaphore(8)
        async def one(case):
            async with gate:
                answer = await main.answer(case)
            names = ("answered", "grounded", "refunded_once", "never_overpaid")
            good = {name: getattr(checks, name)(case, answer) for name in names}
            return {"case": case, "answer": answer, "good": good}
        return await asyncio.gather(*(one(case) for case in cases + cases[:40]))
print(json.dumps(asyncio.run(go())))
"""


@pytest.fixture(scope="module")
def results():
    return output(run_app(ALL_CASES))


@pytest.mark.parametrize("check", ["answered", "grounded", "refunded_once", "never_overpaid"])
def test_nearly_all_cases_pass(results, check):
    assert sum(result["good"][check] for result in results) >= 0.98 * len(results)


def test_the_cases_hold_the_journeys_in_the_proportions_of_the_intent(results):
    journeys = [result["case"]["journey"] for result in results[:200]]
    assert {name: journeys.count(name) for name in journeys} == {"ask-about-order": 140, "ask-policy": 40, "request-refund": 20}
    assert len({result["case"]["id"] for result in results}) == 200


def test_no_case_needs_the_fallback_and_each_tool_is_used(results):
    assert not any(result["answer"]["fallback"] for result in results)
    assert {tool for result in results for tool in result["answer"]["tools"]} == {"lookup_order", "search_help", "create_refund"}


SPOILED = """
async def go():
    cases = [json.loads(line) for line in open("cases.jsonl")]
    policy = next(case for case in cases if case["journey"] == "ask-policy")
    order = next(case for case in cases if case["journey"] == "ask-about-order")
    refund = next(case for case in cases if case.get("refund_eur"))
    async with main.running():
        good, of_order, refunded = [await main.answer(case) for case in (policy, order, refund)]
        text = good["text"]
        cited = good["citations"][0]
        def grounded(text):
            return checks.grounded(policy, {**good, "text": text})
        verdicts = {
            "untouched": grounded(text),
            "unknown citation": grounded(text.replace(cited, "no-such-article")),
            "citation beside the point": grounded(text.replace(cited, "care-boots")),
            "another figure": grounded(text + " It costs 7777 EUR."),
            "made up": grounded(f"Nobody returns presents because elephants forget everything [{cited}]"),
            "half an answer": checks.answered(policy, {**good, "text": text[:12]}),
            "another order": checks.grounded(order, {**of_order, "text": of_order["text"].replace(order["order_id"], refund["order_id"])}),
        }
        again = tools.create_refund(refund["order_id"], conversation_id=refunded["conversation_id"])
        verdicts["refunded again"] = checks.refunded_once(refund, refunded) or checks.never_overpaid(refund, refunded)
        verdicts["refunded in another conversation"] = checks.refunded_once(refund, await main.answer(refund))
        return verdicts
print(json.dumps(asyncio.run(go())))
"""


def test_the_checks_see_what_is_wrong():
    verdicts = output(run_app(SPOILED))
    assert {name for name, verdict in verdicts.items() if verdict} == {"untouched", "refunded in another conversation"}


AWAY = """
import os
async def go():
    texts = []
    for _ in range(2):
        async with main.running():
            texts.append(await main.answer({"question": "What is the status of FH-10306, and can I still cancel it?"}))
        os.environ["SUPPORT_MODEL_URL"] = sys.argv[1]
    return texts
print(json.dumps(asyncio.run(go())))
"""


def test_without_the_model_the_customer_still_gets_an_answer():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
        with_model, without = output(run_app(AWAY, url))
    assert (with_model["fallback"], without["fallback"]) == (False, True)
    for answer in (with_model, without):
        assert "status processing" in answer["text"]
        assert "order-cancel" in answer["citations"]


# The processes

STAY = """
async def go():
    async with main.running():
        print(json.dumps(str(main._agent._client.base_url)), flush=True)
        await asyncio.sleep(60)
asyncio.run(go())
"""


def answers(url):
    try:
        openai.OpenAI(base_url=url, api_key="any", max_retries=0, timeout=2).models.list()
    except openai.APIConnectionError:
        return False
    return True


def test_two_at_once_do_not_collide_and_a_killed_parent_leaves_no_server():
    first, second = run_app(STAY), run_app(STAY)
    try:
        urls = [json.loads(process.stdout.readline()) for process in (first, second)]
        assert urls[0] != urls[1]
        assert all(answers(url) for url in urls)
        first.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + 5
        while answers(urls[0]) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not answers(urls[0])
        assert answers(urls[1])
    finally:
        first.kill()
        second.kill()
        first.communicate()
        second.communicate()


def test_a_taken_port_is_named_with_the_way_out():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = run_app(STAY, SUPPORT_PORT=str(port))
        _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert f"port {port} of 127.0.0.1 is taken" in err
    assert "SUPPORT_PORT=" in err


def test_an_unknown_model_is_named():
    process, ready = start_server("--model", "gpt-9")
    assert "there is no model 'gpt-9'" in ready["error"]
    stop(process)


@pytest.mark.slow
def test_smollm2_words_the_answer():
    pytest.importorskip("xllamacpp", reason="pip install 'refute[smollm2]'")
    process, ready = start_server("--model", "smollm2")
    try:
        client = openai.OpenAI(base_url=ready["url"], api_key="any", timeout=60)
        messages = followed_by(ASK, "call_1", {"order_id": "FH-10291", "status": "in transit", "carrier": "Nordpost"})
        completion = client.chat.completions.create(model="smollm2-135m-instruct", messages=messages)
        assert completion.choices[0].message.content
    finally:
        stop(process)
