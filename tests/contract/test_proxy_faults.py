"""Faults through the proxy do to the real SDKs exactly what they do in process; whose calls are hit, and for how long."""

from __future__ import annotations

import asyncio
import random

import httpx2
import pytest

from refute.core.arming import Arming, Landing
from refute.core.cohort import Seal
from refute.core.lease import Lease
from refute.core.system import Component
from refute.faults.catalogue import catalogue
from refute.injectors.ingress import Ingress
from refute.injectors.proxy.hands import ProxyInjector, Units
from refute.injectors.proxy.server import ProxyServer, upstream_of
from refute.wire.codec import recognise
from refute.wire.exchange import Request
from servers.calling import MAGNITUDES, MODELS, UNIT, armed, called, unit

TOKEN = "token"
SEAL = Seal(TOKEN)
FAULTS = (
    "llm.rate_limit", "llm.server_error", "llm.bad_body", "llm.timeout", "llm.delay", "stream.cut", "stream.slow_tokens",
    "stream.error_event", "content.truncated", "toolcall.bad_arguments",
)  # fmt: skip


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.005)


class Proxied:
    """A proxy in this loop, with a fault armed in it."""

    def __init__(self, proxy, hands):
        self.url = proxy.url
        self.proxy, self.hands = proxy, hands
        self.handle = None

    def arm(self, fault, *, lease=None, **fields):
        component = fields.pop("component", None) or Component("llm", "llm", endpoint=f"{self.url}/v1", via="proxy")
        arming = Arming(component, fault, **{"magnitude": MAGNITUDES.get(fault)} | fields)
        assert self.hands.refuses(arming) == ""
        self.handle = self.hands.prepare(arming)
        self.hands.apply(self.handle, lease or Lease(20))

    def landed(self) -> Landing:
        return self.hands.landed(self.handle)

    async def settled(self) -> Landing:
        """Return the landing once a client that has just left is seen to have left."""
        await until(lambda: not self.proxy.busy)
        return self.landed()


@pytest.fixture
async def proxied(provider):
    hands = ProxyInjector()
    async with ProxyServer(upstream_of(provider.url), "127.0.0.1", 0, hands) as proxy:
        proxy._serving.units = Units(Ingress("/nowhere", TOKEN))
        yield Proxied(proxy, hands)


def baggage(arm="treatment", key=UNIT):
    return {"baggage": f"tenant=a,{SEAL.baggage(key, arm)}"}


def saw(result):
    """Return what a caller saw, to the last field."""
    if isinstance(result, BaseException):
        return type(result).__name__, getattr(result, "status_code", None), getattr(result, "body", None)
    if isinstance(result, list):
        return [event.model_dump() for event in result]
    return result.model_dump() if hasattr(result, "model_dump") else result


def variants(fault, protocol):
    """Return a seed for each effect that a fault may draw."""
    path = "chat/completions" if protocol == "openai" else "messages"
    _, call = recognise(Request("POST", f"http://x/v1/{path}"))
    drawn = {catalogue()[fault].strike_exchange(call, None, random.Random(f"{seed}/{UNIT}/llm/0")).effect: seed for seed in range(60)}
    return sorted(drawn.items())


CELLS = [
    (fault, seed, protocol, stream)
    for fault in FAULTS
    for protocol in ("openai", "anthropic")
    for _, seed in variants(fault, protocol)
    for stream in (False, True)
]


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: "-".join(map(str, cell)))
async def test_a_fault_does_what_it_does_in_process(proxied, provider, cell):
    fault, seed, protocol, stream = cell
    model = MODELS.get(fault, "text")
    with armed(provider.url, fault, seed=seed) as landed, unit():
        inside = await called(provider.url, protocol, "async", stream=stream, model=model)
    here = landed()
    proxied.arm(fault, seed=seed)
    outside = await called(proxied.url, protocol, "async", stream=stream, model=model, default_headers=baggage())
    there = await proxied.settled()
    assert saw(outside) == saw(inside)
    assert (there.eligible, there.injected, there.effect) == (here.eligible, here.injected, here.effect)
    assert there.control_eligible == there.control_injected == there.unattributed == 0


@pytest.mark.parametrize("model", ["text", "text-gzip", "text-slow"])
@pytest.mark.parametrize("fault", ["stream.cut", "stream.slow_tokens", "content.truncated"])
async def test_a_compressed_or_slow_stream_is_struck_as_well(proxied, provider, fault, model):
    with armed(provider.url, fault) as landed, unit():
        inside = await called(provider.url, "openai", "async", stream=True, model=model)
    proxied.arm(fault)
    outside = await called(proxied.url, "openai", "async", stream=True, model=model, default_headers=baggage())
    assert saw(outside) == saw(inside)
    assert proxied.landed().injected == landed().injected == 1


async def test_control_and_strangers_are_never_hit(proxied, provider):
    proxied.arm("llm.rate_limit")
    for headers in (baggage("control"), {}, {"baggage": Seal("another").baggage(UNIT, "treatment")}):
        assert "Your order" in str(saw(await called(proxied.url, "openai", "async", stream=False, default_headers=headers)))
    landing = proxied.landed()
    assert (landing.eligible, landing.control_eligible, landing.unattributed) == (0, 1, 2)
    assert landing.injected == landing.control_injected == 0


async def test_the_cohort_stops_at_the_proxy_and_other_baggage_passes(proxied, provider):
    await called(proxied.url, "openai", "async", stream=False, default_headers=baggage())
    await called(proxied.url, "openai", "async", stream=False, default_headers={"baggage": SEAL.baggage(UNIT, "treatment")})
    (_, first, _), (_, second, _) = provider.requests
    assert first["baggage"] == "tenant=a"
    assert "baggage" not in second
    assert first["host"] == second["host"] == provider.url.removeprefix("http://")


