"""Faults of a model provider's API: an exchange that goes wrong before a good answer begins, or an answer that lies about itself."""

from __future__ import annotations

import random
import time

from refute.core.system import ComponentKind, Hazard
from refute.faults._streams import field_strike
from refute.faults.spec import Awaits, Fault, Magnitude
from refute.wire.codec import codec_of
from refute.wire.events import Answer, Edit, ErrorDetail, ErrorKind
from refute.wire.exchange import Call, Failure, Reply, Step, Strike

PROVIDER_KINDS: frozenset[ComponentKind] = frozenset({"llm", "embedder", "guardrail_model", "model_server"})
_MODEL_KINDS: frozenset[ComponentKind] = frozenset({"llm", "embedder", "guardrail_model"})

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
    ("wrong types", "application/json", b'{"choices":{},"content":"ok","output":"ok","candidates":"ok","message":7,"data":{},"usage":[]}'),
)
_OTHER_MODELS = {
    "openai.chat": "gpt-4o-mini-2024-07-18",
    "openai.responses": "gpt-4o-mini-2024-07-18",
    "openai.embeddings": "text-embedding-ada-002-v2",
    "anthropic.messages": "claude-3-haiku-20240307",
    "gemini": "gemini-2.0-flash-lite",
    "ollama": "llama3.2:1b",
}
_USAGES = frozenset({"usage", "usageMetadata", "eval_count", "prompt_eval_count"})


def request_id(rng: random.Random) -> str:
    """Return a made-up request id of the providers' shape."""
    return f"req_{rng.getrandbits(96):024x}"


def detail_of(kind: ErrorKind, rng: random.Random, retry_after_s: float | None = None) -> ErrorDetail:
    """Return an error to be said now."""
    return ErrorDetail(kind, request_id(rng), retry_after_s, time.time())


