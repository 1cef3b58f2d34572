"""Streams are cut into events without changing a byte, however their bytes arrive."""

from __future__ import annotations

import json
import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from refute.core.arming import Arming
from refute.core.context import UnitContext, current_unit
from refute.core.lease import Lease
from refute.core.system import Component
from refute.faults.catalogue import catalogue
from refute.faults.preview import preview
from refute.injectors.driver import Aim, Pump
from refute.injectors.switch import Switch
from refute.wire.codec import codec_named, codec_of, recognise
from refute.wire.exchange import Request
from refute.wire.rewriting import EventRewriter, EventStrike
from refute.wire.samples import CONTENTS, STREAMED, reply
from refute.wire.sse import SseSplitter, read_event
from servers.provider import anthropic_events, openai_events

LINE_ENDS = [b"\n", b"\r\n", b"\r"]
STREAMS = [b"".join(events(tools)) for events in (openai_events, anthropic_events) for tools in (False, True)]


def chunks_of(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


class PassOn(EventStrike):
    pass


@given(st.binary(max_size=60) | st.text(alphabet="data: x\r\n", max_size=60).map(str.encode), st.lists(st.integers(0, 99)))
def test_events_and_rest_are_what_was_fed(data, cuts):
    splitter = SseSplitter()
    given_out = b"".join(block for chunk in chunks_of(data, cuts) for block in splitter.feed(chunk))
    assert given_out + splitter.rest() == data


@given(st.lists(st.text(alphabet="ab{} ", min_size=1), min_size=1, max_size=6), st.sampled_from(LINE_ENDS), st.lists(st.integers(0, 999)))
def test_the_same_events_are_read_whatever_the_line_ends_and_chunks(texts, end, cuts):
    data = b"".join(b"event: e" + end + b"data: " + text.encode() + end + end for text in texts)
    splitter = SseSplitter()
    blocks = [block for chunk in chunks_of(data, cuts) for block in splitter.feed(chunk)]
    read = [read_event(block) for block in [*blocks, splitter.rest()]]
    assert [event for event in read if event != ("", "")] == [("e", text) for text in texts]


@given(st.sampled_from(STREAMS), st.sampled_from(LINE_ENDS), st.lists(st.integers(0, 9999), max_size=30))
def test_rewriting_nothing_changes_nothing(stream, end, cuts):
    data = stream.replace(b"\n", end)
    codec = recognise(Request("POST", "http://x/v1/messages"))[0]
    rewriter = EventRewriter(codec, PassOn())
    steps = [step for chunk in chunks_of(data, cuts) for step in rewriter.feed(chunk)] + rewriter.finish()
    assert b"".join(steps) == data


@given(st.sampled_from(STREAMS), st.sampled_from(["stream.cut", "toolcall.bad_arguments"]), st.lists(st.integers(0, 9999), max_size=30))
def test_a_call_that_is_not_hit_passes_byte_for_byte(stream, fault, cuts):
    path = "messages" if b"message_start" in stream else "chat/completions"
    _, call = recognise(Request("POST", f"http://x/v1/{path}"))
    pump, switch = pumped(call, fault, share=0.0)
    steps = [step for chunk in chunks_of(stream, cuts) for step in pump.feed(chunk)] + pump.finish()
    assert b"".join(steps) == stream
    assert switch.landing().eligible == (fault == "stream.cut" or b"lookup_order" in stream)


@given(st.sampled_from(STREAMS), st.lists(st.integers(0, 9999), max_size=30), st.integers(0, 9))
def test_cut_arguments_are_never_json_and_the_rest_of_the_stream_is_kept(stream, cuts, seed):
    path = "messages" if b"message_start" in stream else "chat/completions"
    _, call = recognise(Request("POST", f"http://x/v1/{path}"))
    codec = codec_of(call)
    pump, _ = pumped(call, "toolcall.bad_arguments", share=1.0, seed=seed)
    out = b"".join(step for chunk in chunks_of(stream, cuts) for step in pump.feed(chunk)) + b"".join(pump.finish())
    splitter = SseSplitter()
    events = [codec.event(block) for block in splitter.feed(out)]
    before = [codec.event(block) for block in SseSplitter().feed(stream)]
    assert [(event.finish, event.terminal) for event in events] == [(event.finish, event.terminal) for event in before]
    if b"lookup_order" in stream:
        arguments = "".join(delta.arguments for event in events for delta in event.tools)
        assert not is_json(arguments)
    else:
        assert out == stream


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def pumped(call, fault, **fields) -> tuple[Pump, Switch]:
    lease = Lease(20)
    arming = Arming(Component("llm", "llm"), fault, **fields)
    switch = Switch(arming, lease)
    found = catalogue()[fault]
    aim = Aim(found, None, switch)
    token = current_unit.set(UnitContext("a/0", "treatment"))
    try:
        unit = switch.unit_of_call()
    finally:
        current_unit.reset(token)

    def decide():
        hit = switch.attempt(unit, "x", -1).hit
        return None if hit is None else (hit, aim.fault.strike_exchange(call, None, hit.rng))

    pump = Pump(switch)
    pump.watch(codec_of(call), found.awaits.event, decide)
    return pump, switch


@given(st.sampled_from(sorted(STREAMED)), st.sampled_from(CONTENTS), st.lists(st.integers(0, 6000), max_size=8))
def test_every_protocols_stream_survives_any_chunking(protocol, content, cuts):
    codec, body = codec_named(protocol), reply(protocol, content, stream=True).body
    whole = codec.splitter().feed(body)
    splitter = codec.splitter()
    assert [block for chunk in chunks_of(body, cuts) for block in splitter.feed(chunk)] == whole
    assert b"".join(whole) + splitter.rest() == body


@given(
    st.sampled_from([name for name, fault in catalogue().items() if fault.family in {"stream", "content", "toolcall", "llm"}]),
    st.sampled_from(sorted(STREAMED - {"mcp"})),
    st.lists(st.integers(0, 6000), max_size=6),
    st.integers(0, 30),
)
def test_a_strike_does_the_same_however_the_bytes_arrive(name, protocol, cuts, seed):
    fault = catalogue()[name]
    if (struck := preview(fault, protocol, stream=True)) is None:
        return
    body = reply(protocol, struck.sample, stream=True).body
    codec = codec_named(protocol)
    blocks = codec.splitter().feed(body)
    start = 0 if fault.awaits is None else next(place for place, block in enumerate(blocks) if fault.awaits.event(codec.event(block)))
    onward = b"".join(blocks[start:])

    def played(chunks):
        strike = fault.strike_exchange(struck.call, None, random.Random(seed))
        if strike.rewrite_stream is None:
            return None
        rewriter, steps = strike.rewrite_stream(), []
        for chunk in chunks:
            if not rewriter.done:
                steps += rewriter.feed(chunk)
        return [step for step in steps + ([] if rewriter.done else rewriter.finish()) if step]

    whole, pieces = played([onward]), played(chunks_of(onward, cuts))
    if whole is not None and name != "llm.short_body":
        assert joined(pieces) == joined(whole)


def joined(steps):
    """Bytes next to each other are one step."""
    found = []
    for step in steps:
        if isinstance(step, bytes) and found and isinstance(found[-1], bytes):
            found[-1] += step
        else:
            found.append(step)
    return found
