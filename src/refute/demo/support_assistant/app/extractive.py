"""extractive-1: a small deterministic model without weights, and extractive-0, a weaker one.

It is no language model. It decides from the conversation which tools to call, and words its answer by picking the
sentences and fields of the tools' results that share most words with the question.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from dataclasses import dataclass

ORDER_ID = re.compile(r"\bFH-\d{5}\b", re.IGNORECASE)
REFUND_WISH = re.compile(r"\b(refund|money back)\b", re.IGNORECASE)
ASKS_ABOUT = re.compile(r"\b(when|how|which|where)\b", re.IGNORECASE)
ASKS_FOR_FIGURE = re.compile(r"\b(when|until|how (long|much|many|quickly|soon|often|hot))\b", re.IGNORECASE)

SENTENCES = 3
FIELDS = 3


def _stem(word: str) -> str:
    if word.endswith("ies"):
        return word[:-3] + "y"
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word.removesuffix(ending)
    return word.removesuffix("e") if len(word) > 4 else word


STOP_WORDS = set(
    """
    a about after all also am an and any are as at be because been but by can could did do does for from get had has have hello hi
    how i if in is it its just me my need not of on or our please so some than thank thanks that the their them then there this to
    too until up want was we what when where which who why will with would you your
    """.split()
)

# Words of customers, and the words that our records and articles use for the same thing.
SAME_MEANING = {
    _stem(word): others.split()
    for word, others in {
        "arrive": "deliver delivery expected",
        "bought": "items placed buy",
        "broken": "faulty damage damaged",
        "charge": "costs eur",
        "cost": "costs eur total",
        "come": "expected delivery delivered",
        "courier": "carrier",
        "expensive": "costs eur",
        "far": "status",
        "fee": "costs eur",
        "follow": "tracking",
        "interest": "percent year",
        "here": "expected delivery delivered",
        "inside": "items",
        "money": "refund",
        "paid": "payment total",
        "pay": "payment accept",
        "phone": "call",
        "price": "costs eur total",
        "send": "sent",
        "where": "status carrier tracking",
        "worn": "wear",
    }.items()
}

# Words that ask for nothing more than the order's record.
RECORD_STEMS = {
    _stem(word)
    for word in """
    address amount arrive back bring carrier city come content cost courier currently date day deliver delivered delivery due eur
    expect expected far find go going here inside item know latest like look method money much news number order ordered out
    package packed paid parcel pay payment placed price progress refund say send sent ship shipment shipped show status still tell
    total track tracking update way whether which yet
    """.split()
}


@dataclass(frozen=True)
class Call:
    tool: str
    arguments: dict


@dataclass(frozen=True)
class Turn:
    """What has happened since the customer's last message."""

    question: str
    results: list[tuple[str, dict]]  # the tool's name, what it returned

    @property
    def called(self) -> set[str]:
        return {tool for tool, _ in self.results}

    @property
    def order_id(self) -> str | None:
        found = ORDER_ID.search(self.question)
        return found.group().upper() if found else None

    @property
    def wants_refund(self) -> bool:
        return bool(REFUND_WISH.search(self.question)) and not ASKS_ABOUT.search(self.question)

    def result(self, tool: str) -> dict | None:
        return next((result for name, result in self.results if name == tool), None)


def read(messages: list[dict]) -> Turn:
    """The last turn of a conversation in the form of the chat completions API."""
    start = max((i for i, message in enumerate(messages) if message["role"] == "user"), default=0)
    names: dict[str, str] = {}
    results = []
    for message in messages[start:]:
        for call in message.get("tool_calls") or []:
            names[call["id"]] = call["function"]["name"]
        if message["role"] == "tool":
            results.append((names.get(message["tool_call_id"], ""), _parsed(text_of(message))))
    return Turn(text_of(messages[start]), results)


