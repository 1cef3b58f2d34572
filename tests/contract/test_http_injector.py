"""The HTTP injector over real HTTP: what it must do, and all that it must never do."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import subprocess
import sys
import threading
import time
from functools import partial

import aiohttp
import anyio
import httpx
import httpx2
import openai
import pytest
import urllib3

from refute.core.arming import Arming
from refute.core.context import UnitContext, shielded
from refute.core.lease import Lease
from refute.core.system import Component
from refute.faults.catalogue import catalogue
from refute.faults.preview import preview
from refute.injectors import http
from refute.injectors.switch import adopt_strays
from servers.calling import armed, ask, called, client_of, unit
from servers.provider import TEXT, WORDS, openai_events, openai_whole

BODY = {"model": "text", "messages": [{"role": "user", "content": "Where is my order?"}]}
LIBRARIES = [httpx, httpx2]
HOOKED = [(aiohttp.ClientSession, "_request"), (urllib3.HTTPConnectionPool, "_make_request")]
HOOKS = 6


def post(library, provider, body=BODY, **options):
    with library.Client(**{"verify": False} | options) as client:
        return client.post(f"{provider.url}/v1/chat/completions", json=body)


def left(provider):
    until = time.monotonic() + 2
    while not provider.unfinished and time.monotonic() < until:
        time.sleep(0.01)
    return provider.unfinished


def once_held(landing, end):
    """End the fault as soon as it holds a call; the list tells when."""
    ended = []

    def wait():
        until = time.monotonic() + 10
        while not landing().eligible and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.05)
        ended.append(time.monotonic())
        end()

    threading.Thread(target=wait, daemon=True).start()
    return ended


def originals():
    return [vars(owner)[name] for owner, name in [*methods_of(httpx), *methods_of(httpx2), *HOOKED]]


def methods_of(library):
    return [(library.HTTPTransport, "handle_request"), (library.AsyncHTTPTransport, "handle_async_request")]


def test_hooks_exist_only_while_something_is_armed(provider):
    before = originals()
    finders = list(sys.meta_path)
    assert http.hooks_installed() == 0
    with armed(provider.url, "llm.rate_limit"):
        assert http.hooks_installed() == HOOKS
        with armed(provider.url, "llm.delay"):
            assert http.hooks_installed() == HOOKS
        assert http.hooks_installed() == HOOKS
    assert http.hooks_installed() == 0
    assert all(now is then for now, then in zip(originals(), before, strict=True))
    assert sys.meta_path == finders


@pytest.mark.parametrize("library", LIBRARIES)
def test_plain_client_made_before_arming_is_hit(provider, library):
    with library.Client() as client, armed(provider.url, "llm.rate_limit") as landing, unit() as context:
        response = client.post(f"{provider.url}/v1/chat/completions", json=BODY)
    assert response.status_code == 429
    assert response.json()["error"]["code"] == "rate_limit_exceeded"
    assert isinstance(response, library.Response)
    assert provider.requests == []
    assert landing().injected == 1
    assert (context.eligible(), context.hits()) == ({"llm": 1}, {"llm": 1})


@pytest.mark.parametrize("library", LIBRARIES)
async def test_plain_async_client_is_hit(provider, library):
    with armed(provider.url, "llm.rate_limit"), unit():
        async with library.AsyncClient() as client:
            response = await client.post(f"{provider.url}/v1/chat/completions", json=BODY)
    assert response.status_code == 429


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
async def test_default_retries_belong_to_one_logical_call(provider, protocol, mode):
    with armed(provider.url, "llm.rate_limit", magnitude=0.01) as landing, unit():
        result = await called(provider.url, protocol, mode, stream=False, max_retries=2)
    assert type(result).__name__ == "RateLimitError"
    assert (landing().eligible, landing().injected, landing().effect) == (1, 1, {"status 429": 3})


def test_each_attempt_is_drawn_by_itself_where_that_is_asked_for(provider):
    with armed(provider.url, "llm.rate_limit", draw="attempt") as landing, unit(), pytest.raises(openai.RateLimitError):
        ask(client_of(provider.url, "openai", "sync", max_retries=2), "openai", stream=False)
    assert (landing().eligible, landing().injected) == (3, 3)


def test_real_retries_of_a_call_that_was_not_hit_are_not_drawn_again(provider):
    with armed(provider.url, "llm.rate_limit", share=0.0) as landing, unit(), pytest.raises(openai.InternalServerError):
        ask(client_of(provider.url, "openai", "sync", max_retries=1), "openai", stream=False, model="text-error")
    assert len(provider.requests) == 2
    assert (landing().eligible, landing().injected) == (1, 0)


def test_a_client_that_numbers_no_attempts_retries_within_the_same_call(provider):
    with armed(provider.url, "llm.rate_limit") as landing, unit():
        assert [post(httpx, provider).status_code for _ in range(3)] == [429] * 3
    assert (landing().eligible, landing().injected, landing().effect) == (1, 1, {"status 429": 3})


def test_repeating_a_call_that_went_well_is_another_call(provider):
    with armed(provider.url, "llm.rate_limit", share=0.0) as landing, unit():
        assert [post(httpx, provider).status_code for _ in range(3)] == [200] * 3
    assert landing().eligible == 3


def test_share_is_the_share_of_logical_calls(provider):
    hit = 0
    with armed(provider.url, "llm.rate_limit", share=0.4) as landing, httpx.Client() as client:
        for number in range(60):
            with unit(key=f"case/{number}"):
                hit += client.post(f"{provider.url}/v1/chat/completions", json=BODY).status_code == 429
    assert landing().eligible == 60
    assert landing().injected == hit
    assert 12 <= hit <= 36


NEEDS_MORE = {"content.invalid_json", "content.schema_drift", "content.degraded", "toolcall.duplicate_id"}
"""Faults that this question and its answer give no chance: no JSON, no instructions, no earlier tool call."""
PROVIDER_FAULTS = [name for name in catalogue() if name.partition(".")[0] in {"llm", "stream", "content", "toolcall"}]
WHOLE, STREAMED = (
    {name for name in PROVIDER_FAULTS if name not in NEEDS_MORE and preview(catalogue()[name], "openai.chat", stream=stream)}
    for stream in (False, True)
)


@pytest.mark.parametrize("fault", PROVIDER_FAULTS)
@pytest.mark.parametrize("stream", [False, True])
async def test_control_is_counted_and_gets_the_very_bytes(provider, fault, stream):
    model = "tools" if fault.startswith("toolcall") else "text"
    with armed(provider.url, fault) as landing, unit("control") as context:
        async with httpx.AsyncClient() as client:
            response = await client.post(f"{provider.url}/v1/chat/completions", json=BODY | {"model": model, "stream": stream})
    assert response.content == (b"".join(openai_events(model == "tools")) if stream else openai_whole(model == "tools"))
    eligible = int(fault in (STREAMED if stream else WHOLE))
    assert (landing().eligible, landing().control_eligible, landing().control_injected) == (0, eligible, 0)
    assert context.hits() == {}


def test_shielded_and_background_calls_are_never_hit(provider):
    with armed(provider.url, "llm.rate_limit") as landing:
        assert post(httpx, provider).status_code == 200
        assert landing().unattributed == 1
        with unit():
            token = shielded.set(True)
            assert post(httpx, provider).status_code == 200
            shielded.reset(token)
    assert (landing().eligible, landing().injected, landing().unattributed) == (0, 0, 1)


def test_a_lone_process_owns_its_calls(provider):
    adopt_strays(UnitContext("process", "treatment"))
    try:
        with armed(provider.url, "llm.rate_limit", component=Component("llm", "llm")) as landing:
            assert post(httpx, provider).status_code == 429
            assert httpx.get(f"{provider.url}/orders/7").status_code == 200
    finally:
        adopt_strays(None)
    assert (landing().eligible, landing().injected) == (1, 1)


def test_what_is_no_call_of_the_component_is_left_alone(provider):
    with armed(provider.url, "llm.rate_limit") as landing, unit():
        assert httpx.get(f"{provider.url}/v1/models").status_code == 200
        assert httpx.get(f"{provider.url}/orders/7").status_code == 200
    assert landing().eligible == 0
    assert "not hooked" in landing().reason


def test_plain_service_answers_in_plain_words(provider):
    served = Component("orders", "model_server", endpoint=f"{provider.url.replace('127.0.0.1', 'localhost')}/orders")
    with armed(provider.url, "llm.rate_limit", component=served), unit():
        response = httpx.get(f"{provider.url}/orders/7")
    assert (response.status_code, response.headers["retry-after"]) == (429, "1")


def test_expired_lease_hits_nothing(provider):
    lease = Lease(0.02)
    time.sleep(0.03)
    with armed(provider.url, "llm.rate_limit", lease=lease) as landing, unit():
        assert post(httpx, provider).status_code == 200
    assert landing().eligible == 0


@pytest.mark.parametrize("mode", ["sync", "async"])
async def test_lease_that_ends_wakes_sleepers_and_the_call_goes_on(provider, mode):
    lease = Lease(10)
    with armed(provider.url, "llm.delay", lease=lease, magnitude=30.0) as landing, unit():
        ended = once_held(landing, lease.revoke)
        result = await called(provider.url, "openai", mode, stream=False, timeout=60)
    assert result.choices[0].message.content == TEXT
    assert time.monotonic() - ended[0] < 2
    assert (landing().eligible, landing().injected, landing().effect) == (1, 0, {})


def test_rollback_wakes_sleepers_though_the_lease_goes_on(provider):
    lease = Lease(10)
    injector = http.INJECTOR
    handle = injector.prepare(Arming(Component("llm", "llm", endpoint=f"{provider.url}/v1"), "llm.delay", 30.0))
    injector.apply(handle, lease)
    ended = once_held(partial(injector.landed, handle), partial(injector.rollback, handle))
    with unit():
        assert post(httpx, provider, timeout=60).status_code == 200
    assert time.monotonic() - ended[0] < 2
    assert lease.remaining_s() > 0
    assert injector.verify(handle)
    assert (injector.landed(handle).eligible, injector.landed(handle).injected) == (1, 0)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("stream", [False, True])
def test_untouched_replies_tell_which_model_answers_and_arrive_as_they_are(provider, library, stream):
    body = BODY | {"stream": stream}
    untouched = b"".join(openai_events(tools=False)) if stream else openai_whole(tools=False)
    with armed(provider.url, "llm.rate_limit", share=0.5) as landing:
        for position in range(12):
            with unit("control", f"case/{position}"):
                assert post(library, provider, body).content == untouched
    seen = landing()
    assert seen.models == ("gpt-4.1",)  # what the reply names, not what was asked for
    assert (seen.control_eligible, seen.control_injected) == (12, 0)


def test_what_the_fault_answers_is_not_taken_for_a_model(provider):
    with armed(provider.url, "llm.rate_limit") as landing, unit():
        post(httpx, provider)
    assert landing().models == ()


@pytest.mark.parametrize("mode", ["sync", "async"])
async def test_stream_under_way_continues_untouched_when_the_lease_ends(provider, mode):
    lease = Lease(10)
    body = BODY | {"stream": True}
    with armed(provider.url, "stream.slow_tokens", lease=lease, magnitude=20.0) as landing, unit():
        ended = once_held(landing, lease.revoke)
        if mode == "sync":
            content = post(httpx, provider, body, timeout=30).content
        else:
            async with httpx.AsyncClient(timeout=30) as client:
                content = (await client.post(f"{provider.url}/v1/chat/completions", json=body)).content
    assert content == b"".join(openai_events(tools=False))
    assert time.monotonic() - ended[0] < 2
    assert (landing().eligible, landing().injected) == (1, 0)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_is_not_hit_gets_the_transports_own_response(provider, library, stream, monkeypatch):
    made = []
    original = library.HTTPTransport.handle_request
    monkeypatch.setattr(library.HTTPTransport, "handle_request", lambda *args: made.append(original(*args)) or made[-1])
    with armed(provider.url, "llm.rate_limit", share=0.0) as landing, unit(), library.Client() as client:
        for _ in range(3):
            request = client.build_request("POST", f"{provider.url}/v1/chat/completions", json=BODY | {"stream": stream})
            response = client._transport.handle_request(request)
            assert response is made[-1]
            assert type(response.stream).__module__ == f"{library.__name__}._transports.default"
            assert b"".join(response.stream)
    assert landing().eligible == 3


async def test_an_async_call_that_is_not_hit_gets_the_transports_own_response(provider):
    with armed(provider.url, "llm.rate_limit", share=0.0) as landing, unit():
        async with httpx.AsyncClient() as client:
            for number in range(3):
                body = BODY | {"n": number, "model": "text-error" if number == 1 else "text"}
                request = client.build_request("POST", f"{provider.url}/v1/chat/completions", json=body)
                response = await client._transport.handle_async_request(request)
                assert type(response.stream).__module__ == "httpx._transports.default"
                await response.aclose()
    assert landing().eligible == 3


@pytest.mark.parametrize("mode", ["sync", "async"])
async def test_a_retry_after_a_reply_that_broke_off_belongs_to_its_call(provider, mode):
    with armed(provider.url, "llm.rate_limit", share=0.0) as landing, unit():
        result = await called(provider.url, "openai", mode, stream=False, model="text-broken", max_retries=2)
    assert type(result).__name__ == "APIConnectionError"
    assert len(provider.requests) == 3
    assert (landing().eligible, landing().injected) == (1, 0)


def test_streams_stay_streams(provider):
    arrivals = []
    with armed(provider.url, "stream.cut", share=0.0), unit(), httpx.Client() as client:
        began = time.monotonic()
        with client.stream("POST", f"{provider.url}/v1/chat/completions", json=BODY | {"model": "text-slow", "stream": True}) as response:
            arrivals = [(time.monotonic() - began, chunk) for chunk in response.iter_bytes()]
    assert b"".join(chunk for _, chunk in arrivals) == b"".join(openai_events(tools=False))
    assert len(arrivals) >= len(WORDS)
    assert arrivals[0][0] < arrivals[-1][0] / 4


def test_cut_stream_closes_upstream_and_the_client_goes_on(provider):
    with armed(provider.url, "stream.cut"), unit(), httpx.Client() as client:
        response = client.post(f"{provider.url}/v1/chat/completions", json=BODY | {"model": "text-slow", "stream": True})
        assert b"[DONE]" not in response.content
        assert left(provider) == 1
        assert client.get(f"{provider.url}/orders/7").status_code == 200


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("share", [0.0, 1.0])
@pytest.mark.parametrize("stream", [False, True])
def test_compressed_replies_are_rewritten_and_passed_on_right(provider, library, share, stream):
    body = BODY | {"model": "text-gzip", "stream": stream}
    with armed(provider.url, "content.truncated", share=share) as landing, unit():
        response = post(library, provider, body)
    whole = b"".join(openai_events(tools=False)) if stream else openai_whole(tools=False)
    if share:
        assert b'"finish_reason":"length"' in response.content
        assert response.content != whole
        assert "content-encoding" not in response.headers
        assert response.headers.get("content-length", str(len(response.content))) == str(len(response.content))
    else:
        assert response.content == whole
    assert landing().injected == share


def test_short_patience_meets_the_transports_own_time_out(provider):
    began = time.monotonic()
    with armed(provider.url, "llm.timeout", magnitude=20.0) as landing, unit(), pytest.raises(httpx.ReadTimeout) as caught:
        post(httpx, provider, timeout=0.1)
    assert caught.value.request.url.path == "/v1/chat/completions"
    assert 0.1 <= time.monotonic() - began < 1
    assert landing().injected == 1


def test_a_gap_longer_than_the_clients_patience_ends_its_stream(provider):
    with armed(provider.url, "stream.slow_tokens", magnitude=20.0) as landing, unit(), pytest.raises(httpx.ReadTimeout):
        post(httpx, provider, BODY | {"stream": True}, timeout=0.1)
    assert landing().injected == 1


def test_a_stream_that_ends_in_a_gap_closes_upstream_though_its_reader_does_not(provider):
    with armed(provider.url, "stream.slow_tokens", magnitude=20.0), unit():
        client = httpx.Client(timeout=0.2)
        body = BODY | {"model": "text-slow", "stream": True}
        response = client.send(client.build_request("POST", f"{provider.url}/v1/chat/completions", json=body), stream=True)
        with pytest.raises(httpx.ReadTimeout):
            list(response.iter_raw())
    assert (left(provider), response.is_closed) == (1, False)


async def test_an_async_stream_that_ends_in_a_gap_closes_upstream_too(provider):
    with armed(provider.url, "stream.slow_tokens", magnitude=20.0), unit():
        client = httpx.AsyncClient(timeout=0.2)
        body = BODY | {"model": "text-slow", "stream": True}
        response = await client.send(client.build_request("POST", f"{provider.url}/v1/chat/completions", json=body), stream=True)
        with pytest.raises(httpx.ReadTimeout):
            [chunk async for chunk in response.aiter_raw()]
    assert (await asyncio.to_thread(left, provider), response.is_closed) == (1, False)


async def test_an_async_client_is_held_by_the_sleep_of_its_own_event_loop(provider, monkeypatch):
    slept = []

    async def sleep(seconds, real=anyio.sleep):
        slept.append(seconds)
        await real(seconds)

    monkeypatch.setattr(anyio, "sleep", sleep)
    with armed(provider.url, "llm.delay", magnitude=0.1), unit():
        await called(provider.url, "openai", "async", stream=False, timeout=60)
    assert sum(slept) >= 0.09


def test_an_async_client_may_be_used_from_one_event_loop_after_another(provider):
    async def ask_once():
        async with httpx.AsyncClient() as client:
            return (await client.post(f"{provider.url}/v1/chat/completions", json=BODY, timeout=5)).status_code

    with armed(provider.url, "llm.delay", magnitude=0.06) as landing:
        for number in range(3):
            with unit(key=f"case/{number}"):
                assert asyncio.run(ask_once()) == 200
    assert landing().injected == 3


@pytest.mark.parametrize(("fault", "eligible"), [("llm.rate_limit", 1), ("content.truncated", 1)])
def test_a_hit_that_the_end_of_the_lease_overtakes_is_counted_as_cut(provider, monkeypatch, fault, eligible):
    lease = Lease(10)
    strike = catalogue()[fault].strike_exchange

    def overtaken(*args):
        lease.revoke()
        return strike(*args)

    monkeypatch.setitem(catalogue(), fault, dataclasses.replace(catalogue()[fault], strike_exchange=overtaken))
    with armed(provider.url, fault, lease=lease) as landing, unit():
        assert post(httpx, provider).json()["choices"][0]["message"]["content"] == TEXT
    assert (landing().eligible, landing().injected, landing().cut) == (eligible, 0, 1)


async def test_nothing_is_proven_gone_while_a_call_is_still_held(provider):
    injector = http.INJECTOR
    handle = injector.prepare(Arming(Component("llm", "llm", endpoint=f"{provider.url}/v1"), "llm.delay", 20.0))
    injector.apply(handle, Lease(20))
    with unit():
        held = asyncio.create_task(called(provider.url, "openai", "async", stream=False, timeout=60))
    while not injector.landed(handle).cut:  # noqa: ASYNC110 - what is awaited is not told by an event
        await asyncio.sleep(0.001)
    injector.rollback(handle)
    assert not injector.verify(handle)
    await held
    assert injector.verify(handle)
    assert (injector.landed(handle).eligible, injector.landed(handle).injected, injector.landed(handle).cut) == (1, 0, 1)


async def test_a_caller_that_gives_up_in_the_delay_has_felt_it(provider):
    with armed(provider.url, "llm.delay", magnitude=20.0) as landing, unit(), contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.1):
            await called(provider.url, "openai", "async", stream=False, timeout=60)
    assert (landing().injected, landing().effect) == (1, {"delay": 1})


def test_errors_of_the_provider_itself_are_no_occasion_for_faults_of_replies(provider):
    with armed(provider.url, "content.truncated") as landing, unit():
        assert post(httpx, provider, BODY | {"model": "text-error"}).status_code == 500
    assert (landing().eligible, landing().reason) == (0, "calls that were answered with status 500: 1")


def test_answers_without_tool_calls_are_not_eligible_for_bad_arguments(provider):
    with armed(provider.url, "toolcall.bad_arguments") as landing, unit():
        for stream in (False, True):
            assert post(httpx, provider, BODY | {"stream": stream}).status_code == 200
    assert (landing().eligible, landing().reason) == (0, "calls whose answer has nothing that it strikes: 2")


def test_whole_answers_are_no_occasion_for_faults_of_streams(provider):
    with armed(provider.url, "stream.cut") as landing, unit():
        assert post(httpx, provider).status_code == 200
    assert (landing().eligible, landing().reason) == (0, "calls that were not answered by a stream: 1")


def test_two_faults_on_one_call(provider):
    began = time.monotonic()
    with armed(provider.url, "content.truncated") as truncated, armed(provider.url, "llm.delay", magnitude=0.1) as delayed, unit():
        response = post(httpx, provider)
    assert response.json()["choices"][0]["finish_reason"] == "length"
    assert time.monotonic() - began >= 0.1
    assert (truncated().injected, delayed().injected) == (1, 1)


def test_same_seed_same_faults(provider):
    def run():
        with armed(provider.url, "llm.rate_limit", share=0.5, seed=3), httpx.Client() as client:
            statuses = []
            for number in range(12):
                with unit(key=f"case/{number}"):
                    statuses.append(client.post(f"{provider.url}/v1/chat/completions", json=BODY).status_code)
            return statuses

    first = run()
    assert set(first) == {200, 429}
    assert run() == first


def test_refusals_say_why():
    injector = http.INJECTOR
    anywhere = Component("llm", "llm")
    assert injector.refuses(Arming(anywhere, "llm.rate_limit")) == ""
    assert "no fault is named" in injector.refuses(Arming(anywhere, "llm.nonsense"))
    assert "kind tool" in injector.refuses(Arming(Component("orders", "tool", endpoint="http://x"), "stream.cut"))
    assert "no endpoint" in injector.refuses(Arming(Component("guard", "guardrail_model"), "llm.delay"))
    assert "burst" in injector.refuses(Arming(anywhere, "llm.delay", draw="burst"))


def test_missing_libraries_are_a_reason_to_refuse(monkeypatch):
    monkeypatch.setattr(http, "find_spec", lambda name: None)
    reason = http.INJECTOR.refuses(Arming(Component("llm", "llm"), "llm.rate_limit"))
    assert "none of httpx, httpx2, aiohttp and urllib3 is installed" in reason


LATE = """
import sys
from refute.core.arming import Arming
from refute.core.context import UnitContext, current_unit
from refute.core.lease import Lease
from refute.core.system import Component
from refute.injectors.http import INJECTOR, hooks_installed
handle = INJECTOR.prepare(Arming(Component("llm", "llm"), "llm.rate_limit"))
INJECTOR.apply(handle, Lease(20))
assert not {"httpx", "httpx2", "aiohttp", "urllib3"} & sys.modules.keys() and hooks_installed() == 0
import httpx, httpx2
assert hooks_installed() == 4 and type(httpx.__spec__.loader).__module__ != "refute.injectors.transports.hooks"
current_unit.set(UnitContext("a/0", "treatment"))
for library in (httpx, httpx2):
    assert library.post("http://127.0.0.1:9/v1/chat/completions", json={"model": library.__name__}).status_code == 429
