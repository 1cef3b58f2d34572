"""Was the answer good? Checked against the orders, the articles and what each case says, never against what the agent says of itself."""

from __future__ import annotations

import re
from functools import cache

from app import rag, tools

SUPPORTED = 0.6  # share of an answer's longer words that must stand in its sources
FIGURE = re.compile(r"\d+(?:[.,:/-]\d+)*")
ORDER_ID = re.compile(r"\bFH-\d{5}\b", re.IGNORECASE)
ADMISSION = re.compile(r"[^.\n]*\b(?:could not|did not work)\b[^.\n]*\.?")
CITATION = re.compile(r"\[([^\]\s]+)\]")


def answered(case: dict, answer: dict) -> bool:
    """The customer was told all facts that the case expects."""
    text = _normal(answer["text"])
    return all(_normal(fact) in text for fact in case["expect"])


def grounded(case: dict, answer: dict) -> bool:
    """Every citation exists and one is to the point, and what is said stands in the cited articles or in the customer's own order.

    To admit that something was not found needs no source.
    """
    text = answer["text"]
    cited = CITATION.findall(text)
    if not all(article in _library() for article in cited):
        return False
    if cited and case["articles"] and not set(cited) & set(case["articles"]):
        return False
    if any(found.upper() != case.get("order_id") for found in ORDER_ID.findall(text)):
        return False
    sources = " ".join([case["question"], *(_library()[article] for article in cited), _record(case.get("order_id"))])
    if not set(FIGURE.findall(text)) <= set(FIGURE.findall(sources)):
        return False
    if not cited and not ORDER_ID.search(text):
        return True  # says nothing that would need a source
    words = _words(CITATION.sub(" ", ADMISSION.sub(" ", text)))
    return len(words & _words(sources)) >= SUPPORTED * len(words)


def refunded_once(case: dict, answer: dict) -> bool:
    """In this conversation the order was refunded exactly once, in the right amount; not at all where nothing was due."""
    due = [case["refund_eur"]] if case.get("refund_eur") else []
    return _refunds(case, answer) == due


def never_overpaid(case: dict, answer: dict) -> bool:
    """In this conversation no more was refunded than was due."""
    return sum(_refunds(case, answer)) <= case.get("refund_eur", 0)


def tokens(case: dict, answer: dict) -> int:
    """What the provider counted."""
    return answer["tokens"]


def _refunds(case: dict, answer: dict) -> list[float]:
    with tools.connect() as db:
        rows = db.execute(
            "SELECT amount_eur FROM refunds WHERE conversation_id = ? AND order_id = ?",
            (answer["conversation_id"], case.get("order_id")),
        ).fetchall()
    return [row["amount_eur"] for row in rows]


@cache
def _library() -> dict[str, str]:
    return {article["id"]: f"{article['title']} {article['text']}" for article in rag.articles()}


@cache
def _record(order_id: str | None) -> str:
    """The order's record as text; orders do not change while the assistant runs."""
    with tools.connect() as db:
        row = db.execute("SELECT * FROM orders WHERE order_id = ?", (order_id,)).fetchone()
    if row is None:
        return ""
    return " ".join(f"{key.replace('_', ' ')} {_figure(value)}" for key, value in dict(row).items() if value is not None)


def _figure(value: object) -> str:
    return f"{value:.2f} {value}" if isinstance(value, float) else str(value)


def _words(text: str) -> set[str]:
    return {word for word in re.findall(r"[a-z]+", text.lower()) if len(word) > 3}


def _normal(text: str) -> str:
    return " ".join(text.lower().split())
