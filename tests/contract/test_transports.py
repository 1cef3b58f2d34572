"""aiohttp, urllib3 and what stands on it, over real HTTP: the libraries' own exceptions, retries, streams and pools."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import threading
import time

import aiohttp
import botocore.config
import botocore.exceptions
import botocore.session
import pytest
import requests
import urllib3

from refute.core.context import shielded
from refute.core.lease import Lease
from refute.core.system import Component
from refute.faults.catalogue import catalogue
from refute.injectors.http import INJECTOR
from refute.wire.exchange import Failure, Strike
from servers.calling import armed, unit
from servers.provider import TEXT, WORDS, openai_events, openai_whole

BODY = {"model": "text", "messages": [{"role": "user", "content": "Where is my order?"}]}
QUICK = urllib3.Retry(total=3, backoff_factor=0, status_forcelist=[429], allowed_methods=None, respect_retry_after_header=False)
CLIENTS = ("aiohttp", "urllib3", "requests")


async def posted(client, provider, body=BODY, *, path="/v1/chat/completions", timeout_s=20.0):
    """Return (status, body)."""
    url = f"{provider.url}{path}"
    if client == "aiohttp":
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, json=body, timeout=aiohttp.ClientTimeout(sock_read=timeout_s)) as reply,
        ):
            return reply.status, await reply.read()
    if client == "urllib3":
        reply = await asyncio.to_thread(urllib3.request, "POST", url, json=body, retries=False, timeout=timeout_s)
        return reply.status, reply.data
    reply = await asyncio.to_thread(requests.post, url, json=body, timeout=timeout_s)
    return reply.status_code, reply.content


# What the application sees

REFUSED = {
    "aiohttp": aiohttp.ClientConnectorError, "urllib3": urllib3.exceptions.NewConnectionError, "requests": requests.ConnectionError,
    "botocore": botocore.exceptions.EndpointConnectionError,
}  # fmt: skip


@pytest.mark.parametrize("client", REFUSED)
async def test_a_refused_connection_is_one_to_the_application(provider, client, model, monkeypatch):
    refused = dataclasses.replace(catalogue()["llm.reset"], strike_exchange=lambda *_: Strike("refused", instead=Failure.CONNECT))
    monkeypatch.setitem(catalogue(), "llm.reset", refused)
    with armed(provider.url, "llm.reset", component=model) as landing, unit(), pytest.raises(REFUSED[client]):
        await (asyncio.to_thread(converse, bedrock(provider)) if client == "botocore" else posted(client, provider))
    assert landing().effect == {"refused": 1}
    assert provider.requests == []


FAILURES = [
    ("llm.reset", "aiohttp", aiohttp.ClientOSError),
    ("llm.reset", "urllib3", urllib3.exceptions.ProtocolError),
    ("llm.reset", "requests", requests.ConnectionError),
    ("llm.timeout", "aiohttp", aiohttp.SocketTimeoutError),
    ("llm.timeout", "urllib3", urllib3.exceptions.ReadTimeoutError),
    ("llm.timeout", "requests", requests.ReadTimeout),
    ("stream.reset", "aiohttp", aiohttp.ClientPayloadError),
    ("stream.reset", "urllib3", urllib3.exceptions.ProtocolError),
    ("stream.reset", "requests", requests.exceptions.ChunkedEncodingError),
    ("stream.stall", "aiohttp", aiohttp.SocketTimeoutError),
    ("stream.stall", "urllib3", urllib3.exceptions.ReadTimeoutError),
    ("stream.stall", "requests", requests.ConnectionError),
]


@pytest.mark.parametrize(("fault", "client", "kind"), FAILURES)
async def test_the_librarys_own_exception_is_what_the_application_sees(provider, fault, client, kind):
    began = time.monotonic()
    with armed(provider.url, fault) as landing, unit(), pytest.raises(kind) as caught:
        await posted(client, provider, BODY | {"stream": fault.startswith("stream")}, timeout_s=0.2)
    assert isinstance(caught.value, kind)
    assert time.monotonic() - began < 2
    assert landing().injected == 1


@pytest.mark.parametrize("client", CLIENTS)
async def test_what_is_not_hit_gets_the_very_bytes(provider, client):
    for stream in (False, True):
        for fault in ("llm.rate_limit", "content.truncated", "stream.cut"):
            with armed(provider.url, fault) as landing, unit("control"):
                status, body = await posted(client, provider, BODY | {"stream": stream})
            assert (status, body) == (200, b"".join(openai_events(tools=False)) if stream else openai_whole(tools=False))
            assert landing().control_injected == landing().eligible == 0


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("stream", [False, True])
async def test_compressed_replies_are_rewritten_and_passed_on_right(provider, client, stream):
    whole = b"".join(openai_events(tools=False)) if stream else openai_whole(tools=False)
    for arm, injected in (("treatment", 1), ("control", 0)):
        with armed(provider.url, "content.truncated") as landing, unit(arm):
            status, body = await posted(client, provider, BODY | {"model": "text-gzip", "stream": stream})
        assert status == 200
        assert (body == whole) is not bool(injected)
        assert (b'"finish_reason":"length"' in body) is bool(injected)
        assert landing().injected == injected


@pytest.mark.parametrize("client", CLIENTS)
async def test_other_code_is_left_alone(provider, client):
    with armed(provider.url, "llm.rate_limit") as landing:
        assert (await posted(client, provider))[0] == 200
        assert landing().unattributed == 1
        with unit():
            token = shielded.set(True)
            assert (await posted(client, provider))[0] == 200
            shielded.reset(token)
            assert (await posted(client, provider, path="/orders/7"))[0] == 200
    assert (landing().eligible, landing().unattributed) == (0, 1)


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_lease_that_ends_wakes_what_is_held(provider, client):
    lease = Lease(10)
    threading.Timer(0.1, lease.revoke).start()
    began = time.monotonic()
    with armed(provider.url, "llm.delay", lease=lease, magnitude=30.0) as landing, unit():
        status, body = await posted(client, provider)
    assert (status, body) == (200, openai_whole(tools=False))
    assert time.monotonic() - began < 2
    assert (landing().eligible, landing().injected, landing().cut) == (1, 0, 1)


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_stream_under_way_continues_untouched_when_the_lease_ends(provider, client):
    lease = Lease(10)
    threading.Timer(0.15, lease.revoke).start()
    began = time.monotonic()
    with armed(provider.url, "stream.slow_tokens", lease=lease, magnitude=19.0) as landing, unit():
        _, body = await posted(client, provider, BODY | {"stream": True})
    assert body == b"".join(openai_events(tools=False))
    assert time.monotonic() - began < 2
    assert landing().injected == 0


@pytest.mark.parametrize("client", CLIENTS)
async def test_two_faults_on_one_call(provider, client):
    began = time.monotonic()
    with armed(provider.url, "content.truncated") as truncated, armed(provider.url, "llm.delay", magnitude=0.1) as delayed, unit():
        _, body = await posted(client, provider)
    assert json.loads(body)["choices"][0]["finish_reason"] == "length"
    assert time.monotonic() - began >= 0.1
    assert (truncated().injected, delayed().injected) == (1, 1)


@pytest.mark.parametrize("client", CLIENTS)
async def test_draws_are_those_of_httpx(provider, client):
    """The same seed hits the same units whatever library calls."""
    hit = {}
    for library in ("httpx", client):
        with armed(provider.url, "llm.rate_limit", share=0.5, seed=3) as landing:
            for number in range(12):
                with unit(key=f"case/{number}"):
                    reply = await (posted_by_httpx(provider) if library == "httpx" else posted(client, provider))
                    hit.setdefault(library, []).append(reply[0])
        assert landing().eligible == 12
    assert hit["httpx"] == hit[client]
    assert set(hit[client]) == {200, 429}


async def posted_by_httpx(provider):
    import httpx

    reply = await asyncio.to_thread(httpx.post, f"{provider.url}/v1/chat/completions", json=BODY, verify=False)
    return reply.status_code, reply.content


# urllib3 and requests


def test_urllib3s_own_retries_see_each_fault_and_belong_to_one_call(provider):
    with armed(provider.url, "llm.reset") as landing, unit(), urllib3.PoolManager(retries=QUICK) as pool:
        with pytest.raises(urllib3.exceptions.MaxRetryError) as caught:
            pool.request("POST", f"{provider.url}/v1/chat/completions", json=BODY)
        assert isinstance(caught.value.reason, urllib3.exceptions.ProtocolError)
    assert (landing().eligible, landing().injected) == (1, 1)
    assert sum(landing().effect.values()) == 4
    with armed(provider.url, "llm.rate_limit") as landing, unit(), pytest.raises(urllib3.exceptions.MaxRetryError):
        urllib3.request("POST", f"{provider.url}/v1/chat/completions", json=BODY, retries=QUICK)
    assert landing().effect == {"status 429": 4}
    assert provider.requests == []


def test_urllib3s_retries_of_what_was_not_hit_are_not_drawn_again(provider):
    retries = urllib3.Retry(total=2, backoff_factor=0, status_forcelist=[500], allowed_methods=None)
    with armed(provider.url, "llm.rate_limit", share=0.0) as landing, unit(), pytest.raises(urllib3.exceptions.MaxRetryError):
        urllib3.request("POST", f"{provider.url}/v1/chat/completions", json=BODY | {"model": "text-error"}, retries=retries)
    assert len(provider.requests) == 3
    assert landing().eligible == 1


def test_a_session_with_an_adapter_that_retries_sees_each_fault(provider):
    with armed(provider.url, "llm.rate_limit") as landing, unit(), requests.Session() as session:
        session.mount("http://", requests.adapters.HTTPAdapter(max_retries=QUICK))
        with pytest.raises(requests.exceptions.RetryError):
            session.post(f"{provider.url}/v1/chat/completions", json=BODY)
    assert (landing().eligible, landing().effect) == (1, {"status 429": 4})


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_requests_streams_stay_streams(provider, share):
    with armed(provider.url, "stream.slow_tokens", share=share, magnitude=0.01), unit(), requests.Session() as session:
        began = time.monotonic()
        body = BODY | {"model": "text-slow", "stream": True}
        with session.post(f"{provider.url}/v1/chat/completions", json=body, stream=True) as reply:
            arrivals = [(time.monotonic() - began, line) for line in reply.iter_lines() if line]
    assert b"\n\n".join(line for _, line in arrivals) + b"\n\n" == b"".join(openai_events(tools=False))
    assert len(arrivals) >= len(WORDS)
    assert arrivals[0][0] < arrivals[-1][0] / 3


def test_connections_go_back_to_their_pool_and_are_used_again(provider):
    with armed(provider.url, "content.truncated") as truncated, urllib3.PoolManager(maxsize=1, block=True) as pool:
        for number, options in enumerate(({}, {"preload_content": False}, {}, {"preload_content": False})):
            with unit(key=f"case/{number}"):
                reply = pool.request("POST", f"{provider.url}/v1/chat/completions", json=BODY, timeout=5, pool_timeout=2, **options)
                assert json.loads(reply.read() if options else reply.data)["choices"][0]["finish_reason"] == "length"
        own = pool.connection_from_url(provider.url)
        assert (own.num_connections, own.num_requests, own.pool.qsize()) == (1, 4, 1)
    assert truncated().injected == 4


def test_a_cut_stream_closes_its_connection_and_the_session_goes_on(provider):
    with armed(provider.url, "stream.reset"), unit(), requests.Session() as session:
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            session.post(f"{provider.url}/v1/chat/completions", json=BODY | {"model": "text-slow", "stream": True})
        until = time.monotonic() + 2
        while not provider.unfinished and time.monotonic() < until:
            time.sleep(0.01)
        assert provider.unfinished == 1
        assert session.get(f"{provider.url}/orders/7").status_code == 200


def test_bodies_of_every_form_are_sent_once_each(provider):
    text = json.dumps(BODY)
    forms = (text, text.encode(), bytearray(text.encode()), iter([text.encode()]))
    for place, form in enumerate(forms):
        with armed(provider.url, "content.truncated") as landing, unit(), urllib3.PoolManager() as pool:
            headers = {"content-type": "application/json"}
            reply = pool.request("POST", f"{provider.url}/v1/chat/completions", body=form, headers=headers)
        assert reply.json()["choices"][0]["finish_reason"] == "length"
        assert landing().injected == 1
        assert [body for _, _, body in provider.requests] == [BODY] * (place + 1)


def test_a_forward_proxy_does_not_hide_where_a_call_goes(provider):
    """The provider itself stands in for the proxy, which is asked for a whole URL."""
    target = Component("llm", "llm", endpoint="http://llm.example/v1")
    with armed(provider.url, "llm.rate_limit", component=target) as landing, unit(), urllib3.ProxyManager(provider.url) as pool:
        assert pool.request("POST", "http://llm.example/v1/chat/completions", json=BODY, retries=False).status == 429
    assert landing().injected == 1


# botocore


def bedrock(provider, **config):
    session = botocore.session.Session()
    session.set_credentials("k", "s")
    options = {"retries": {"mode": "standard", "total_max_attempts": 1}, "read_timeout": 5} | config
    return session.create_client("bedrock-runtime", "eu-west-1", endpoint_url=provider.url, config=botocore.config.Config(**options))


@pytest.fixture
def model(provider):
    return Component("llm", "model_server", endpoint=provider.url)


def converse(client):
    return client.invoke_model(modelId="text", body=json.dumps(BODY))["body"].read()


def test_botocore_gets_its_own_exceptions(provider, model):
    for fault, kind in (
        ("llm.reset", botocore.exceptions.ConnectionClosedError),
        ("llm.timeout", botocore.exceptions.ReadTimeoutError),
    ):
        with armed(provider.url, fault, component=model) as landing, unit(), pytest.raises(kind):
            converse(bedrock(provider, read_timeout=0.2))
        assert landing().injected == 1


def test_botocores_own_retries_belong_to_one_call(provider, model):
    retries = {"mode": "standard", "total_max_attempts": 3}
    with (
        armed(provider.url, "llm.overloaded", component=model) as landing,
        unit(),
        pytest.raises(botocore.exceptions.ClientError) as caught,
    ):
        converse(bedrock(provider, retries=retries))
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] in {503, 529}
    assert (landing().eligible, sum(landing().effect.values())) == (1, 3)


# aiohttp


async def test_streams_of_aiohttp_stay_streams(provider):
    body = BODY | {"model": "text-slow", "stream": True}
    for share in (0.0, 1.0):
        with armed(provider.url, "stream.slow_tokens", share=share, magnitude=0.01), unit():
            began = time.monotonic()
            async with aiohttp.ClientSession() as session, session.post(f"{provider.url}/v1/chat/completions", json=body) as reply:
                arrivals = [(time.monotonic() - began, line) async for line in reply.content]
        assert b"".join(line for _, line in arrivals) == b"".join(openai_events(tools=False))
        assert arrivals[0][0] < arrivals[-1][0] / 3


async def test_an_aiohttp_reader_that_leaves_closes_upstream(provider):
    with armed(provider.url, "stream.slow_tokens", magnitude=0.01), unit():
        async with aiohttp.ClientSession() as session:
            body = BODY | {"model": "text-slow", "stream": True}
            async with session.post(f"{provider.url}/v1/chat/completions", json=body) as reply:
                await reply.content.readany()
            for _ in range(200):
                if provider.unfinished:
                    break
                await asyncio.sleep(0.01)
    assert provider.unfinished == 1
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


async def test_the_limit_of_a_whole_call_ends_what_is_held(provider):
    limits = aiohttp.ClientTimeout(total=0.1)
    with armed(provider.url, "llm.delay", magnitude=20.0) as landing, unit(), pytest.raises(TimeoutError):
        async with aiohttp.ClientSession(timeout=limits) as session, session.post(f"{provider.url}/v1/chat/completions", json=BODY):
            pass
    assert landing().injected == 1


async def test_middleware_that_retries_sees_each_fault(provider):
    async def retrying(request, handler):
        for _ in range(2):
            if (reply := await handler(request)).status != 429:
                break
        return reply

    with armed(provider.url, "llm.rate_limit") as landing, unit():
        url = f"{provider.url}/v1/chat/completions"
        async with aiohttp.ClientSession(middlewares=[retrying]) as session, session.post(url, json=BODY) as reply:
            assert reply.status == 429
    assert (landing().eligible, landing().effect) == (1, {"status 429": 2})
    assert provider.requests == []


async def test_a_session_goes_on_over_its_connection_after_faults(provider):
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
        for number, fault in enumerate(("llm.rate_limit", "content.truncated", "stream.cut", "llm.reset") * 2):
            with armed(provider.url, fault), unit(key=f"case/{number}"), contextlib.suppress(aiohttp.ClientError):
                async with session.post(f"{provider.url}/v1/chat/completions", json=BODY | {"stream": number % 2 == 0}) as reply:
                    await reply.read()
        async with asyncio.timeout(2), session.get(f"{provider.url}/orders/7") as reply:
            assert (await reply.json())["state"] == "shipped"


async def test_a_large_reply_is_passed_on_as_fast_as_it_is_read():
    from aiohttp import web

    piece = b"x" * 65536

    async def large(request):
        reply = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await reply.prepare(request)
        for _ in range(200):
            await reply.write(b"data: " + piece + b"\n\n")
        return reply

    app = web.Application()
    app.router.add_post("/v1/chat/completions", large)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    size = 0
    with armed(url, "stream.slow_tokens", magnitude=0.01), unit():
        async with aiohttp.ClientSession() as session, session.post(f"{url}/v1/chat/completions", json=BODY | {"stream": True}) as reply:
            async for chunk in reply.content.iter_chunked(1000):
                size += len(chunk)
                if size > 3_000_000:
                    break
    await runner.cleanup()
    assert size > 3_000_000


async def test_litellm_over_aiohttp_is_hit(provider):
    """Its own default: httpx in front, aiohttp beneath, which does not undo gzip."""
    import litellm
    from litellm.llms.custom_httpx import aiohttp_transport

    assert aiohttp_transport
    litellm.disable_aiohttp_transport, before = False, litellm.disable_aiohttp_transport
    litellm.in_memory_llm_clients_cache.flush_cache()
    asked = {"model": "openai/text-gzip", "api_base": f"{provider.url}/v1", "api_key": "k", "messages": BODY["messages"]}
    try:
        with armed(provider.url, "content.truncated") as landing, unit():
            answer = await litellm.acompletion(**asked, max_retries=0, num_retries=0)
            assert answer.choices[0].finish_reason == "length"
            pieces = [chunk async for chunk in await litellm.acompletion(**asked, stream=True, max_retries=0, num_retries=0)]
            assert 0 < len("".join(piece.choices[0].delta.content or "" for piece in pieces)) < len(TEXT)
        assert landing().injected == 2
        with armed(provider.url, "llm.rate_limit"), unit(), pytest.raises(litellm.RateLimitError):
            await litellm.acompletion(**asked, max_retries=0, num_retries=0)
    finally:
        litellm.disable_aiohttp_transport = before
        litellm.in_memory_llm_clients_cache.flush_cache()


def test_versions_that_cannot_be_hooked_are_left_alone(monkeypatch, provider):
    monkeypatch.setattr(urllib3.HTTPConnectionPool, "_make_request", lambda self, conn, method, url: None)
    monkeypatch.setattr(aiohttp.ClientSession, "_request", lambda self, method, url: None)
    with armed(provider.url, "llm.rate_limit"):
        assert INJECTOR.hooks_installed() == 4