async def test_retries_of_one_call_are_one_draw_across_connections(proxied):
    proxied.arm("llm.server_error", share=1.0)
    await called(proxied.url, "openai", "async", stream=False, default_headers=baggage(), max_retries=2)
    landing = proxied.landed()
    assert (landing.eligible, landing.injected) == (1, 1)
    assert sum(landing.effect.values()) == 3


async def test_the_calls_of_a_unit_are_drawn_one_by_one_in_their_order(proxied):
    proxied.arm("llm.rate_limit", share=0.5)
    for _ in range(40):
        await called(proxied.url, "openai", "async", stream=False, default_headers=baggage())
    landing = proxied.landed()
    assert landing.eligible == 40
    assert 8 <= landing.injected <= 32


async def test_with_everything_in_treatment_requests_need_no_baggage(proxied):
    proxied.arm("llm.rate_limit", cohort=1.0)
    await called(proxied.url, "openai", "async", stream=False)
    landing = proxied.landed()
    assert (landing.injected, landing.unattributed) == (1, 0)


async def test_other_paths_and_other_endpoints_are_not_the_component(proxied, provider):
    proxied.arm("llm.rate_limit", cohort=1.0)
    async with httpx2.AsyncClient() as client:
        assert (await client.get(f"{proxied.url}/v1/models")).status_code == 200
        assert (await client.post(f"{proxied.url}/orders/1")).status_code == 200
    assert proxied.landed().eligible == 0
    assert "no matching request" in proxied.landed().reason


async def test_a_component_is_known_by_upstreams_address_too(proxied, provider):
    proxied.arm("llm.rate_limit", component=Component("llm", "llm", endpoint=f"{provider.url}/v1", via="proxy"), cohort=1.0)
    await called(proxied.url, "openai", "async", stream=False)
    assert proxied.landed().injected == 1


async def test_a_hold_ends_with_the_lease_and_the_call_goes_through(proxied):
    lease = Lease(20)
    proxied.arm("llm.timeout", magnitude=60.0, lease=lease, cohort=1.0)
    calling = asyncio.create_task(called(proxied.url, "openai", "async", stream=False, timeout=30))
    await asyncio.sleep(0.2)
    assert not calling.done()
    lease.revoke()
    assert "Your order" in str(saw(await asyncio.wait_for(calling, 10)))
    assert (proxied.landed().injected, proxied.landed().cut) == (0, 1)


async def test_a_rollback_lets_a_slowed_stream_go_on_at_once(proxied):
    proxied.arm("stream.slow_tokens", magnitude=60.0, cohort=1.0)
    calling = asyncio.create_task(called(proxied.url, "openai", "async", stream=True, timeout=30))
    await asyncio.sleep(0.3)
    assert not calling.done()
    proxied.hands.rollback(proxied.handle)
    assert not proxied.hands.verify(proxied.handle)
    await until(lambda: proxied.hands.verify(proxied.handle))
    events = await asyncio.wait_for(calling, 10)
    assert "".join(choice.delta.content or "" for event in events for choice in event.choices).endswith("arrive soon.")


async def test_a_client_that_does_not_wait_has_felt_the_silence(proxied, provider):
    proxied.arm("llm.timeout", magnitude=60.0, cohort=1.0)
    result = await called(proxied.url, "openai", "async", stream=False, timeout=0.2)
    assert type(result).__name__ == "APITimeoutError"
    assert (await proxied.settled()).injected == 1
    assert provider.requests == []


async def test_what_cannot_be_read_passes_and_is_said(proxied, provider, monkeypatch):
    monkeypatch.setattr("refute.injectors.proxy.held.MOST_BYTES", 10)
    proxied.arm("llm.rate_limit", cohort=1.0)
    assert "Your order" in str(saw(await called(proxied.url, "openai", "async", stream=False)))
    landing = proxied.landed()
    assert landing.eligible == landing.injected == 0
    assert landing.reason == "1 requests were too large to be read"


SERVICE = {
    "service.error": ("500", "502", "504"),
    "service.unavailable": ("503",),
    "service.delay": ("200",),
    "service.timeout": ("ReadTimeout",),
    "service.reset": ("ReadError",),
}


@pytest.mark.parametrize("fault", SERVICE)
async def test_a_plain_service_fails_alike_in_process_and_behind_the_proxy(proxied, provider, fault):
    async def ask(url, headers):
        async with httpx2.AsyncClient(timeout=0.5) as client:
            try:
                reply = await client.post(f"{url}/orders/1", headers=headers)
            except httpx2.HTTPError as error:
                return type(error).__name__
            return f"{reply.status_code} {reply.headers.get('retry-after')} {reply.text}"

    magnitude = {"service.delay": 0.1, "service.timeout": 60.0, "service.unavailable": 7.0}.get(fault)
    inside_component = Component("orders", "service", endpoint=f"{provider.url}/orders")
    with armed(provider.url, fault, component=inside_component, magnitude=magnitude) as landed, unit():
        inside = await ask(provider.url, {})
    proxied.arm(fault, component=Component("orders", "service", endpoint=f"{proxied.url}/orders", via="proxy"), magnitude=magnitude)
    outside = await ask(proxied.url, baggage())
    assert outside.startswith(SERVICE[fault])
    assert outside == inside
    assert (await proxied.settled()).effect == landed().effect
    assert proxied.landed().injected == 1
