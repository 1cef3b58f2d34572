"""Golden bytes of each provider's errors, events and answers."""

from __future__ import annotations

import json

import pytest

from refute.wire.codec import PLAIN, PROTOCOLS, codec_named, codec_of, recognise
from refute.wire.events import Edit, ErrorDetail, ToolDelta
from refute.wire.exchange import Reply, Request
from refute.wire.mcp import request_of_line
from refute.wire.samples import CONTENTS, STREAMED, TEXTS, sample
from refute.wire.samples import reply as reply_of
from servers.provider import ARGUMENTS, TEXT, anthropic_events, anthropic_whole, openai_events, openai_whole

OPENAI, _ = recognise(Request("POST", "https://api.openai.com/v1/chat/completions"))
ANTHROPIC, _ = recognise(Request("POST", "https://api.anthropic.com/v1/messages"))
HEADERS = (("content-type", "application/json"), ("content-encoding", "gzip"), ("x-request-id", "r"))


@pytest.mark.parametrize(
    ("method", "url", "headers", "protocol", "operation"),
    [
        ("POST", "https://api.openai.com/v1/chat/completions", (), "openai.chat", "chat"),
        ("POST", "https://x.openai.azure.com/openai/deployments/d/chat/completions?api-version=1", (), "openai.chat", "chat"),
        ("POST", "https://api.openai.com/v1/embeddings", (), "openai.embeddings", "embeddings"),
        ("POST", "https://api.openai.com/v1/responses", (), "openai.responses", "responses"),
        ("POST", "https://api.anthropic.com/v1/messages?beta=true", (), "anthropic.messages", "chat"),
        ("POST", "https://gateway/llm/messages", (("Anthropic-Version", "2023-06-01"),), "anthropic.messages", "chat"),
        ("POST", "https://api.openai.com/v1/threads/t/messages", (), "http", "request"),
        ("POST", "https://api.anthropic.com/v1/messages/count_tokens", (), "http", "request"),
        ("GET", "https://api.openai.com/v1/chat/completions", (), "http", "request"),
        ("POST", "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-pro:generateContent", (), "gemini", "chat"),
        ("POST", "https://x-aiplatform.googleapis.com/v1/projects/p/models/gemini:streamGenerateContent?alt=sse", (), "gemini", "chat"),
        ("POST", "https://generativelanguage.googleapis.com/v1beta/models/e:batchEmbedContents", (), "gemini", "embeddings"),
        ("POST", "https://generativelanguage.googleapis.com/v1beta/models/gemini:countTokens", (), "http", "request"),
        ("POST", "http://127.0.0.1:11434/api/chat", (), "ollama", "chat"),
        ("POST", "http://127.0.0.1:11434/api/embed", (), "ollama", "embeddings"),
        ("GET", "http://127.0.0.1:11434/api/tags", (), "http", "request"),
        ("POST", "http://127.0.0.1:8000/mcp", (("Accept", "application/json, text/event-stream"),), "mcp", "message"),
        ("DELETE", "http://127.0.0.1:8000/tools", (("Mcp-Session-Id", "5f"),), "mcp", "message"),
    ],
)
def test_a_request_is_recognised(method, url, headers, protocol, operation):
    codec, call = recognise(Request(method, url, headers))
    assert (codec.protocol, call.operation, codec_of(call)) == (protocol, operation, codec)


def test_a_call_says_what_was_asked_for():
    body = b'{"model":"m","stream":true}'
    _, call = recognise(Request("POST", "http://x/v1/chat/completions", (("X-Stainless-Retry-Count", "2"),), body))
    assert (call.model, call.stream, call.attempt) == ("m", True, 2)
    _, call = recognise(Request("POST", "http://x/v1/chat/completions", (), b"\xff no JSON"))
    assert (call.model, call.stream, call.attempt) == ("", False, -1)