def text_of(message: dict) -> str:
    """A message's text, whether it came as a string or in parts."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content)


def _parsed(content: str) -> dict:
    try:
        value = json.loads(content)
    except json.JSONDecodeError:
        value = content
    return value if isinstance(value, dict) else {"results": [{"id": "", "title": "", "text": str(value)}]}


def decide(turn: Turn, offered: set[str]) -> list[Call]:
    """The tools to call next; none when it is time to answer."""
    calls = []
    if turn.order_id and not turn.results:
        calls.append(Call("lookup_order", {"order_id": turn.order_id}))
    if not turn.results and _needs_articles(turn):
        calls.append(Call("search_help", {"query": ORDER_ID.sub("", turn.question).strip()}))
    order = turn.result("lookup_order")
    if turn.wants_refund and order and order.get("status") == "delivered" and "create_refund" not in turn.called:
        arguments = {"order_id": order.get("order_id"), "amount": order.get("total_eur"), "reason": turn.question}
        calls.append(Call("create_refund", arguments))
    return [call for call in calls if call.tool in offered]


def _needs_articles(turn: Turn) -> bool:
    topic = [word for word in _words(turn.question) if word not in STOP_WORDS]
    if turn.order_id is None:
        return bool(topic)
    beyond = [word for word in topic if _stem(word) not in RECORD_STEMS]
    return not turn.wants_refund and bool(beyond)


def compose(turn: Turn) -> str:
    """The answer, from what the tools returned."""
    if not turn.results:
        return "Hello! What can I help you with?"
    return " ".join(filter(None, (_report(tool, result, turn) for tool, result in turn.results)))


def compose_carelessly(turn: Turn) -> str:
    """The answer of a smaller model: it reads the first result, and of that the beginning."""
    if not turn.results:
        return "Hello! What can I help you with?"
    _, result = turn.results[0]
    if "results" in result:
        return " ".join(f"{_sentences(article['text'])[0]} [{article['id']}]" for article in result["results"][:1] if article.get("text"))
    return f"Order {result.get('order_id')}: status {result.get('status')}."


def _report(tool: str, result: dict, turn: Turn) -> str:
    if "error" in result:
        return f"Sorry, this did not work: {tool.replace('_', ' ')}."
    if "results" in result:
        return _quote(result["results"] or [], turn.question)
    if tool == "lookup_order" and turn.wants_refund:
        if turn.called >= {"create_refund"}:
            return ""
        return f"I have not refunded it. Order {result.get('order_id')}: status {result.get('status')}."
    if tool == "create_refund":
        return f"Order {result.get('order_id')}: {_fields(result, turn.question, everything=True)}."
    return f"Order {result.get('order_id')}: {_fields(result, turn.question)}."


def _fields(record: dict, question: str, *, everything: bool = False) -> str:
    """The status and the fields that the question asks for."""
    wanted = _stems(question, expand=True)
    names = [name for name in record if name not in ("order_id", "refund_id")]
    hits = {name: len(wanted & _stems(name.replace("_", " "))) for name in names}
    asked = sorted((name for name in names if hits[name]), key=lambda name: -hits[name])[:FIELDS]
    chosen = names if everything or not asked else [name for name in names if name in asked or name == "status"]
    return ", ".join(_field(name, record[name]) for name in chosen)


def _field(name: str, value: object) -> str:
    if name.endswith("_eur"):
        return f"{name.removesuffix('_eur')} {value:.2f} EUR" if isinstance(value, float) else f"{name.removesuffix('_eur')} {value} EUR"
    return f"{name.replace('_', ' ')} {value}"


def _quote(articles: list[dict], question: str) -> str:
    """The sentences that fit the question best, each with the article that it stands in."""
    sentences = [
        (rank, place, article.get("id", ""), sentence, _stems(sentence), _stems(article.get("title", "")))
        for rank, article in enumerate(articles)
        for place, sentence in enumerate(_sentences(article.get("text", "")))
    ]
    if not sentences:
        return "I could not find anything about this in our help centre."
    seen_in = Counter(stem for *_, stems, _ in sentences for stem in stems)
    weight = {stem: math.log(1 + len(sentences) / count) for stem, count in seen_in.items()}
    wanted = _stems(question, expand=True)
    wants_figure = bool(ASKS_FOR_FIGURE.search(question))

    def score(candidate: tuple) -> float:
        rank, _, _, sentence, stems, title = candidate
        shared = sum(weight[stem] for stem in wanted & stems)
        topic = sum(weight.get(stem, 1.0) for stem in wanted & title)
        figure = 1.0 if wants_figure and re.search(r"\d", sentence) else 0.0
        return shared + 0.7 * topic + figure - 1.2 * rank

    best = sorted(sentences, key=score, reverse=True)[:SENTENCES]
    best.sort(key=lambda candidate: candidate[:2])
    return " ".join(f"{sentence} [{article}]" for _, _, article, sentence, _, _ in best)


def _sentences(text: str) -> list[str]:
    return re.split(r"(?<=[.!?])\s+(?=[A-Z])", text) if text else []


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", ORDER_ID.sub(" ", text).lower())


def _stems(text: str, *, expand: bool = False) -> set[str]:
    words = _words(text)
    if expand:
        words += [other for word in words for other in SAME_MEANING.get(_stem(word), [])]
    return {_stem(word) for word in words if word not in STOP_WORDS}
