"""The front desk: hands a customer's question to the assistant, looks at what comes back, and calls a human where that will not do."""

from __future__ import annotations

import re

from app import main

ATTEMPTS = 2
ORDER_ID = re.compile(r"\bFH-\d{5}\b", re.IGNORECASE)
FAILED = re.compile(r"\b(did not work|could not look up)\b", re.IGNORECASE)
HANDED_OVER = "A colleague will look into this and write to you today."


async def ask_assistant(question: str) -> dict:
    """The way from the desk to the other agent."""
    return await main.answer({"question": question})


async def answer(case: dict) -> dict:
    """What the customer is told, and whether a human was called; `draft` is what the assistant said last."""
    draft = {"text": "", "tools": []}
    for _ in range(ATTEMPTS):
        draft = await ask_assistant(case["question"]) or draft
        if _will_do(case["question"], draft["text"]):
            return {**draft, "escalated": False, "draft": draft["text"]}
    return {**draft, "text": HANDED_OVER, "escalated": True, "draft": draft["text"]}


def _will_do(question: str, text: str) -> bool:
    """Something was said, nothing failed, and it is about no other order than the customer's."""
    asked = {found.upper() for found in ORDER_ID.findall(question)}
    told = {found.upper() for found in ORDER_ID.findall(text)}
    return bool(text) and not FAILED.search(text) and told <= asked