def test_openai_rate_limit():
    reply = OPENAI.error(ErrorDetail("rate_limit", "req_1", 0.12))
    headers = dict(reply.headers)
    assert reply.status == 429
    assert (headers["retry-after-ms"], headers["retry-after"], headers["x-request-id"]) == ("120", "1", "req_1")
    assert (headers["x-ratelimit-remaining-requests"], headers["x-ratelimit-reset-requests"]) == ("0", "120ms")
    assert int(headers["content-length"]) == len(reply.body)
    assert reply.body == (
        b'{"error":{"message":"Rate limit reached for requests per min (RPM): Limit 500, Used 500, Requested 1. Please try again in '
        b'120ms. Visit https://platform.openai.com/account/rate-limits to learn more.","type":"requests","param":null,'
        b'"code":"rate_limit_exceeded"}}'
    )


def test_anthropic_rate_limit():
    reply = ANTHROPIC.error(ErrorDetail("rate_limit", "req_1", 2.5, now_s=1_760_000_000))
    headers = dict(reply.headers)
    assert (reply.status, headers["retry-after"], headers["request-id"], headers["x-should-retry"]) == (429, "3", "req_1", "true")
    assert headers["anthropic-ratelimit-requests-remaining"] == "0"
    assert headers["anthropic-ratelimit-requests-reset"] == "2025-10-09T08:53:22Z"
    body = json.loads(reply.body)
    assert (body["type"], body["error"]["type"], body["request_id"]) == ("error", "rate_limit_error", "req_1")


@pytest.mark.parametrize(
    ("kind", "openai", "anthropic"),
    [
        ("quota", (429, "insufficient_quota"), (402, "billing_error")),
        ("overloaded", (503, "service_unavailable_error"), (529, "overloaded_error")),
        ("server_error", (500, "server_error"), (500, "api_error")),
        ("auth", (401, "invalid_request_error"), (401, "authentication_error")),
        ("context_length", (400, "invalid_request_error"), (400, "invalid_request_error")),
        ("too_large", (413, "invalid_request_error"), (413, "request_too_large")),
    ],
)
def test_errors_keep_each_providers_status_and_type(kind, openai, anthropic):
    for codec, expected in ((OPENAI, openai), (ANTHROPIC, anthropic)):
        reply = codec.error(ErrorDetail(kind))
        assert (reply.status, json.loads(reply.body)["error"]["type"]) == expected


def test_plain_error():
    assert PLAIN.error(ErrorDetail("overloaded")).body == b'{"error":{"code":"overloaded","message":"Service Unavailable"}}'


def test_errors_inside_streams():
    assert ANTHROPIC.error_event(ErrorDetail("overloaded", "req_1")) == (
        b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}\n\n'
    )
    event = OPENAI.error_event(ErrorDetail("server_error"))
    assert event.startswith(b'data: {"error":{"message":"The server had an error')
    assert event.endswith(b"\n\n")


@pytest.mark.parametrize("codec", [OPENAI, ANTHROPIC], ids=["openai", "anthropic"])
def test_terminal_events_are_read_as_such(codec):
    assert codec.event(codec.terminal_event()).terminal


@pytest.mark.parametrize(("codec", "events"), [(OPENAI, openai_events), (ANTHROPIC, anthropic_events)], ids=["openai", "anthropic"])
def test_a_stream_is_read_as_abstract_events(codec, events):
    text = [codec.event(block) for block in events(False)]
    assert "".join(event.text for event in text) == TEXT
    assert [event.finish for event in text if event.finish] == ["stop"]
    assert [event.terminal for event in text].index(True) == len(text) - 1
    tools = [codec.event(block) for block in events(True)]
    assert [delta.name for event in tools for delta in event.tools if delta.name] == ["lookup_order"]
    assert json.loads("".join(delta.arguments for event in tools for delta in event.tools)) == ARGUMENTS
    assert [event.finish for event in tools if event.finish] == ["tool_calls"]


@pytest.mark.parametrize(("codec", "events"), [(OPENAI, openai_events), (ANTHROPIC, anthropic_events)], ids=["openai", "anthropic"])
@pytest.mark.parametrize("tools", [False, True])
def test_editing_nothing_in_an_event_gives_the_same_bytes(codec, events, tools):
    for block in events(tools):
        event = codec.event(block)
        if event.content or event.finish:
            assert codec.edit_event(event, Edit()) == block


