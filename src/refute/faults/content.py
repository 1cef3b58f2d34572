"""Faults of what the model wrote, in whole answers and in streams: each a change of text, written once."""

from __future__ import annotations

import random
from dataclasses import replace

from refute.core.system import ComponentKind
from refute.faults._streams import field_strike, text_strike
from refute.faults._texts import FIRST_FIELD, Appended, Cut, Drifted, Fenced, Replaced, Strays, Unclosed, Verbose, renamed, retyped
from refute.faults.spec import Awaits, Fault, Magnitude
from refute.wire.codec import codec_of
from refute.wire.events import Answer, Edit, StreamEvent
from refute.wire.exchange import Call, Strike

_KINDS: frozenset[ComponentKind] = frozenset({"llm", "guardrail_model"})
_MOST_PIECES = 8
"""A streamed text is cut within one of its first so many pieces."""

_HAS_TEXT = Awaits(answer=lambda answer: bool(answer.text), event=lambda event: event.content and bool(event.text))
_REFUSAL = "I'm sorry, but I can't help with that."
_INVENTED = (
    "(Harrington & Okoye, 2021, “Operational Patterns in Applied Support Systems”, J. Appl. Serv. Res. 14(3), 211–229)",
    "(Source: Federal Office of Service Quality, Bulletin 2019/118, section 4.2)",
    "[17] M. Lindqvist, “A Survey of Response Reliability”, Proc. ICSRE 2020, pp. 88–97.",
)


