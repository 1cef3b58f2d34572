"""Exchanges of each protocol as real servers answer them: what `refute faults show` breaks before your eyes.

The SDKs read them in the tests, so that they stay true to the protocols.
"""

from __future__ import annotations

from refute.wire.codec import codec_named
from refute.wire.exchange import Call, Reply, Request
from refute.wire.samples import answers, requests
from refute.wire.samples.words import ARGUMENTS, CONTENTS, TEXT, TEXTS, TOOL, Content

_SSE, _JSON = (("content-type", "text/event-stream"),), "application/json"


def sample(protocol: str, content: Content = "text", *, stream: bool = False) -> tuple[Call, Reply]:
    """Return a call and the good reply to it.

    Args:
        protocol: name of a codec.
        content: what the answer says; protocols without answers of a model have one kind of reply.
        stream: whether it comes event by event.
    """
    codec = codec_named(protocol)
    request = requests.request(protocol, content, stream=stream)
    return codec.call(request), reply(protocol, content, stream=stream)


def reply(protocol: str, content: Content = "text", *, stream: bool = False) -> Reply:
    """Return a good reply; arguments as in `sample`."""
    events = answers.EVENTS.get(protocol)
    if stream and events is not None:
        kind = "application/x-ndjson" if protocol == "ollama" else "text/event-stream"
        return Reply(200, (("content-type", kind),), b"".join(events(content)))
    body = answers.WHOLE[protocol](content)
    return Reply(200, (("content-type", _JSON), ("content-length", str(len(body)))), body)


STREAMED: frozenset[str] = frozenset(answers.EVENTS)
"""Protocols with streams."""

__all__ = ["ARGUMENTS", "CONTENTS", "STREAMED", "TEXT", "TEXTS", "TOOL", "Call", "Content", "Request", "reply", "sample"]