def test_editing_a_finish():
    finish = next(event for event in map(OPENAI.event, openai_events(False)) if event.finish)
    assert OPENAI.event(OPENAI.edit_event(finish, Edit(finish="length"))).finish == "length"
    finish = next(event for event in map(ANTHROPIC.event, anthropic_events(False)) if event.finish)
    assert b'"stop_reason":"max_tokens"' in ANTHROPIC.edit_event(finish, Edit(finish="length"))


@pytest.mark.parametrize(("codec", "whole"), [(OPENAI, openai_whole), (ANTHROPIC, anthropic_whole)], ids=["openai", "anthropic"])
def test_a_whole_answer_is_read_and_edited(codec, whole):
    reply = Reply(200, HEADERS, whole(False))
    answer = codec.answer(reply)
    assert (answer.text, answer.tools, answer.finish) == (TEXT, (), "stop")
    edited = codec.edit_answer(reply, answer, Edit(text="Your", finish="length"))
    assert (codec.answer(edited).text, codec.answer(edited).finish) == ("Your", "length")
    assert dict(edited.headers) == {"content-type": "application/json", "x-request-id": "r", "content-length": str(len(edited.body))}
    reply = Reply(200, HEADERS, whole(True))
    answer = codec.answer(reply)
    assert [(tool.name, json.loads(tool.arguments)) for tool in answer.tools] == [("lookup_order", ARGUMENTS)]
    assert codec.answer(codec.edit_answer(reply, answer, Edit(tools=()))).tools == ()


def test_cut_arguments_are_text_for_openai_and_missing_entries_for_anthropic():
    cut = (ToolDelta(0, "toolu_1", "lookup_order", '{"order_id":"A1","with'),)
    reply = Reply(200, (), openai_whole(True))
    assert OPENAI.answer(OPENAI.edit_answer(reply, OPENAI.answer(reply), Edit(tools=cut))).tools[0].arguments == cut[0].arguments
    reply = Reply(200, (), anthropic_whole(True))
    edited = ANTHROPIC.edit_answer(reply, ANTHROPIC.answer(reply), Edit(tools=cut))
    assert json.loads(edited.body)["content"][0]["input"] == {"order_id": "A1"}


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'"x"', b"<html>", b'{"choices":null}', b'{"choices":[null,{"message":7}]}'])
def test_nonsense_is_no_answer_and_no_event(body):
    for codec in (OPENAI, ANTHROPIC):
        answer = codec.answer(Reply(200, (), body))
        assert answer is None or not answer.text
        event = codec.event(b"data: " + body + b"\n\n")
        assert not event.content
        assert event.raw == b"data: " + body + b"\n\n"


def test_several_things_in_one_chunk_are_all_read():
    chunk = {
        "choices": [
            {
                "index": 0,
                "delta": {
                    "content": "a",
                    "tool_calls": [{"index": i, "id": str(i), "function": {"name": "f", "arguments": "{}"}} for i in (0, 1)],
                },
                "finish_reason": "tool_calls",
            }
        ],
        "usage": {"total_tokens": 1},
    }
    event = OPENAI.event(f"data: {json.dumps(chunk)}\n\n".encode())
    assert (event.text, len(event.tools), event.finish, event.usage) == ("a", 2, "tool_calls", True)


TALKING = sorted(protocol for protocol in STREAMED if protocol != "mcp")


