"""The proxy's parsers, fuzzed: they never fail but as they say, find the same end however bytes are cut, and agree with llhttp."""

from __future__ import annotations

from itertools import pairwise

import httptools
from hypothesis import example, given
from hypothesis import strategies as st

from refute.injectors.decoding import Decoder
from refute.injectors.proxy.framing import (
    Chunked,
    MalformedError,
    Sized,
    body_of_reply,
    body_of_request,
    read_reply,
    read_request,
)

TOKENS = [
    b"GET", b"POST", b" ", b"/", b"HTTP/1.1", b"HTTP/1.0", b"\r\n", b"\n", b"\r", b":", b"\t", b"\0", b"content-length",
    b"transfer-encoding", b"chunked", b"gzip", b",", b"5", b"abcde", b"0", b"a", b";", b"=", b'"', b"\xff", b"200",
    b"OK", b"host: x\r\n", b"connection",
    b"close", b"\r\n\r\n", b"5\r\nabcde\r\n", b"0\r\n\r\n", b"1" * 20,
]  # fmt: skip
mostly_http = st.lists(st.sampled_from(TOKENS) | st.binary(max_size=3), max_size=40).map(b"".join)
cuts = st.lists(st.integers(0, 400), max_size=8)


def pieces(data, places):
    bounds = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in pairwise(bounds)]


@given(mostly_http | st.binary(max_size=300))
def test_a_head_is_read_or_refused(data):
    for read in (read_request, read_reply):
        try:
            head = read(data + b"\r\n\r\n")
        except MalformedError:
            continue
        assert head.to_bytes() == data + b"\r\n\r\n"
        assert len(head.names) == len(head.lines) - 1 == len(head.headers())
        assert all(b"\n" not in line and b"\r" not in line for line in head.lines)
        head.closes()


class Messages:
    """What llhttp makes of bytes."""

    def __init__(self):
        self.body, self.whole, self.url = b"", 0, b""

    def on_url(self, url):
        self.url += url

    def on_body(self, data):
        self.body += data if not self.whole else b""

    def on_message_complete(self):
        self.whole += 1


METHODS = st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])
SOME_FIELDS = [
    "Host: a", "content-length: 5", "Content-Length: 0", "content-length: 12", "transfer-encoding: chunked", "x: y",
    "Transfer-Encoding: gzip", "transfer-encoding: identity", "connection: close", "connection: keep-alive", "x:", "x:\ty ",
]  # fmt: skip
SOME_CHUNKS = [
    b"5\r\nabcde\r\n", b"0\r\n\r\n", b"1;a=b\r\nx\r\n", b"00A\r\n0123456789\r\n", b"0\r\nt: 1\r\n\r\n", b"abcde", b"5\r\nabc",
    b"zz\r\n", b"\r\n", b"1\r\nxy\r\n",
]  # fmt: skip
FIELDS = st.lists(st.sampled_from(SOME_FIELDS), max_size=4)
CHUNKS = st.lists(st.sampled_from(SOME_CHUNKS), max_size=5).map(b"".join)


@given(METHODS, st.sampled_from(["HTTP/1.1", "HTTP/1.0"]), FIELDS, CHUNKS)
@example("POST", "HTTP/1.1", ["content-length: 5", "transfer-encoding: chunked"], b"0\r\n\r\n")
@example("POST", "HTTP/1.1", ["content-length: 5", "Content-Length: 0"], b"")
def test_a_request_that_is_passed_on_means_to_llhttp_what_it_means_to_us(method, version, fields, rest):
    """No upstream that reads as llhttp does (Node, many others) may see another request in the bytes that we pass on."""
    raw = "".join(f"{line}\r\n" for line in [f"{method} /p {version}", *fields, ""]).encode()
    content = bytearray()
    try:
        body = body_of_request(read_request(raw))
        used = body.feed(rest, content.extend)
    except MalformedError:
        return
    theirs = Messages()
    parser = httptools.HttpRequestParser(theirs)
    try:
        parser.feed_data(raw + rest[:used])
    except httptools.HttpParserError:
        assert not body.done, f"llhttp refuses {raw + rest[:used]!r}"  # what turns out bad later ends the connection
        return
    assert theirs.body == bytes(content)
    assert theirs.whole == int(body.done)
    assert theirs.url == b"/p"


@given(FIELDS, CHUNKS, cuts)
def test_a_bodys_end_does_not_depend_on_how_it_is_cut(fields, rest, places):
    head = read_reply("".join(f"{line}\r\n" for line in ["HTTP/1.1 200 OK", *fields, ""]).encode())

    def fed(parts):
        body, content, used = body_of_reply(head, "GET"), bytearray(), 0
        for part in parts:
            try:
                used += body.feed(part, content.extend)
            except MalformedError:
                return "malformed"
        return body.done, bytes(content), used

    assert fed(pieces(rest, places)) == fed([rest])


@given(st.binary(max_size=2000), st.lists(st.integers(1, 50), max_size=30), cuts)
def test_chunks_give_the_content_back_and_end_where_they_end(content, sizes, places):
    framed, left = b"", content
    for size in sizes:
        if left:
            framed += b"%x\r\n%b\r\n" % (len(left[:size]), left[:size])
            left = left[size:]
    framed += (b"%X;e\r\n%b\r\n" % (len(left), left) if left else b"") + b"0\r\nTrailer: 1\r\n\r\n"
    body, got, used = Chunked(), bytearray(), 0
    for part in pieces(framed + b"GET / HTTP/1.1", places):
        used += body.feed(part, got.extend) if not body.done else 0
    assert (bytes(got), used, body.done) == (content, len(framed), True)


@given(st.lists(mostly_http | st.binary(max_size=200), max_size=30))
def test_chunks_never_keep_more_than_a_line(parts):
    body = Chunked()
    for part in parts:
        try:
            used = body.feed(part)
        except MalformedError:
            return
        assert 0 <= used <= len(part)
        assert len(body._line) <= 4096
        if body.done:
            return
        assert used == len(part)


@given(st.integers(0, 100), st.lists(st.binary(max_size=40), max_size=8))
def test_a_sized_body_takes_its_size(length, parts):
    body, used = Sized(length), 0
    for part in parts:
        used += body.feed(part)
    assert used == min(length, sum(map(len, parts)))
    assert body.done == (used == length)


@given(st.sampled_from(["gzip", "deflate", ""]), st.binary(max_size=500))
def test_a_decoder_decodes_or_says_that_it_cannot(coding, data):
    try:
        for piece in Decoder(coding).feed(data):
            assert 0 < len(piece) <= 256 * 1024 or not coding
    except ValueError:
        assert coding
