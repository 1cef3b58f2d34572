"""The codecs and the faults on bodies that no server should send: never an exception, whatever is in them and however they are cut."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from refute.faults.catalogue import catalogue
from refute.faults.preview import _samples, kinds_over
from refute.wire.codec import PROTOCOLS, codec_named, recognise
from refute.wire.events import Edit, ToolDelta
from refute.wire.exchange import Request
from refute.wire.samples import CONTENTS, STREAMED, reply, sample
from refute.wire.sse import read_json

ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, -(2**63)])
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["tool_calls", "stop", "\ud800", "1e999"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "text", "result", "choices", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
STRIKING = sorted(
    (fault.name, protocol)
    for fault in catalogue().values()
    if fault.strike_exchange
    for protocol in PROTOCOLS
    if kinds_over(fault, protocol)
)
EDITS = [Edit(text="x"), Edit(tools=(ToolDelta(0, "a", "b", "{}"),)), Edit(finish="length", model="m", usage=0), Edit(tools=(), usage=2.0)]


def places(data, here=()):
    """Return the way to each value in a JSON text."""
    within = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [here, *(place for step, value in within for place in places(value, (*here, step)))]


def put(data, way, value):
    if not way:
        return value
    copied = dict(data) if isinstance(data, dict) else list(data)
    copied[way[0]] = put(copied[way[0]], way[1:], value)
    return copied


@st.composite
def spoilt(draw, body):
    """Return a body with odd values in its JSON, or with its bytes cut, doubled or changed."""
    data = read_json(body)
    for _ in range(draw(st.integers(0, 3))):
        if data is not None:
            data = put(data, draw(st.sampled_from(places(data))), draw(ODD))
    made = body if data is None else json.dumps(data).encode()
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(0, len(made)))
        made = (
            made[:place]
            + draw(st.binary(max_size=4) | st.sampled_from([b"\n\n", b"data:", b"[" * 20_000, b"9" * 5000]))
            + made[place + draw(st.integers(0, 3)) :]
        )
    return made


def pieces(data, cuts):
    bounds = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(bounds)]


@given(st.data(), st.sampled_from(PROTOCOLS), st.sampled_from(CONTENTS))
def test_any_request_and_reply_is_read(data, protocol, content):
    codec = codec_named(protocol)
    call, good = sample(protocol, content)
    request = replace(call.request, body=data.draw(spoilt(call.request.body)))
    recognise(request)
    asked = codec.call(request)
    for changed in (codec.whole(request), codec.for_model(request, "m"), codec.uninstructed(request)):
        assert changed is None or isinstance(changed, Request)
    bad = replace(good, body=data.draw(spoilt(good.body)))
    codec.data(asked, bad)
    if (answer := codec.answer(bad)) is not None:
        for edit in EDITS:
            codec.edit_answer(bad, answer, edit)


@given(st.data(), st.sampled_from(sorted(STREAMED)), st.sampled_from(CONTENTS), st.lists(st.integers(0, 9999), max_size=4))
def test_any_stream_is_read(data, protocol, content, cuts):
    codec = codec_named(protocol)
    body = data.draw(spoilt(reply(protocol, content, stream=True).body))
    splitter = codec.splitter()
    blocks = [block for piece in pieces(body, cuts) for block in splitter.feed(piece)]
    assert b"".join(blocks) + splitter.rest() == body
    for block in blocks:
        event = codec.event(data.draw(spoilt(block)))
        for edit in EDITS:
            assert isinstance(codec.edit_event(event, edit), bytes)


@given(st.data(), st.sampled_from(STRIKING), st.booleans(), st.lists(st.integers(0, 9999), max_size=4))
def test_a_fault_bears_any_exchange(data, striking, stream, cuts):
    name, protocol = striking
    fault, stream = catalogue()[name], stream and protocol in STREAMED
    call, good = data.draw(st.sampled_from(list(_samples(protocol, stream=stream).values())))
    codec = codec_named(protocol)
    call = codec.call(replace(call.request, body=data.draw(st.just(call.request.body) | spoilt(call.request.body))))
    bad = replace(good, body=data.draw(spoilt(good.body)))
    if fault.matches_exchange is not None and not fault.matches_exchange(call):
        return
    body = bad.body
    if fault.awaits is not None and stream:
        blocks = codec.splitter().feed(body)
        awaited = (place for place, block in enumerate(blocks) if fault.awaits.event and fault.awaits.event(codec.event(block)))
        if (start := next(awaited, None)) is None:
            return
        body = b"".join(blocks[start:])
    elif fault.awaits is not None and not fault.awaits.has(codec, call, bad):
        return
    strike = fault.strike_exchange(call, None, random.Random(data.draw(st.integers(0, 30))))
    if strike.rewrite_stream is not None and (stream or strike.rewrite_reply is None):
        rewriter = strike.rewrite_stream()
        for piece in pieces(body, cuts):
            if not rewriter.done:
                rewriter.feed(piece)
        if not rewriter.done:
            rewriter.finish()
    elif strike.rewrite_reply is not None:
        strike.rewrite_reply(bad)