@pytest.mark.parametrize("protocol", TALKING)
@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("stream", [False, True])
def test_every_protocol_is_read_as_the_same_answer(protocol, content, stream):
    codec = codec_named(protocol)
    call, reply = sample(protocol, content, stream=stream)
    assert (call.stream, call.operation in {"chat", "responses"}) == (stream, True)
    if stream:
        events = [codec.event(block) for block in codec.splitter().feed(reply.body)]
        fresh = [event for event in events if not event.snapshot]
        text = "".join(event.text for event in fresh)
        arguments = "".join(delta.arguments for event in fresh for delta in event.tools)
        finish = next(event.finish for event in events if event.finish)
        names = {delta.name for event in events for delta in event.tools if delta.name}
    else:
        answer = codec.answer(reply)
        text, finish, names = answer.text, answer.finish, {tool.name for tool in answer.tools}
        arguments = "".join(tool.arguments for tool in answer.tools)
    assert text == TEXTS[content]
    if content == "tools":
        assert json.loads(arguments) == ARGUMENTS
        assert names == {"lookup_order"}
        assert finish in {"tool_calls", "stop"}  # Gemini and Ollama say that they stopped
    else:
        assert finish == "stop"


@pytest.mark.parametrize("protocol", sorted(STREAMED))
@pytest.mark.parametrize("content", CONTENTS)
def test_editing_nothing_gives_every_protocols_bytes_back(protocol, content):
    codec = codec_named(protocol)
    for block in codec.splitter().feed(reply_of(protocol, content, stream=True).body):
        event = codec.event(block)
        if event.content or event.finish:
            assert json.loads(payload(codec.edit_event(event, Edit()))) == json.loads(payload(block))


def payload(block):
    return block.partition(b"data: ")[2] or block


@pytest.mark.parametrize("protocol", TALKING)
def test_instructions_and_streams_can_be_taken_out_of_a_request(protocol):
    codec = codec_named(protocol)
    call, _ = sample(protocol, stream=True)
    assert b"You answer questions" not in codec.uninstructed(call.request).body
    assert b"Where is my order" in codec.uninstructed(call.request).body
    assert not codec.call(codec.whole(call.request)).stream
    assert codec.call(codec.for_model(call.request, "other")).model == "other"
    assert codec.weaker_than(call.model) not in {"", call.model}


@pytest.mark.parametrize("protocol", sorted({*STREAMED, "openai.embeddings"} - {"mcp"}))
@pytest.mark.parametrize("kind", ["rate_limit", "quota", "overloaded", "auth", "context_length", "not_found", "too_large"])
def test_every_protocol_has_words_for_every_error(protocol, kind):
    codec = codec_named(protocol)
    reply = codec.error(ErrorDetail(kind, retry_after_s=1.0))
    assert reply.status >= 400
    assert json.loads(reply.body)["error"]
    event = codec.event(codec.error_event(ErrorDetail(kind)))
    assert event.error or protocol == "openai.embeddings"


def test_google_says_when_to_come_back():
    details = json.loads(codec_named("gemini").error(ErrorDetail("rate_limit", retry_after_s=2.5)).body)["error"]["details"]
    assert details == [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3s"}]


def test_messages_over_stdio_are_lines():
    codec = codec_named("mcp.stdio")
    call = codec.call(request_of_line(b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"f"}}\n'))
    assert call.operation == "tools/call"
    line = b'{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"{\\"a\\":1}"}],"isError":false}}\n'
    (block,) = codec.splitter().feed(line)
    event = codec.event(block)
    assert codec.event_data(call, event) == {"a": 1}
    assert codec.event_data(call, codec.event(codec.with_event_data(call, event, {"a": 2}))) == {"a": 2}


def test_vectors_are_written_as_they_were_read():
    codec = codec_named("openai.embeddings")
    call, reply = sample("openai.embeddings")
    vectors = codec.data(call, reply)
    assert codec.data(call, codec.with_data(call, reply, [vector[:2] for vector in vectors])) == [[0.25, -0.5], [0.5, 0.0]]


@pytest.mark.parametrize("block", [b"data: \xff\xfe\n\n", b"data: {\xff}\n\n", b'{"message":"\xc3\n', b"\xff\n", b"\n", b"event: x\n\n"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_invalid_utf_8_and_nonsense_pass_untouched(protocol, block):
    event = codec_named(protocol).event(block)
    assert event.raw == block
    assert not event.tools
