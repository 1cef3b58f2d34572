"""Random HTTP exchanges as raw bytes, and a server that plays the other end of them: what it gets and gives is recorded exactly."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import random
from dataclasses import dataclass

from servers.provider import openai_events, openai_whole

NAMES = ("Accept", "x-Custom", "User-Agent", "authorization", "X-EMPTY", "cookie", "Traceparent")


@dataclass
class Exchange:
    """One exchange.

    Attributes:
        request: as the client sends it.
        wanted: as upstream must get it.
        reply: as upstream sends it, and the client must get it.
        closes: whether upstream closes the connection after it.
    """

    request: bytes
    wanted: bytes
    reply: bytes
    closes: bool = False


def cut(rng: random.Random, data: bytes) -> list[bytes]:
    """Cut bytes anywhere, often in awkward places."""
    count = rng.choice((0, 0, 1, 2, 5, 12))
    places = sorted(rng.randrange(len(data) + 1) for _ in range(count)) if data else []
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def chunked(rng: random.Random, body: bytes) -> bytes:
    """Frame a body in chunks, with extensions, trailers and odd sizes now and then."""
    framed = b""
    while body:
        size = rng.choice((1, 2, 7, 64, 1000, len(body)))
        piece, body = body[:size], body[size:]
        digits = f"{len(piece):x}" if rng.random() < 0.7 else f"{len(piece):05X}"
        extension = rng.choice(("", "", "", ";a", ';name="v;1"'))
        framed += f"{digits}{extension}\r\n".encode() + piece + b"\r\n"
    trailers = b"X-Checksum: 1\r\nServer-Timing: a;dur=1\r\n" if rng.random() < 0.2 else b""
    return framed + b"0\r\n" + trailers + b"\r\n"


def fields(rng: random.Random) -> list[str]:
    chosen = rng.sample(NAMES, rng.randrange(len(NAMES)))
    return [f"{name}:{rng.choice((' ', '', '  ', chr(9)))}{rng.choice(('a', 'b c', 'x' * 300, 'é', ''))}" for name in chosen]


def body(rng: random.Random) -> bytes:
    size = rng.choice((0, 1, 10, 500, 5000, 70_000))
    return rng.randbytes(size) if rng.random() < 0.7 else b"\r\n\r\n0\r\n\r\n" * (size // 9)


def one(rng: random.Random, number: int, upstream: str, baggage: str = "", *, last: bool = False) -> Exchange:
    """Draw an exchange.

    Args:
        rng: draws it.
        number: for its path.
        upstream: host and port that the proxy must put into `Host`.
        baggage: of the client, all of it Refute's own.
        last: whether it is the last of its connection, so that its end may be the connection's.
    """
    method = rng.choice(("GET", "POST", "POST", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "QUERY"))
    lines = [f"{method} /v1/chat/completions?n={number}&q=%20é HTTP/1.1" if method == "POST" else f"{method} /n/{number} HTTP/1.1"]
    more = fields(rng)
    framed = b""
    if method in {"POST", "PUT", "QUERY"}:
        content = body(rng)
        if rng.random() < 0.5:
            more.append(f"Content-Length: {len(content)}")
            framed = content
        else:
            more.append("transfer-encoding: chunked")
            framed = chunked(rng, content)
    rng.shuffle(more)
    place = rng.randrange(len(more) + 1)
    sent = [*lines, *more[:place], "host: proxy.example:1", *more[place:]]
    wanted = [*lines, *more[:place], f"host: {upstream}", *more[place:]]
    if baggage:
        sent.insert(rng.randrange(1, len(sent) + 1), f"Baggage: {baggage}")
    reply, closes = a_reply(rng, method, last=last)
    return Exchange(_head(sent) + framed, _head(wanted) + framed, reply, closes)


def a_reply(rng: random.Random, method: str, *, last: bool) -> tuple[bytes, bool]:
    informational = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" if rng.random() < 0.1 else b""
    kind = rng.choice(("length", "chunked", "stream", "gzip", "bare", "close" if last else "length"))
    status = rng.choice(("200 OK", "200", "201 Created", "404 Not Found", "500 ", "429 Too Many"))
    more, framed, closes = fields(rng), b"", False
    if kind == "bare":
        status = rng.choice(("204 No Content", "304 Not Modified"))
    elif kind == "close":
        framed, closes = body(rng), True
    elif kind == "chunked":
        more.append("Transfer-Encoding: chunked")
        framed = chunked(rng, body(rng))
    elif kind == "stream":
        status, more = "200 OK", [*more, "content-type: text/event-stream", "transfer-encoding: chunked"]
        framed = chunked(rng, b"".join(openai_events(rng.random() < 0.5)))
    else:
        content = body(rng) if rng.random() < 0.5 else openai_whole(rng.random() < 0.5)
        if kind == "gzip":
            more, content = [*more, "content-encoding: gzip", "content-type: application/json"], gzip.compress(content)
        more.append(f"CONTENT-LENGTH: {len(content)}")
        framed = content
    if method == "HEAD":
        framed = b""
    rng.shuffle(more)
    return informational + _head([f"HTTP/1.1 {status}", *more]) + framed, closes


def _head(lines: list[str]) -> bytes:
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")


class Playing:
    """Upstream: knows which exchanges a connection will bring, by the number in its first request.

    Attributes:
        wrong: what came otherwise than it must.
    """

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.scripts: dict[int, list[Exchange]] = {}
        self.wrong: list[tuple[bytes, bytes]] = []
        self.port = 0

    @contextlib.asynccontextmanager
    async def running(self):
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    async def _serve(self, reader, writer):
        first = await reader.readuntil(b" HTTP/1.1\r\n")
        number = int(first.split(b"?n=")[1].split(b"&")[0] if b"?n=" in first else first.split()[1].rpartition(b"/")[2])
        ahead = first
        for exchange in self.scripts.pop(number):
            got = ahead + await reader.readexactly(len(exchange.wanted) - len(ahead))
            ahead = b""
            if got != exchange.wanted:
                self.wrong.append((got, exchange.wanted))
            await send(self.rng, writer, exchange.reply)
            if exchange.closes:
                break
        writer.close()


async def send(rng: random.Random, writer: asyncio.StreamWriter, data: bytes) -> None:
    for piece in cut(rng, data):
        writer.write(piece)
        if rng.random() < 0.3:
            await asyncio.sleep(0)
    await writer.drain()
