"""Faults of a model provider's API, each an exchange gone wrong before a good answer begins."""

from __future__ import annotations

import random
import time

from refute.core.system import ComponentKind
from refute.faults.spec import Fault, Magnitude
from refute.wire.codec import codec_of
from refute.wire.events import ErrorDetail, ErrorKind
from refute.wire.exchange import Call, Reply, Strike

PROVIDER_KINDS: frozenset[ComponentKind] = frozenset({"llm", "embedder", "guardrail_model", "model_server"})

_GATEWAY_PAGE = (
    "<html>\r\n<head><title>{status} {phrase}</title></head>\r\n<body>\r\n<center><h1>{status} {phrase}</h1></center>\r\n"
    "<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)
_GOOD_LOOKING = (
    ("html", "text/html; charset=utf-8", b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body></body></html>"),
    ("null", "application/json", b"null"),
    ("empty", "application/json", b""),
    ("invalid JSON", "application/json", b'{"id":"9f2c41d7","created":1760000000,"mod'),
    ("error object", "application/json", b'{"error":{"message":"upstream connect error","type":"upstream_error","code":null}}'),
)


def request_id(rng: random.Random) -> str:
    """Return a made-up request id of the providers' shape."""
    return f"req_{rng.getrandbits(96):024x}"


def _detail(kind: ErrorKind, rng: random.Random, retry_after_s: float | None = None) -> ErrorDetail:
    return ErrorDetail(kind, request_id(rng), retry_after_s, time.time())


def _rate_limit(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    detail = _detail("rate_limit", rng, _RETRY_AFTER.or_typical(magnitude))
    return Strike("status 429", instead=codec_of(call).error(detail))


def _server_error(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del magnitude
    status, phrase = rng.choice(((500, ""), (502, "Bad Gateway"), (503, ""), (504, "Gateway Time-out")))
    if phrase:
        page = _GATEWAY_PAGE.format(status=status, phrase=phrase).encode()
        return Strike(f"status {status}", instead=_reply(status, "text/html", page))
    reply = codec_of(call).error(_detail("server_error" if status == 500 else "overloaded", rng))
    return Strike(f"status {reply.status}", instead=reply)


def _bad_body(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del call, magnitude
    name, kind, body = rng.choice(_GOOD_LOOKING)
    return Strike(f"bad body: {name}", instead=_reply(200, kind, body))


def _timeout(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del call, rng
    return Strike("no first byte", hold_s=_SILENCE.or_typical(magnitude))


def _delay(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del call, rng
    return Strike("delay", hold_s=_DELAY.or_typical(magnitude))


def _reply(status: int, kind: str, body: bytes) -> Reply:
    return Reply(status, (("content-type", kind), ("content-length", str(len(body)))), body)


_RETRY_AFTER = Magnitude("s", 0.0, 120.0, 1.0, "how long the provider asks to wait (retry-after)")
_SILENCE = Magnitude("s", 0.1, 600.0, 60.0, "silence before the first byte", log=True)
_DELAY = Magnitude("s", 0.05, 60.0, 2.0, "how late the answer is", log=True)

FAULTS: tuple[Fault, ...] = (
    Fault(
        "llm.rate_limit",
        "The provider answers that too many requests were made.",
        PROVIDER_KINDS,
        "availability",
        effect="429 with the provider's own body, retry-after and rate-limit headers; the request never reaches the provider",
        landing="number of 429 replies handed to the client",
        belief="Retries and back-off hide rate limits from users",
        source="provider documentation; with default retries the openai and anthropic SDKs ask three times",
        magnitude=_RETRY_AFTER,
        typical_share=0.3,
        strike_exchange=_rate_limit,
    ),
    Fault(
        "llm.server_error",
        "The provider, or a gateway before it, fails.",
        PROVIDER_KINDS,
        "availability",
        effect="500 or overload in the provider's own JSON, or 502 or 504 with a gateway's HTML page; drawn for each logical call",
        landing="number of replies by status handed to the client",
        belief="A failing provider is retried or replaced without users noticing",
        source="provider status pages and issue trackers",
        typical_share=0.1,
        strike_exchange=_server_error,
    ),
    Fault(
        "llm.timeout",
        "Nothing comes back for a long time.",
        PROVIDER_KINDS,
        "availability",
        effect="no byte for the given time; where the client's read time-out is shorter, its transport's own time-out error, else the "
        "request goes on, late",
        landing="number of calls held to the end, or to the client's time-out",
        belief="A time-out is set, and what follows it is bounded",
        source="issue trackers: SDK time-outs default to ten minutes",
        magnitude=_SILENCE,
        typical_share=0.05,
        strike_exchange=_timeout,
    ),
    Fault(
        "llm.delay",
        "The whole answer is late.",
        PROVIDER_KINDS,
        "availability",
        effect="the request goes on after the given time, so that its answer is late by it; a shorter read time-out fires",
        landing="number of calls held for the whole time",
        belief="Answers stay quick enough when the model is slow",
        source="provider latency at the 99th percentile is several times the median",
        magnitude=_DELAY,
        typical_share=0.3,
        strike_exchange=_delay,
    ),
    Fault(
        "llm.bad_body",
        "The answer is 200 and nonsense.",
        PROVIDER_KINDS,
        "wrong_answer",
        effect="200 with an HTML page, `null`, nothing, broken JSON or an error object; drawn for each logical call",
        landing="number of such bodies handed to the client, by variant",
        belief="What is no answer is not taken for one",
        source="seen: SDKs hand several of these to their caller without an error",
        typical_share=0.05,
        strike_exchange=_bad_body,
    ),
)
