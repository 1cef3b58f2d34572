"""No cohort goes to a provider while a run is joined: real clients, a real server that writes down what came."""

from __future__ import annotations

import subprocess
import sys

import aiohttp
import httpx
import httpx2
import openai
import pytest
import requests
import urllib3

from refute.core.arming import Arming
from refute.core.cohort import Seal
from refute.core.lease import Lease
from refute.core.system import Component
from refute.injectors.http import INJECTOR, hooks_installed
from refute.injectors.transports.outbound import OUTBOUND

UNIT = Seal("token").baggage("unit-1", "treatment")
BODY = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
PATH = "/v1/chat/completions"


def over_openai(url, headers):
    openai.OpenAI(base_url=url + "/v1", api_key="k", max_retries=0).chat.completions.create(**BODY, extra_headers=headers)


async def over_async_openai(url, headers):
    async with openai.AsyncOpenAI(base_url=url + "/v1", api_key="k", max_retries=0) as client:
        await client.chat.completions.create(**BODY, extra_headers=headers)


def over_httpx(url, headers):
    httpx.post(url + PATH, json=BODY, headers=headers)


def over_httpx2(url, headers):
    httpx2.post(url + PATH, json=BODY, headers=headers)


def over_requests(url, headers):
    requests.post(url + PATH, json=BODY, headers=headers, timeout=5)


def over_urllib3(url, headers):
    urllib3.request("POST", url + PATH, json=BODY, headers=headers)


async def over_aiohttp(url, headers):
    async with aiohttp.ClientSession(headers=headers) as session, session.post(url + PATH, json=BODY) as reply:
        await reply.read()


CLIENTS = (over_openai, over_async_openai, over_httpx, over_httpx2, over_requests, over_urllib3, over_aiohttp)


@pytest.fixture
def joined():
    yield OUTBOUND.keep_from
    OUTBOUND.end()


async def arrived(client, provider, **headers):
    """Return the baggage that came to the provider, None where there was none."""
    if (answer := client(provider.url, headers)) is not None:
        await answer
    _, came, _ = provider.requests[-1]
    return came.get("baggage")


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("stated", [True, False], ids=["endpoint", "by protocol"])
async def test_a_provider_gets_what_else_travels_and_no_cohort(provider, joined, client, stated):
    assert await arrived(client, provider, baggage=f"{UNIT},tenant=blue") == f"{UNIT},tenant=blue"
    joined([Component("llm", "llm", endpoint=provider.url + "/v1" if stated else "").to_json()])
    assert await arrived(client, provider, baggage=f"{UNIT},tenant=blue") == "tenant=blue"
    assert await arrived(client, provider, Baggage=UNIT) is None
    assert await arrived(client, provider) is None
    OUTBOUND.end()
    assert await arrived(client, provider, baggage=UNIT) == UNIT


@pytest.mark.parametrize("client", CLIENTS)
async def test_services_of_ones_own_get_the_cohort(provider, joined, client):
    joined([Component("llm", "llm", endpoint="https://api.example.org/v1").to_json()])
    assert await arrived(client, provider, baggage=UNIT) == UNIT


@pytest.mark.parametrize("client", CLIENTS)
async def test_faults_come_and_go_above_it(provider, joined, client):
    llm = Component("llm", "llm", endpoint=provider.url + "/v1")
    joined([llm.to_json()])
    handle = INJECTOR.prepare(Arming(llm, "llm.rate_limit", share=1e-9))
    INJECTOR.apply(handle, Lease(30))
    assert hooks_installed() == 6, "of each library, two of httpx and httpx2"
    assert await arrived(client, provider, baggage=UNIT) is None
    INJECTOR.rollback(handle)
    assert INJECTOR.verify(handle)
    assert await arrived(client, provider, baggage=UNIT) is None
    OUTBOUND.end()
    assert hooks_installed() == 0
    assert await arrived(client, provider, baggage=UNIT) == UNIT


def test_a_library_that_is_loaded_while_a_fault_is_armed_is_hooked_by_both(provider):
    program = f"""
from refute.core.arming import Arming
from refute.core.lease import Lease
from refute.core.system import Component
from refute.injectors.http import INJECTOR
from refute.injectors.transports.outbound import OUTBOUND
llm = Component("llm", "llm", endpoint="{provider.url}/v1")
OUTBOUND.keep_from([llm.to_json()])
INJECTOR.apply(INJECTOR.prepare(Arming(llm, "llm.rate_limit", share=1e-9)), Lease(30))
import sys
assert "httpx" not in sys.modules
import httpx
assert INJECTOR.hooks_installed() == 2
httpx.post("{provider.url}{PATH}", json={BODY}, headers={{"baggage": "{UNIT}"}}).raise_for_status()
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
    assert "baggage" not in provider.requests[-1][1]
