"""Faults of what the model wrote, in whole answers and in streams: each a change of text, written once."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import replace

from refute.core.system import ComponentKind
from refute.faults._streams import TextChange, field_strike, text_strike
from refute.faults.spec import Awaits, Fault, Magnitude
from refute.wire.codec import codec_of
from refute.wire.events import Answer, Edit, Finish, StreamEvent
from refute.wire.exchange import Call, Strike

_KINDS: frozenset[ComponentKind] = frozenset({"llm", "guardrail_model"})
_MOST_PIECES = 8
"""A streamed text is cut within one of its first so many pieces."""

_HAS_TEXT = Awaits(answer=lambda answer: bool(answer.text), event=lambda event: event.content and bool(event.text))
_STRING = r'"((?:[^"\\]|\\.)*)"'
_FIRST_FIELD = re.compile(rf"^\s*\[?\s*\{{\s*{_STRING}\s*:\s*({_STRING}|-?[\d.eE+-]+|true|false|null|[\[{{])")
_LONGEST_HEAD = 400
"""Characters within which a JSON text must have shown its first field."""

_REFUSAL = "I'm sorry, but I can't help with that."
_STRAY = ("สวัสดี", "的时候", "конечно", "ขอบคุณ", "こちら")
_INVENTED = (
    "(Harrington & Okoye, 2021, “Operational Patterns in Applied Support Systems”, J. Appl. Serv. Res. 14(3), 211–229)",
    "(Source: Federal Office of Service Quality, Bulletin 2019/118, section 4.2)",
    "[17] M. Lindqvist, “A Survey of Response Reliability”, Proc. ICSRE 2020, pp. 88–97.",
)


class _Cut(TextChange):
    """Cuts the text, and lets nothing pass that the model wrote after it.

    Args:
        pieces: pieces of a stream to pass whole.
        share: of a whole text that stays.
        finish: reason to give.
    """

    def __init__(self, pieces: int, share: float, finish: Finish) -> None:
        self._left = pieces
        self._share = share
        self.finish = finish

    def feed(self, piece: str) -> str:
        if self._left > 0:
            self._left -= 1
            return piece
        self.over = True
        return piece[: len(piece) // 2]

    def whole(self, text: str) -> str:
        self.over = True
        return text[: int(len(text) * self._share)]


class _Replaced(TextChange):
    """Says something else.

    Args:
        text: what.
    """

    def __init__(self, text: str) -> None:
        self._text = text

    def feed(self, piece: str) -> str:
        del piece
        text, self._text = self._text, ""
        return text


class _Appended(TextChange):
    """Says something more at the end.

    Args:
        pieces: what.
    """

    def __init__(self, *pieces: str) -> None:
        self._pieces = list(pieces)

    def end(self) -> list[str]:
        return self._pieces


class _Verbose(TextChange):
    """Says everything several times over.

    Args:
        factor: how many times as long it gets.
    """

    def __init__(self, factor: float) -> None:
        self._times = max(1, round(factor) - 1)
        self._said = ""

    def feed(self, piece: str) -> str:
        self._said += piece
        return piece

    def end(self) -> list[str]:
        return [f"\n\nTo put it in other words: {self._said}"] * self._times


class _Fenced(TextChange):
    """Wraps JSON in words and a fence of Markdown."""

    def __init__(self) -> None:
        self._begun = False

    def feed(self, piece: str) -> str:
        head, self._begun = "" if self._begun else "Here is the JSON you asked for:\n\n```json\n", True
        return head + piece

    def end(self) -> list[str]:
        return ["\n```"]


class _Unclosed(TextChange):
    """Loses the last bracket."""

    def __init__(self) -> None:
        self._kept = ""

    def feed(self, piece: str) -> str:
        text = self._kept + piece
        end = max(text.rfind("}"), text.rfind("]"))
        said, self._kept = (text, "") if end < 0 else (text[:end], text[end:])
        return said

    def end(self) -> list[str]:
        rest, self._kept = self._kept[1:], ""
        return [rest] if rest else []

    def held(self) -> str:
        return self._kept


class _Drifted(TextChange):
    """Changes the first field of a JSON object: its name, or the type of its value.

    Args:
        change: takes name and value as written, and returns them changed.
    """

    def __init__(self, change: Callable[[str, str], tuple[str, str]]) -> None:
        self._change = change
        self._kept = ""
        self._done = False

    def feed(self, piece: str) -> str:
        if self._done:
            return piece
        text = self._kept + piece
        found = _FIRST_FIELD.match(text)
        if (found is None or found.end() == len(text)) and len(text) < _LONGEST_HEAD:
            self._kept = text
            return ""
        if found is None:
            self._kept, self._done = "", True
            return text
        self._kept, self._done = "", True
        name, value = self._change(found[1], found[2])
        between = text[found.end(1) : found.start(2)]
        return f"{text[: found.start(1)]}{name}{between}{value}{text[found.end(2) :]}"

    def end(self) -> list[str]:
        rest, self._kept = self._kept, ""
        return [rest] if rest else []

    def held(self) -> str:
        return self._kept


class _Strays(TextChange):
    """Puts words of other languages between the words.

    Args:
        share: of the spaces that get one, in (0, 1]; the first does.
        rng: draws which.
    """

    def __init__(self, share: float, rng: random.Random) -> None:
        self._share = share
        self._rng = rng
        self._begun = False

    def feed(self, piece: str) -> str:
        return re.sub(r"\s+", self._strayed, piece)

    def _strayed(self, space: re.Match[str]) -> str:
        if self._begun and self._rng.random() >= self._share:
            return space[0]
        self._begun = True
        return f" {self._rng.choice(_STRAY)}{space[0]}"


def _renamed(name: str, value: str) -> tuple[str, str]:
    head, *rest = name.split("_")
    return (head + "".join(part.title() for part in rest) if rest else f"{name}Value"), value


def _retyped(name: str, value: str) -> tuple[str, str]:
    """Turn text into a list of it, and anything else plain into text; of lists and objects, rename the field."""
    if value in {"[", "{"}:
        return _renamed(name, value)
    return name, f"[{value}]" if value.startswith('"') else f'"{value}"'


def _truncated(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del magnitude
    pieces, share = rng.randint(1, _MOST_PIECES), rng.uniform(0.2, 0.7)
    return text_strike("truncated", call, lambda: _Cut(pieces, share, "length"))


def _filtered(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del magnitude
    pieces, share = rng.randint(1, _MOST_PIECES), rng.uniform(0.0, 0.5)
    return text_strike("filtered", call, lambda: _Cut(pieces, share, "filtered"))


def _empty(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del magnitude, rng
    return text_strike("no text", call, lambda: _Replaced(""))


def _refusal(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del magnitude, rng
    return text_strike("refusal", call, lambda: _Replaced(_REFUSAL))


def _invalid_json(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del magnitude
    name, make = rng.choice((("invalid JSON: words around it", _Fenced), ("invalid JSON: bracket missing", _Unclosed)))
    return text_strike(name, call, make)


def _schema_drift(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del magnitude
    name, change = rng.choice((("field renamed", _renamed), ("type changed", _retyped)))
    return text_strike(name, call, lambda: _Drifted(change))


def _verbose(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del rng
    factor = _LENGTH.or_typical(magnitude)
    return text_strike("verbose", call, lambda: _Verbose(factor))


def _wrong_language(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    share, seed = _STRAYS.or_typical(magnitude) / 100, rng.random()
    return text_strike("stray tokens", call, lambda: _Strays(share, random.Random(seed)))


def _citation(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    del magnitude
    said = rng.choice(_INVENTED)
    return text_strike("invented citation", call, lambda: _Appended(f" {said}"))


def _degraded(call: Call, magnitude: float | None, rng: random.Random) -> Strike:
    """Ask a weaker model, or the same one without its instructions; where the answer names a model, it is the one asked for."""
    del magnitude, rng
    codec = codec_of(call)
    if weaker := codec.weaker_than(call.model):
        told = field_strike("weaker model", call, Edit(model=call.model))
        return replace(told, request=codec.for_model(call.request, weaker))
    return Strike("instructions lost", request=codec.uninstructed(call.request))


def _can_degrade(call: Call) -> bool:
    codec = codec_of(call)
    return call.operation in {"chat", "responses"} and bool(codec.weaker_than(call.model) or codec.uninstructed(call.request))


def _begins_json(text: str) -> bool:
    return text.lstrip()[:1] in {"{", "["}


def _has_json(answer: Answer) -> bool:
    return _begins_json(answer.text)


def _json_begins(event: StreamEvent) -> bool:
    return event.content and _begins_json(event.text)


def _has_field(answer: Answer) -> bool:
    return _FIRST_FIELD.match(answer.text) is not None


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
        effect="the request goes to a weaker model of the same maker, and the answer bears the name of the one that was asked for; "
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
