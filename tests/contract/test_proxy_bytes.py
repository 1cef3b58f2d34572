"""What passes through the proxy untouched is the same bytes, whatever they are and however they were cut."""

from __future__ import annotations

import asyncio
import random

import pytest

from refute.core.arming import Arming
from refute.core.cohort import Seal
from refute.core.lease import Lease
from refute.core.system import Component
from refute.injectors.ingress import Ingress
from refute.injectors.proxy.hands import ProxyInjector, Units
from refute.injectors.proxy.server import ProxyServer, upstream_of
from servers.exchanges import Playing, one, send

TOKEN = "token"
FAULTS = ("llm.rate_limit", "stream.cut", "content.truncated")


def arm(hands, fault, url):
    component = Component("llm", "llm", endpoint=f"{url}/v1", via="proxy")
    handle = hands.prepare(Arming(component, fault))
    hands.apply(handle, Lease(30))
    return handle


async def run(exchanges_per_connection, connections, seed, *, baggage="", fault=""):
    """Play exchanges through a proxy; return what was not as it must be, and what landed."""
    rng = random.Random(seed)
    playing, hands = Playing(rng), ProxyInjector()
    async with playing.running(), ProxyServer(upstream_of(f"http://127.0.0.1:{playing.port}"), "127.0.0.1", 0, hands) as proxy:
        handle = arm(hands, fault, proxy.url) if fault else None
        if handle is not None:
            proxy._serving.units = Units(Ingress("/nowhere", TOKEN))
        wrong = []

        async def client(first):
            count = exchanges_per_connection
            script = [one(rng, first + place, f"127.0.0.1:{playing.port}", baggage, last=place == count - 1) for place in range(count)]
            playing.scripts[first] = script
            reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.url.rpartition(":")[2]))
            for exchange in script:
                sending = asyncio.create_task(send(rng, writer, exchange.request))
                got = await asyncio.wait_for(reader.readexactly(len(exchange.reply)), 20)
                await sending
                if got != exchange.reply:
                    wrong.append((got, exchange.reply))
            if (rest := await asyncio.wait_for(reader.read(), 20)) != b"":
                wrong.append((rest, b""))
            writer.close()

        for start in range(0, connections, 25):
            await asyncio.gather(*(client(number * exchanges_per_connection) for number in range(start, min(start + 25, connections))))
        landing = hands.landed(handle) if handle is not None else None
        return wrong + playing.wrong, landing


async def test_ten_thousand_exchanges_pass_byte_for_byte():
    wrong, _ = await run(20, 500, seed=1)
    assert not wrong


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_control_units_exchanges_pass_byte_for_byte_under_an_armed_fault(fault):
    wrong, landing = await run(10, 100, seed=2, baggage=Seal(TOKEN).baggage("case/0", "control"), fault=fault)
    assert not wrong
    assert landing.control_eligible > 20
    assert landing.injected == landing.control_injected == landing.eligible == 0


@pytest.mark.parametrize("baggage", ["", "refute-unit=x%2F1,refute-arm=treatment,refute-sig=" + "0" * 32])
async def test_exchanges_of_no_unit_or_a_forged_one_pass_byte_for_byte_under_an_armed_fault(baggage):
    wrong, landing = await run(10, 30, seed=3, baggage=baggage, fault="llm.rate_limit")
    assert not wrong
    assert landing.unattributed > 20
    assert landing.injected == landing.control_injected == landing.eligible == landing.control_eligible == 0
