"""Every fault on an exchange over every HTTP protocol, streamed and not: through the proxy it does to the wire what it does in process.

Compared are the client's status, type, body and error, what upstream got, and what was counted.
"""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from refute.core.cohort import Seal
from refute.core.lease import Lease
from refute.injectors.ingress import Ingress
from refute.injectors.proxy.hands import ProxyInjector, Units
from refute.injectors.proxy.server import ProxyServer, upstream_of
from refute.wire.codec import PROTOCOLS
from refute.wire.exchange import without
from servers.matrix import CELLS, LONG, PATIENT_S, QUICK_S, UNIT, Upstream, counted, in_process, sample, target

SAME = {"ConnectError": "ReadError"}
"""A connection that is refused in process is reset by a proxy, which has accepted it already."""


async def asked(url, call, *, hurry, headers=()):
    """Send a sample's request; return what the client sees in the end."""
    request = call.request
    path = "/" + request.url.partition("://")[2].partition("/")[2]
    sent = [*without(request.headers, "content-length"), *headers]
    timeout = httpx2.Timeout(PATIENT_S, read=QUICK_S if hurry else PATIENT_S)
    status, kind, body = 0, "", b""
    async with httpx2.AsyncClient(verify=False, timeout=timeout) as client:
        try:
            async with client.stream(request.method, url + path, headers=sent, content=request.body) as reply:
                status = reply.status_code
                kind = (reply.headers.get("content-type"), reply.headers.get("retry-after"))
                async for piece in reply.aiter_bytes():
                    body += piece
        except httpx2.HTTPError as error:
            name = type(error).__name__
            return status, kind, body, SAME.get(name, name)
    return status, kind, body, ""


async def proxied(cell, call, good):
    upstream, hands = Upstream(good), ProxyInjector()
    async with upstream.running() as url, ProxyServer(upstream_of(url), "127.0.0.1", 0, hands) as proxy:
        proxy._serving.units = Units(Ingress("/nowhere", "token"))
        handle = hands.prepare(target(cell, proxy.url, via="proxy"))
        hands.apply(handle, Lease(20))
        baggage = ("baggage", Seal("token").baggage(UNIT, "treatment"))
        saw = await asked(proxy.url, call, hurry=cell.fault in LONG, headers=[baggage])
        async with asyncio.timeout(10):
            while proxy.busy:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.002)
        return saw, upstream.got, counted(hands.landed(handle))


@pytest.mark.parametrize("cell", CELLS, ids=str)
async def test_the_proxy_does_what_happens_in_process(cell):
    call, good = sample(cell)
    inside, outside = await in_process(cell, call, good, asked), await proxied(cell, call, good)
    assert inside[2][1] == 1, "nothing was struck in process"
    assert outside == inside


def test_the_matrix_is_whole():
    assert {cell.protocol for cell in CELLS} == set(PROTOCOLS) - {"mcp.stdio"}
    assert len({cell.fault for cell in CELLS}) > 90
