"""Malformed, lying, slow and vanishing peers on either side: a clear error or a faithful relay, never a hang or a leak."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import random
import socket
import struct
import weakref

import pytest

from refute.core.arming import Arming
from refute.core.lease import Lease
from refute.core.system import Component
from refute.injectors.proxy import session as sessions
from refute.injectors.proxy.hands import ProxyInjector
from refute.injectors.proxy.held import MOST_BYTES_AT_ONCE
from refute.injectors.proxy.server import ProxyServer, upstream_of
from refute.injectors.proxy.wire import HIGH_WATER_BYTES

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
POST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
RESET = struct.pack("ii", 1, 0)


class Scripted:
    """Upstream: reads a head, then does what the test says.

    Attributes:
        got: all bytes that came, by connection.
        lost: how many connections ended.
    """

    def __init__(self, act):
        self.act = act
        self.got = []
        self.lost = 0
        self.port = 0

    @contextlib.asynccontextmanager
    async def running(self):
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    async def _serve(self, reader, writer):
        got = bytearray()
        self.got.append(got)
        try:
            got += await reader.readuntil(b"\r\n\r\n")
            await self.act(got, reader, writer)
            while piece := await reader.read(65536):
                got += piece
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self.lost += 1
            writer.close()


def reset(writer):
    with contextlib.suppress(OSError):  # the other side may have closed it already
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


@contextlib.asynccontextmanager
async def standing(act, *, fault="", **fields):
    hands = ProxyInjector()
    scripted = Scripted(act)
    async with scripted.running(), ProxyServer(upstream_of(f"http://127.0.0.1:{scripted.port}"), "127.0.0.1", 0, hands) as proxy:
        if fault:
            component = Component("llm", "llm", endpoint=f"{proxy.url}/v1", via="proxy")
            handle = hands.prepare(Arming(component, fault, cohort=1.0, **fields))
            hands.apply(handle, Lease(20))
        yield proxy, scripted


async def connected(proxy):
    return await asyncio.open_connection("127.0.0.1", int(proxy.url.rpartition(":")[2]), limit=2**22)


async def asked(proxy, data, *, limit_s=30.0):
    """Send bytes; return all that comes until the proxy closes, and whether it broke off."""
    reader, writer = await connected(proxy)
    writer.write(data)
    got, broken = b"", False
    async with asyncio.timeout(limit_s):
        try:
            while piece := await reader.read(65536):
                got += piece
        except ConnectionError:
            broken = True
    writer.close()
    return got, broken


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.005)


def replying(*pieces, end="close"):
    async def act(_got, _reader, writer):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)
        if end == "reset":
            reset(writer)
        elif end == "close":
            writer.close()

    return act


async def hanging(_got, _reader, _writer):
    await asyncio.sleep(60)


# Clients


MALFORMED = {
    "no request line": b"hello\r\n\r\n",
    "http 2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "tls hello": b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    "two lengths": POST + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab",
    "length and chunks": POST + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "signed length": POST + b"content-length: +5\r\n\r\nabcde",
    "unknown coding": POST + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunks in 1.0": b"POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "folded field": b"GET / HTTP/1.1\r\nhost: x\r\n folded\r\n\r\n",
    "space before colon": b"GET / HTTP/1.1\r\nhost : x\r\n\r\n",
    "bare newline": b"GET / HTTP/1.1\nhost: x\r\n\r\n",
    "zero byte": b"GET / HTTP/1.1\r\nhost: a\0b\r\n\r\n",
    "forward proxy": b"GET http://elsewhere/ HTTP/1.1\r\nhost: elsewhere\r\n\r\n",
    "tunnel": b"CONNECT elsewhere:443 HTTP/1.1\r\nhost: elsewhere\r\n\r\n",
    "endless head": b"GET / HTTP/1.1\r\n" + b"x: " + b"a" * 70_000 + b"\r\n\r\n",
    "endless head, no end": b"GET / HTTP/1.1\r\n" + b"x: " + b"a" * 70_000,
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
async def test_a_malformed_request_is_refused_and_never_reaches_upstream(data):
    async with standing(replying(OK)) as (proxy, scripted):
        got, _ = await asked(proxy, data)
        head, _, body = got.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ")
        assert json.loads(body)["error"]["code"] == "PROXY-REQUEST"
        assert scripted.got == []
        await until(lambda: proxy.connections == 0)


@pytest.mark.parametrize("fault", ["", "llm.rate_limit"])
@pytest.mark.parametrize("chunks", [b"zz\r\n", b"5\r\nabcdefgh\r\n", b"-1\r\n", b"1" * 20 + b"\r\n", b"5;" + b"x" * 5000, b"5\nabcde\r\n"])
async def test_invalid_chunks_of_a_client_are_refused(chunks, fault):
    async with standing(hanging, fault=fault) as (proxy, scripted):
        got, _ = await asked(proxy, POST + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n" + chunks)
        assert got.startswith(b"HTTP/1.1 400 ")
        assert chunks not in b"".join(map(bytes, scripted.got))


async def test_a_chunk_that_turns_bad_later_ends_both_sides():
    async with standing(hanging) as (proxy, scripted):
        reader, writer = await connected(proxy)
        writer.write(POST + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await until(lambda: scripted.got and scripted.got[0].endswith(b"\r\n\r\n"))
        writer.write(b"zz\r\n")
        assert (await asyncio.wait_for(reader.read(), 30)).startswith(b"HTTP/1.1 400 ")
        writer.close()
        await until(lambda: proxy.connections == 0)


async def test_a_slow_loris_is_cut_off(monkeypatch):
    monkeypatch.setattr(sessions, "HEAD_S", 0.5)
    async with standing(replying(OK)) as (proxy, scripted):
        reader, writer = await connected(proxy)

        async def drip():
            for byte in b"GET / HTTP/1.1\r\n" + b"x" * 1000:
                writer.write(bytes([byte]))
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 30) == b""
        dripping.cancel()
        assert (proxy.connections, scripted.got) == (0, [])
        writer.close()


async def test_an_idle_connection_is_not_cut_off_as_if_it_were_slow(monkeypatch):
    monkeypatch.setattr(sessions, "HEAD_S", 0.5)
    async with standing(replying(OK, end="keep")) as (proxy, _):
        reader, writer = await connected(proxy)
        await asyncio.sleep(2.2)
        writer.write(GET)
        assert await reader.readexactly(len(OK)) == OK
        writer.close()


async def test_a_silent_exchange_is_ended_at_last(monkeypatch):
    monkeypatch.setattr(sessions, "SILENCE_S", 0.3)
    async with standing(hanging) as (proxy, scripted):
        got, _ = await asked(proxy, GET)
        assert got == b""
        await until(lambda: proxy.connections == 0 and scripted.got)


@pytest.mark.parametrize("fault", ["", "llm.rate_limit"])
async def test_a_client_that_promises_more_than_it_sends_leaves_nothing_behind(fault):
    async with standing(hanging, fault=fault) as (proxy, _):
        _, writer = await connected(proxy)
        writer.write(POST + b"content-length: 1000\r\n\r\nabc")
        await until(lambda: proxy.busy == 1)
        writer.close()
        await until(lambda: proxy.connections == 0)


@pytest.mark.parametrize("leave", ["close", "reset"])
async def test_a_client_that_leaves_in_mid_stream_ends_upstream_too(leave):
    event = b"6\r\ndata: \r\n"

    async def endless(_got, _reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(event)
            await writer.drain()
            await asyncio.sleep(0.005)

    async with standing(endless) as (proxy, scripted):
        reader, writer = await connected(proxy)
        writer.write(GET)
        await reader.readuntil(event)
        reset(writer) if leave == "reset" else writer.close()
        await until(lambda: scripted.lost == 1 and proxy.connections == 0)


async def test_a_client_that_leaves_before_the_answer_ends_upstream_too():
    async with standing(lambda *_: asyncio.sleep(0)) as (proxy, scripted):
        _, writer = await connected(proxy)
        writer.write(GET)
        await until(lambda: scripted.got)
        writer.close()
        await until(lambda: scripted.lost == 1 and proxy.connections == 0)


async def test_pipelined_requests_are_answered_in_their_order():
    async def act(got, reader, writer):
        while True:
            number = got.split(b" ")[1][1:]
            got.clear()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(number), number))
            got += await reader.readuntil(b"\r\n\r\n")

    async with standing(act) as (proxy, _):
        reader, writer = await connected(proxy)
        writer.write(b"".join(b"GET /%d HTTP/1.1\r\n\r\n" % number for number in range(50)))
        for number in range(50):
            await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(len(str(number))) == str(number).encode()
        writer.close()


@pytest.mark.parametrize("fault", ["", "llm.rate_limit"])
async def test_a_client_that_expects_100_gets_it(fault):
    async def act(_got, reader, writer):
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await reader.readexactly(3)
        writer.write(OK)

    async with standing(act, fault=fault) as (proxy, _):
        reader, writer = await connected(proxy)
        writer.write(POST + b"expect: 100-continue\r\ncontent-length: 3\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"abc")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 429 " if fault else b"HTTP/1.1 200 ")
        writer.close()


async def test_a_switched_protocol_is_passed_through_both_ways():
    async def act(_got, reader, writer):
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: echo\r\nconnection: upgrade\r\n\r\n")
        while piece := await reader.read(100):
            writer.write(piece.upper())

    async with standing(act, fault="llm.rate_limit") as (proxy, scripted):
        reader, writer = await connected(proxy)
        writer.write(POST + b"upgrade: echo\r\nconnection: upgrade\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"hello\0")
        assert await reader.readexactly(6) == b"HELLO\0"
        writer.close()
        await until(lambda: scripted.lost == 1 and proxy.connections == 0)


async def test_too_many_connections_are_turned_away(monkeypatch):
    monkeypatch.setattr("refute.injectors.proxy.server.MOST_CONNECTIONS", 3)
    async with standing(replying(OK)) as (proxy, _):
        three = [await connected(proxy) for _ in range(3)]
        await until(lambda: proxy.connections == 3)
        got, _ = await asked(proxy, b"")
        assert got.startswith(b"HTTP/1.1 503 ")
        for _, writer in three:
            writer.close()
        await until(lambda: proxy.connections == 0)


# Upstreams


async def test_an_upstream_that_nobody_serves_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        async with ProxyServer(upstream_of(f"http://{address}"), "127.0.0.1", 0, ProxyInjector()) as proxy:
            got, _ = await asked(proxy, GET)
    assert got.startswith(b"HTTP/1.1 502 ")
    error = json.loads(got.partition(b"\r\n\r\n")[2])["error"]
    assert error["code"] == "PROXY-UPSTREAM"
    assert address in error["message"]


@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\ncontent", b"SSH-2.0-OpenSSH\r\n\r\n", b"\x15\x03\x03\r\n\r\n"])
async def test_an_upstream_that_ends_before_an_answer_or_speaks_no_http_is_a_502(said, end):
    async with standing(replying(said, end=end)) as (proxy, _):
        got, _ = await asked(proxy, GET)
        assert got.startswith(b"HTTP/1.1 502 ")


@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize("framing", [b"content-length: 100", b"transfer-encoding: chunked"])
async def test_a_body_that_ends_early_ends_early_for_the_client_in_the_same_way(framing, end):
    partial = b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n" + (b"" if b"length" in framing else b"50\r\n") + b"half"
    async with standing(replying(partial, end=end)) as (proxy, _):
        got, broken = await asked(proxy, GET)
        assert broken == (end == "reset")
        assert got == partial


async def test_chunks_that_turn_bad_are_passed_on_as_they_are_and_end_the_connection():
    bad = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\nmore"
    async with standing(replying(bad, end="keep")) as (proxy, scripted):
        got, broken = await asked(proxy, GET)
        assert (got, broken) == (bad, False)
        await until(lambda: scripted.lost == 1)


async def test_more_than_the_stated_length_is_not_taken_for_the_next_answer():
    async def act(got, reader, writer):
        writer.write(OK + b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged")
        await reader.read()

    async with standing(act) as (proxy, _):
        got, _ = await asked(proxy, GET + GET)
        assert got == OK


async def test_an_answer_before_the_whole_request_is_passed_on_and_ends_the_connection():
    early = b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n"
    async with standing(replying(early, end="keep")) as (proxy, scripted):
        got, _ = await asked(proxy, POST + b"content-length: 100000\r\n\r\nabc")
        assert got == early
        await until(lambda: scripted.lost == 1 and proxy.connections == 0)


async def test_an_upstream_that_hangs_hangs_no_longer_than_its_client():
    async with standing(hanging) as (proxy, scripted):
        _, writer = await connected(proxy)
        writer.write(GET)
        await until(lambda: scripted.got)
        await asyncio.sleep(0.3)
        assert proxy.busy == 1
        writer.close()
        await until(lambda: proxy.connections == 0)


async def test_upstream_closing_an_idle_connection_closes_the_clients():
    async with standing(replying(OK)) as (proxy, _):
        got, broken = await asked(proxy, GET)
        assert (got, broken) == (OK, False)


JUNK = (b"data: \xff\xfe\n\n", b'data: {"choices":[{"delta":7}]}\n\n', b"\r", b"\n", b"data:" * 9)


@pytest.mark.parametrize("fault", ["stream.cut", "stream.slow_tokens", "content.truncated"])
async def test_garbage_in_a_stream_that_a_fault_reads_is_passed_or_broken_off(fault):
    rng = random.Random(fault)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n%b\r\n\r\n"
    for number in range(30):
        junk = b"".join(
            rng.choice((b"data: \xff\xfe\n\n", b'data: {"choices":[{"delta":7}]}\n\n', b"\r", b"\n", b"data:" * 9)) for _ in range(20)
        )
        coding = b"content-encoding: gzip" if number % 3 == 0 else b"x: y"
        async with standing(replying(head % coding, junk), fault=fault) as (proxy, _):
            got, _ = await asked(proxy, POST + b"content-length: 2\r\n\r\n{}")
            assert got.startswith(b"HTTP/1.1 200 ")


async def test_a_stream_that_is_struck_reaches_a_client_of_http_1_0():
    events = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n' * 9
    reply = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n" + events
    async with standing(replying(reply), fault="stream.cut") as (proxy, _):
        got, broken = await asked(proxy, POST.replace(b"1.1", b"1.0") + b"content-length: 2\r\n\r\n{}")
    assert not broken
    head, _, body = got.partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert events.startswith(body)
    assert 0 < len(body) < len(events)


# Both at once

SOUP = [
    b"GET / HTTP/1.1\r\n", POST, b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 103 x\r\n\r\n", b"\r\n", b"\r\n\r\n", b"content-length: 5\r\n",
    b"transfer-encoding: chunked\r\n", b"5\r\nabcde\r\n", b"0\r\n\r\n", b"connection: close\r\n", b"content-type: text/event-stream\r\n",
    b"content-encoding: gzip\r\n", b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n', b"{}", b"\0", b"\xff" * 50,
    b"expect: 100-continue\r\n", b"upgrade: x\r\n", b"x" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("fault", ["", "llm.rate_limit", "stream.cut", "content.truncated"])
async def test_whatever_both_sides_say_nothing_hangs_and_nothing_is_left(fault, caplog):
    rng = random.Random(fault)

    async def act(_got, _reader, writer):
        writer.write(b"".join(rng.choices(SOUP, k=rng.randrange(12))))
        if rng.random() < 0.5:
            await asyncio.sleep(0.002)
        reset(writer) if rng.random() < 0.2 else writer.close()

    async def one(proxy):
        reader, writer = await connected(proxy)
        start = POST + b"content-length: 2\r\n\r\n{}" if rng.random() < 0.5 else b""
        for piece in (start, *rng.choices(SOUP, k=rng.randrange(8))):
            writer.write(piece)
            if rng.random() < 0.3:
                await asyncio.sleep(0)
        with contextlib.suppress(ConnectionError, TimeoutError):
            await asyncio.wait_for(reader.read(), rng.choice((0.01, 0.1)))
        reset(writer) if rng.random() < 0.3 else writer.close()

    async with standing(act, fault=fault) as (proxy, _):
        for _ in range(25):
            await asyncio.gather(*(one(proxy) for _ in range(20)))
        await until(lambda: proxy.connections == 0)
        room = proxy._serving.room
        assert room.grant(MOST_BYTES_AT_ONCE)
    assert not caplog.records, caplog.records  # no task that ended otherwise than it should


# Back-pressure, draining, leaks


async def test_a_client_that_does_not_read_stops_upstream():
    sent = 0

    async def flood(_got, _reader, writer):
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n")
        while True:
            writer.write(bytes(65536))
            await writer.drain()
            sent += 65536

    async with standing(flood) as (proxy, _):
        reader, writer = await connected(proxy)
        writer.transport.pause_reading()
        writer.write(GET)
        await asyncio.sleep(0.5)
        before = sent
        await asyncio.sleep(0.5)
        assert sent == before
        assert 0 < sent < 16_000_000  # what the kernel's buffers and ours hold
        writer.transport.resume_reading()
        await asyncio.wait_for(reader.readexactly(30_000_000), 30)
        assert sent > before + 10_000_000
        writer.close()


async def test_a_client_that_sends_faster_than_upstream_reads_is_stopped():
    async def reading_nothing(_got, reader, _writer):
        reader._transport.pause_reading()
        await asyncio.sleep(60)

    async with standing(reading_nothing) as (proxy, _):
        _, writer = await connected(proxy)
        writer.write(POST + b"content-length: 1000000000\r\n\r\n")
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 100_000_000:
                writer.write(bytes(65536))
                await asyncio.wait_for(writer.drain(), 2.0)
                sent += 65536
        assert 0 < sent < 20_000_000
        (session,) = proxy._serving.sessions
        assert len(session.client.buffer) < HIGH_WATER_BYTES + 300_000
        writer.close()


async def test_draining_lets_exchanges_end_and_takes_no_more():
    async with standing(lambda _got, _reader, writer: later(writer)) as (proxy, _):
        reader, writer = await connected(proxy)
        idle_reader, idle_writer = await connected(proxy)
        writer.write(GET)
        await until(lambda: proxy.busy == 1 and proxy.connections == 2)
        draining = asyncio.create_task(proxy.drain(5))
        assert await reader.read() == OK
        with contextlib.suppress(ConnectionError):
            assert await idle_reader.read() == b""
        await asyncio.wait_for(draining, 4)
        with pytest.raises(ConnectionError):
            await connected(proxy)
        for one in (writer, idle_writer):
            one.close()


async def later(writer):
    await asyncio.sleep(0.4)
    writer.write(OK)


async def test_draining_ends_what_does_not_end_by_itself():
    async with standing(hanging) as (proxy, _):
        _, writer = await connected(proxy)
        writer.write(GET)
        await until(lambda: proxy.busy == 1)
        await asyncio.wait_for(proxy.drain(0.2), 10)
        assert proxy.connections == 0
        writer.close()


async def test_nothing_is_left_of_sessions_that_have_ended():
    known = weakref.WeakSet()
    async with standing(replying(OK)) as (proxy, _):
        for _ in range(50):
            asking = asyncio.create_task(asked(proxy, GET))
            await until(lambda: proxy.connections)
            known.update(proxy._serving.sessions)
            await asking
        gc.collect()
        assert len(known) == 0
        assert proxy.connections == 0
