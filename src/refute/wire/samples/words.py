"""What the sample answers say."""

from __future__ import annotations

from typing import Any, Literal, get_args

Content = Literal["text", "json", "tools"]
"""A text, a JSON text, or the call of a tool."""
CONTENTS: tuple[Content, ...] = get_args(Content)

WORDS = ["Your", " order", " A1", " left", " the", " warehouse", " on", " Monday", ",", " and", " will", " arrive", " soon", "."]
TEXT = "".join(WORDS)
JSON_PIECES = ['{"order', '_id":', ' "A1"', ', "parcels": 2,', ' "late":', " false", "}"]
TEXTS: dict[Content, str] = {"text": TEXT, "json": "".join(JSON_PIECES), "tools": ""}
PIECES: dict[Content, list[str]] = {"text": WORDS, "json": JSON_PIECES, "tools": []}

TOOL = "lookup_order"
ARGUMENTS: dict[str, Any] = {"order_id": "A1", "with_history": True}
QUESTION = "Where is my order A1?"
INSTRUCTIONS = "You answer questions about orders."
CREATED = 1760000000
"""Seconds since the epoch, in all samples."""