def _truncated(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del magnitude
    pieces, share = rng.randint(1, _MOST_PIECES), rng.uniform(0.2, 0.7)
    return text_strike("truncated", call, lambda: Cut(pieces, share, "length"))


def _filtered(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del magnitude
    pieces, share = rng.randint(1, _MOST_PIECES), rng.uniform(0.0, 0.5)
    return text_strike("filtered", call, lambda: Cut(pieces, share, "filtered"))


def _empty(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del magnitude, rng
    return text_strike("no text", call, lambda: Replaced(""))


def _refusal(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del magnitude, rng
    return text_strike("refusal", call, lambda: Replaced(_REFUSAL))


def _invalid_json(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del magnitude
    name, make = rng.choice((("invalid JSON: words around it", Fenced), ("invalid JSON: bracket missing", Unclosed)))
    return text_strike(name, call, make)


def _schema_drift(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del magnitude
    name, change = rng.choice((("field renamed", renamed), ("type changed", retyped)))
    return text_strike(name, call, lambda: Drifted(change))


def _verbose(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del rng
    factor = _LENGTH.or_typical(magnitude)
    return text_strike("verbose", call, lambda: Verbose(factor))


def _wrong_language(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    share, seed = _STRAYS.or_typical(magnitude) / 100, rng.random()
    return text_strike("stray tokens", call, lambda: Strays(share, random.Random(seed)))


def _citation(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del magnitude
    said = rng.choice(_INVENTED)
    return text_strike("invented citation", call, lambda: Appended(f" {said}"))


def _degraded(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    """Ask a weaker model, or the same one without its instructions; where the answer names a model, it is the one asked for."""
    del magnitude, rng
    codec = codec_of(call)
    if weaker := call.stand_in or codec.weaker_than(call.model):
        told = field_strike("weaker model", call, Edit(model=call.model))
        return replace(told, request=codec.for_model(call.request, weaker))
    return Strike("instructions lost", request=codec.uninstructed(call.request))


def _can_degrade(call: Call) -> bool:
    codec = codec_of(call)
    return call.operation in {"chat", "responses"} and bool(
        call.stand_in or codec.weaker_than(call.model) or codec.uninstructed(call.request)
    )


def _begins_json(text: str) -> bool:
    return text.lstrip()[:1] in {"{", "["}


def _has_json(answer: Answer) -> bool:
    return _begins_json(answer.text)


def _json_begins(event: StreamEvent) -> bool:
    return event.content and _begins_json(event.text)


def _has_field(answer: Answer) -> bool:
    return FIRST_FIELD.match(answer.text) is not None


_LENGTH = Magnitude("1", 2.0, 50.0, 5.0, "factor on the length of the answer", log=True)
_STRAYS = Magnitude("%", 1.0, 50.0, 10.0, "share of the words followed by a stray one")

_LANDING = "number of answers that reached the client so"

FAULTS: tuple[Fault, ...] = (
    Fault(
        "content.empty",
        "The answer has no text.",
        _KINDS,
        "wrong_answer",
        effect="the text is empty and the finish reason as it was; usage and everything else stay",
        landing=_LANDING,
        belief="An empty answer is noticed and asked for again, not shown",
        source="issue trackers: empty completions with finish reason `stop`",
        typical_share=0.02,
        strike_exchange=_empty,
        awaits=_HAS_TEXT,
    ),
    Fault(
        "content.truncated",
        "The answer stops at the token limit.",
        _KINDS,
        "wrong_answer",
        effect="the text is cut and the finish reason is `length` (`max_tokens`, `MAX_TOKENS`, `incomplete`), whole or streamed; "
        "content after the cut is dropped",
        landing=_LANDING,
        belief="A cut answer is continued, or recognised by its finish reason",
        source="provider documentation; output limits and long reasoning",
        typical_share=0.05,
        strike_exchange=_truncated,
        awaits=_HAS_TEXT,
    ),
    Fault(
        "content.filtered",
        "A filter of the provider ends the answer.",
        _KINDS,
        "wrong_answer",
        effect="the text is cut and the finish reason is `content_filter`, `refusal` or `SAFETY`; content after the cut is dropped "
        "(Ollama knows no such reason: there it is `stop`)",
        landing=_LANDING,
        belief="A filtered answer is recognised by its finish reason, and users get a fitting word",
        source="provider documentation: content filters act in mid-stream",
        typical_share=0.02,
        strike_exchange=_filtered,
        awaits=_HAS_TEXT,
    ),
    Fault(
        "content.refusal",
        "The model refuses a harmless request.",
        _KINDS,
        "wrong_answer",
        effect=f'the text is replaced by "{_REFUSAL}"; the finish reason stays',
        landing=_LANDING,
        belief="A refusal is not taken for an answer",
        source="over-refusal: XSTest, Röttger et al. 2024 (arXiv:2308.01263)",
        typical_share=0.02,
        strike_exchange=_refusal,
        awaits=_HAS_TEXT,
    ),
    Fault(
        "content.invalid_json",
        "The model was to answer in JSON, and what it says is none.",
        _KINDS,
        "wrong_answer",
        effect="an answer that begins as JSON gets words and a Markdown fence around it, or loses its last bracket; drawn for each call",
        landing=_LANDING,
        belief="JSON is checked before it is used, and asked for again where it is none",
        source="issue trackers of every structured-output library",
        typical_share=0.05,
        strike_exchange=_invalid_json,
        awaits=Awaits(answer=_has_json, event=_json_begins),
    ),
    Fault(
        "content.schema_drift",
        "The JSON is valid, but not as agreed.",
        _KINDS,
        "wrong_answer",
        effect="the first field of a JSON answer gets another name (`order_id` to `orderId`), or its value another type; drawn for "
        "each call",
        landing=_LANDING,
        belief="A field with another name or type is noticed",
        source="prompts and models that change; structured outputs without `strict`",
        typical_share=0.05,
        strike_exchange=_schema_drift,
        awaits=Awaits(answer=_has_field, event=_json_begins),
    ),
    Fault(
        "content.verbose",
        "The answer is many times as long.",
        _KINDS,
        "wrong_answer",
        effect="after its end the text says itself again, as often as the magnitude says; usage stays as it was",
        landing=_LANDING,
        belief="An answer that runs on is cut or summarised, and the page holds it",
        source="new model versions that talk more",
        typical_share=0.1,
        strike_exchange=_verbose,
        awaits=_HAS_TEXT,
        magnitude=_LENGTH,
    ),
    Fault(
        "content.wrong_language",
        "Words of other languages stand among the words.",
        _KINDS,
        "wrong_answer",
        effect="words in Thai, Chinese, Japanese or Russian after some of the spaces, the first among them",
        landing=_LANDING,
        belief="Garbled answers are noticed before users do",
        source="Anthropic's postmortem of September 2025: Thai and Chinese characters in English answers",
        typical_share=0.01,
        strike_exchange=_wrong_language,
        awaits=_HAS_TEXT,
        magnitude=_STRAYS,
    ),
    Fault(
        "content.degraded",
        "The answers are worse, in silence.",
        _KINDS,
        "wrong_answer",
        effect="the request goes to the component's `stand_in`, or to a weaker model of the same maker, which really answers, and the "
        "answer bears the name of the one that was asked for; "
        "where none is known, the request goes on without the instructions (the system prompt) of the application",
        landing="number of requests sent on so",
        belief="Worse answers for some users are noticed within a day",
        source="Anthropic's postmortem of September 2025: sticky misrouting of 0.8 to 16 % of requests",
        typical_share=0.1,
        strike_exchange=_degraded,
        typical_draw="user",
        matches_exchange=_can_degrade,
    ),
    Fault(
        "content.hallucinated_citation",
        "The answer cites a source that does not exist.",
        _KINDS,
        "wrong_answer",
        effect="an invented reference follows the text",
        landing=_LANDING,
        belief="Citations are checked against what was retrieved",
        source="courts have sanctioned filings with invented cases since Mata v. Avianca, 2023",
        typical_share=0.1,
        strike_exchange=_citation,
        awaits=_HAS_TEXT,
    ),
)