import aiohttp, urllib3
assert hooks_installed() == 6
assert urllib3.request("POST", "http://127.0.0.1:9/v1/chat/completions", json={"model": "urllib3"}).status == 429
INJECTOR.rollback(handle)
assert hooks_installed() == 0 and INJECTOR.verify(handle) and INJECTOR.landed(handle).injected == 3
"""


HALF = """
import sys, threading, time, types
from importlib.machinery import ModuleSpec
from refute.injectors.transports.hooks import Hooks, Site

class Slow:
    def find_spec(self, name, path=None, target=None):
        return ModuleSpec(name, self) if name == "slow" else None
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        time.sleep(0.5)
        module.Client = type("Client", (), {"ask": lambda self: "itself"})

sys.meta_path.append(Slow())
hooks = Hooks([Site("slow", "Client", "ask", lambda module, original: lambda self: "hooked")])
importing = threading.Thread(target=lambda: __import__("slow"))
importing.start()
time.sleep(0.2)
assert "slow" in sys.modules
hooks.install()
importing.join()
time.sleep(0.2)
assert sys.modules["slow"].Client().ask() == "hooked"
hooks.remove()
assert sys.modules["slow"].Client().ask() == "itself"
"""


def test_a_library_that_another_thread_is_just_importing_is_hooked_once_it_is_there():
    subprocess.run([sys.executable, "-c", HALF], check=True, timeout=30)


def test_libraries_imported_after_arming_are_hooked():
    subprocess.run([sys.executable, "-c", LATE], check=True, timeout=30)


def test_of_two_faults_on_an_endpoint_the_second_meets_what_the_first_lets_through(provider):
    with (
        armed(provider.url, "llm.rate_limit", share=0.4, seed=3) as first,
        armed(provider.url, "llm.delay", magnitude=0.01, share=0.5, seed=8) as second,
    ):
        for number in range(300):
            with unit("treatment", f"c{number}/0"):
                post(httpx, provider)
        one, other = first(), second()
    assert one.eligible == 300
    assert other.eligible == 300 - one.injected
    assert 0.3 < one.injected / one.eligible < 0.5
    assert 0.4 < other.injected / other.eligible < 0.6


def test_a_delay_before_an_error_is_felt_and_so_is_the_error(provider):
    with armed(provider.url, "llm.delay", magnitude=0.1) as first, armed(provider.url, "llm.rate_limit") as second, unit():
        start = time.perf_counter()
        assert post(httpx, provider).status_code == 429
        assert time.perf_counter() - start > 0.1
        assert (first().injected, second().injected) == (1, 1)