def _rate_limit(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    detail = detail_of("rate_limit", rng, _RETRY_AFTER.or_typical(magnitude))
    return Strike("status 429", instead=codec_of(call).error(detail))


def _long_retry_after(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    detail = detail_of("rate_limit", rng, _LONG_WAIT.or_typical(magnitude))
    return Strike("long retry-after", instead=codec_of(call).error(detail))


def _server_error(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del magnitude
    status, phrase = rng.choice(((500, ""), (502, "Bad Gateway"), (503, ""), (504, "Gateway Time-out")))
    if phrase:
        page = _GATEWAY_PAGE.format(status=status, phrase=phrase).encode()
        return Strike(f"status {status}", instead=_reply(status, "text/html", page))
    reply = codec_of(call).error(detail_of("server_error" if status == 500 else "overloaded", rng))
    return Strike(f"status {reply.status}", instead=reply)


def _bad_body(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del call, magnitude
    name, kind, body = rng.choice(_GOOD_LOOKING)
    return Strike(f"bad body: {name}", instead=_reply(200, kind, body))


def _bad_encoding(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del magnitude, rng
    kind = "text/event-stream" if call.stream else "application/json"
    reply = _reply(200, kind, b'{"note":"this body says that it is gzip, and is not"}')
    return Strike("bad encoding", instead=Reply(200, (*reply.headers, ("content-encoding", "gzip")), reply.body))


def _timeout(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del call, rng
    return Strike("no first byte", hold_s=_SILENCE.or_typical(magnitude))


def _delay(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del call, rng
    return Strike("delay", hold_s=_DELAY.or_typical(magnitude))


def _reset(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del call, magnitude, rng
    return Strike("connection reset", instead=Failure.RESET)


class _ShortBody:
    """Passes the first half of the first bytes of a body, and then the connection is closed."""

    struck = done = False

    def feed(self, chunk: bytes) -> list[Step]:
        """See `StreamRewriter.feed`."""
        self.struck = self.done = True
        return [chunk[: len(chunk) // 2], Failure.CLOSED]

    def finish(self) -> list[Step]:
        """See `StreamRewriter.finish`."""
        return []

    def release(self) -> bytes:
        """See `StreamRewriter.release`."""
        return b""


def _short_body(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del call, magnitude, rng
    return Strike("short body", rewrite_stream=_ShortBody)


def _wrong_model(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del magnitude, rng
    other = codec_of(call).weaker_than(call.model) or _OTHER_MODELS.get(call.protocol, "gpt-3.5-turbo-0125")
    return field_strike("another model's name", call, Edit(model=other))


def _missing_usage(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del magnitude, rng
    return field_strike("no usage", call, Edit(usage=0))


def _token_spike(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del rng
    return field_strike("usage multiplied", call, Edit(usage=_SPIKE.or_typical(magnitude)))


def _names_model(answer: Answer) -> bool:
    return bool(answer.data.get("model") or answer.data.get("modelVersion"))


def _counts_tokens(answer: Answer) -> bool:
    return not _USAGES.isdisjoint(answer.data)


def _whole(call: Call) -> bool:
    return not call.stream


def _reply(status: int, kind: str, body: bytes) -> Reply:
    return Reply(status, (("content-type", kind), ("content-length", str(len(body)))), body)


def provider_error(name: str, kind: ErrorKind, summary: str, hazard: Hazard = "availability", **about: object) -> Fault:
    """Return the fault that a provider answers with an error of one kind.

    Args:
        name: of the fault.
        kind: of the error.
        summary: one sentence.
        hazard: the worst that it can do.
        **about: further fields of `Fault`, which replace what most such faults have in common.
    """

    def strike(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
        del magnitude
        reply = codec_of(call).error(detail_of(kind, rng))
        return Strike(f"status {reply.status}", instead=reply)

    common = {"kinds": PROVIDER_KINDS, "landing": "number of such replies handed to the client, by status", "strike_exchange": strike}
    return Fault(name, summary, hazard=hazard, **(common | about))  # type: ignore[arg-type]  # fields of Fault, by name


_RETRY_AFTER = Magnitude("s", 0.0, 120.0, 1.0, "how long the provider asks to wait (retry-after)")
_LONG_WAIT = Magnitude("s", 30.0, 86_400.0, 150.0, "how long the provider asks to wait (retry-after)", log=True)
_SILENCE = Magnitude("s", 0.1, 600.0, 60.0, "silence before the first byte", log=True)
_DELAY = Magnitude("s", 0.01, 60.0, 2.0, "how late the answer is", log=True)
_SPIKE = Magnitude("1", 2.0, 1000.0, 10.0, "factor on all token counts", log=True)

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
    provider_error(
        "llm.quota",
        "quota",
        "The account has used up its quota or its credit.",
        effect="429 `insufficient_quota`, 402 `billing_error` or 429 RESOURCE_EXHAUSTED in the provider's own body; no wait is named, as "
        "no wait helps",
        belief="An empty account is noticed and told, not retried",
        source="provider documentation; seen: clients waste their retries on it",
        typical_draw="conversation",
    ),
    Fault(
        "llm.long_retry_after",
        "The provider asks to wait for minutes, or until tomorrow.",
        PROVIDER_KINDS,
        "availability",
        effect="429 with the provider's own body, as `llm.rate_limit`, and a retry-after that no user would wait for",
        landing="number of such replies handed to the client",
        belief="A long retry-after is answered with something else than waiting",
        source="seen: one SDK gives up, another sleeps on for the whole time",
        magnitude=_LONG_WAIT,
        typical_share=0.05,
        strike_exchange=_long_retry_after,
    ),
    provider_error(
        "llm.overloaded",
        "overloaded",
        "The provider has no capacity left.",
        effect="529 `overloaded_error`, 503 `server_is_overloaded` or 503 UNAVAILABLE in the provider's own body",
        belief="When the provider is overloaded, something else answers, or says so at once",
        source="provider documentation and status pages",
        typical_share=0.1,
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
    provider_error(
        "llm.too_large",
        "too_large",
        "The request is too large for the provider's front door.",
        effect="413 in the provider's own body; the request never reaches the model",
        belief="A request that is too large is made smaller, not repeated",
        source="provider documentation: `request_too_large`",
        typical_share=0.05,
    ),
    provider_error(
        "llm.context_length",
        "context_length",
        "The prompt is longer than the model can read.",
        effect="400 in the provider's own body and words (`context_length_exceeded`, `prompt is too long`)",
        belief="A conversation that has grown too long is shortened and goes on",
        source="provider documentation; long conversations and large tool results",
        typical_share=0.05,
    ),
    provider_error(
        "llm.auth",
        "auth",
        "The key is not valid any more.",
        effect="401, or 400 `API_KEY_INVALID` of Gemini, in the provider's own body",
        belief="A key that expires is noticed at once and nothing else breaks",
        source="key rotation and expiry; provider documentation",
        typical_draw="conversation",
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
        "llm.reset",
        "The connection is reset before an answer.",
        PROVIDER_KINDS,
        "availability",
        effect="the transport's own error for a reset connection; the request never reaches the provider",
        landing="number of resets handed to the client",
        belief="A lost connection is tried again, once and not for ever",
        source="load balancers that drain, idle connections that were closed",
        typical_share=0.1,
        strike_exchange=_reset,
    ),
    Fault(
        "llm.short_body",
        "The answer is shorter than it said it would be.",
        PROVIDER_KINDS,
        "availability",
        effect="headers and the first half of the body as they came, then the connection is closed: the transport's own error for a body "
        "that breaks off; answers that are not streamed (for those see `stream.reset`)",
        landing="number of bodies cut off under their reader",
        belief="An answer that breaks off is asked for again",
        source="proxies that time out in the middle of a body",
        typical_share=0.05,
        strike_exchange=_short_body,
        matches_exchange=_whole,
    ),
    Fault(
        "llm.bad_encoding",
        "The answer says that it is compressed, and is not.",
        PROVIDER_KINDS,
        "availability",
        effect="200 with `content-encoding: gzip` and a body that is no gzip; the transport's own decoding error",
        landing="number of such bodies handed to the client",
        belief="A body that cannot be decoded counts as a failed call",
        source="proxies that strip or double the compression",
        typical_share=0.02,
        strike_exchange=_bad_encoding,
    ),
    Fault(
        "llm.bad_body",
        "The answer is 200 and nonsense.",
        PROVIDER_KINDS,
        "wrong_answer",
        effect="200 with an HTML page, `null`, nothing, broken JSON, an error object or values of the wrong types; drawn for each "
        "logical call",
        landing="number of such bodies handed to the client, by variant",
        belief="What is no answer is not taken for one",
        source="seen: SDKs hand several of these to their caller without an error",
        typical_share=0.05,
        strike_exchange=_bad_body,
    ),
    Fault(
        "llm.wrong_model",
        "The answer says that another model gave it.",
        _MODEL_KINDS,
        "wrong_answer",
        effect="the model's name in the answer, or in each event that states it, is that of a weaker model of the same maker; nothing else "
        "changes (see `content.degraded` for an answer that is really worse)",
        landing="number of answers that reached the client under another name",
        belief="An answer of another model than the one asked for is noticed",
        source="silent aliases, fallbacks and misrouting; accepted in silence by every SDK tried",
        typical_share=0.1,
        typical_draw="user",
        strike_exchange=_wrong_model,
        awaits=Awaits(answer=_names_model, event=lambda event: bool(event.model)),
    ),
    Fault(
        "llm.missing_usage",
        "The answer does not say how many tokens it took.",
        _MODEL_KINDS,
        "wrong_answer",
        effect="the usage is taken out of the answer, or out of each event that states it",
        landing="number of answers that reached the client without usage",
        belief="Cost control does not go blind when usage is missing",
        source="compatible servers and gateways that send none, streams without `include_usage`",
        typical_share=0.2,
        strike_exchange=_missing_usage,
        awaits=Awaits(answer=_counts_tokens, event=lambda event: event.usage),
    ),
    Fault(
        "llm.token_spike",
        "The answer says that it took many times the tokens.",
        _MODEL_KINDS,
        "wrong_answer",
        effect="all token counts of the usage are multiplied; the text stays",
        landing="number of answers that reached the client with such counts",
        belief="A jump in token use is noticed before the bill is",
        source="reasoning tokens, retries hidden in gateways, loops of agents",
        magnitude=_SPIKE,
        typical_share=0.1,
        strike_exchange=_token_spike,
        awaits=Awaits(answer=_counts_tokens, event=lambda event: event.usage),
    ),
)
