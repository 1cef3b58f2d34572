"""Every fault on an exchange over every HTTP protocol, streamed and not: aiohttp, urllib3 and requests meet what httpx meets.

Compared are the client's status, type, body and error, what upstream got, and what was counted. All of the catalogue goes over urllib3,
over the others each shape of a strike in each protocol.
"""

from __future__ import annotations

import asyncio
import contextvars
import random

import aiohttp
import httpx2
import pytest
import requests
import urllib3

from refute.faults.catalogue import catalogue
from refute.wire.exchange import Failure, without
from servers.matrix import CELLS, LONG, PATIENT_S, QUICK_S, UNIT, in_process, magnitude, sample

SENT = 32


def path_of(request):
    return "/" + request.url.partition("://")[2].partition("/")[2]


def sent(call):
    return dict(without(call.request.headers, "content-length"))


async def over_httpx(url, call, *, hurry):
    request = call.request
    body, heard = b"", (0, None, None)
    async with httpx2.AsyncClient(verify=False, timeout=httpx2.Timeout(PATIENT_S, read=QUICK_S if hurry else PATIENT_S)) as client:
        try:
            async with client.stream(request.method, url + path_of(request), headers=sent(call), content=request.body) as reply:
                heard = reply.status_code, reply.headers.get("content-type"), reply.headers.get("retry-after")
                async for piece in reply.aiter_bytes():
                    body += piece
        except httpx2.HTTPError as error:
            return heard, body, KINDS["httpx"][type(error).__name__]
    return heard, body, None


async def over_aiohttp(url, call, *, hurry):
    request = call.request
    body, heard = b"", (0, None, None)
    limits = aiohttp.ClientTimeout(PATIENT_S, sock_read=QUICK_S if hurry else PATIENT_S)
    async with aiohttp.ClientSession(timeout=limits) as session:
        try:
            where = url + path_of(request)
            async with session.request(request.method, where, headers=sent(call), data=request.body) as reply:
                heard = reply.status, reply.headers.get("content-type"), reply.headers.get("retry-after")
                async for piece in reply.content.iter_any():
                    body += piece
        except aiohttp.ClientError as error:
            return heard, body, KINDS["aiohttp"][type(error).__name__]
    return heard, body, None


def with_urllib3(url, call, hurry):
    request = call.request
    body, heard = b"", (0, None, None)
    limits = urllib3.Timeout(connect=PATIENT_S, read=QUICK_S if hurry else PATIENT_S)
    with urllib3.PoolManager(retries=False, timeout=limits) as pool:
        try:
            reply = pool.request(request.method, url + path_of(request), headers=sent(call), body=request.body, preload_content=False)
            heard = reply.status, reply.headers.get("content-type"), reply.headers.get("retry-after")
            for piece in reply.stream(SENT):
                body += piece
        except urllib3.exceptions.HTTPError as error:
            return heard, body, KINDS["urllib3"][type(error).__name__]
    return heard, body, None


def with_requests(url, call, hurry):
    request = call.request
    body, heard = b"", (0, None, None)
    with requests.Session() as session:
        try:
            reply = session.request(
                request.method, url + path_of(request), headers=sent(call), data=request.body, stream=True,
                timeout=(PATIENT_S, QUICK_S if hurry else PATIENT_S),
            )  # fmt: skip
            heard = reply.status_code, reply.headers.get("content-type"), reply.headers.get("retry-after")
            for piece in reply.iter_content(SENT):
                body += piece
        except requests.RequestException as error:
            return heard, body, KINDS["requests"][type(error).__name__]
    return heard, body, None


def in_thread(ask):
    async def asked(url, call, *, hurry):
        return await asyncio.get_running_loop().run_in_executor(None, contextvars.copy_context().run, ask, url, call, hurry)

    return asked


BROKEN, SILENT = "broken", Failure.READ_TIMEOUT
KINDS = {
    "httpx": {"ConnectError": BROKEN, "ReadError": BROKEN, "RemoteProtocolError": BROKEN, "ReadTimeout": SILENT, "DecodingError": BROKEN},
    "aiohttp": {
        "ClientConnectorError": BROKEN, "ClientOSError": BROKEN, "ServerDisconnectedError": BROKEN, "ClientPayloadError": BROKEN,
        "SocketTimeoutError": SILENT,
    },
    "urllib3": {"NewConnectionError": BROKEN, "ProtocolError": BROKEN, "ReadTimeoutError": SILENT, "DecodeError": BROKEN},
    "requests": {"ConnectionError": BROKEN, "ChunkedEncodingError": BROKEN, "ReadTimeout": SILENT, "ContentDecodingError": BROKEN},
}  # fmt: skip
"""What each library's exceptions mean. Which of them comes when is told in `test_transports.py`."""

CLIENTS = {"aiohttp": over_aiohttp, "urllib3": in_thread(with_urllib3), "requests": in_thread(with_requests)}


def clients_of_cells():
    """All of the catalogue goes over urllib3; over the others goes whatever shape a strike can have, in each protocol."""
    seen = set()
    for cell in CELLS:
        fault = catalogue()[cell.fault]
        strike = fault.strike_exchange(sample(cell)[0], magnitude(cell.fault), random.Random(f"{cell.seed}/{UNIT}/target/0"))
        shape = (
            type(strike.instead), strike.hold_s > 0, strike.request is None, strike.twice, strike.rewrite_reply is None,
            strike.rewrite_stream is None, strike.gather, fault.awaits is None, isinstance(strike.instead, Failure) and strike.instead,
        )  # fmt: skip
        new = (shape, cell.protocol, cell.stream) not in seen
        seen.add((shape, cell.protocol, cell.stream))
        yield cell, tuple(CLIENTS) if new else ("urllib3",)


@pytest.mark.parametrize(("cell", "clients"), [pytest.param(*both, id=str(both[0])) for both in clients_of_cells()])
async def test_every_transport_meets_what_httpx_meets(cell, clients):
    call, good = sample(cell)
    seen = await in_process(cell, call, good, over_httpx)
    assert seen[2][1] == 1, "nothing was struck"
    for client in clients:
        through = await in_process(cell, call, good, CLIENTS[client])
        if cell.fault in LONG and client == "requests" and through[0][2] is BROKEN:
            through = ((*through[0][:2], SILENT), *through[1:])  # requests makes a ConnectionError of silence in the middle of a body
        assert by_piece(cell, good, through) == by_piece(cell, good, seen), client


def by_piece(cell, good, outcome):
    """A body that breaks off in its first piece depends on how large that was; that it did break off does not."""
    if cell.effect != "short body":
        return outcome
    heard, body, error = outcome[0]
    return (heard, len(body) < len(good.body) and good.body.startswith(body), error), *outcome[1:]


def test_the_shapes_are_many_and_all_libraries_meet_them():
    several = [cell for cell, clients in clients_of_cells() if len(clients) == len(CLIENTS)]
    assert len(several) > 100
    assert {cell.protocol for cell in several} == {cell.protocol for cell in CELLS}
