"""The hash chain: one canonical text for each record, and a digest over it and the digest before."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from refute.core.errors import refuse
from refute.core.events import Event

GENESIS = "0" * 64
"""Stands for the digest before the first record."""

_OURS = ("event", "at")


def canonical(record: dict[str, Any]) -> str:
    """Return the one text of a record: keys sorted, no spaces, ASCII only.

    Raises:
        RefuteError: it holds something that JSON has no word for, infinities and NaN included (`LEDGER-EVENT`).
    """
    try:
        return json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise refuse("LEDGER-EVENT", f"an event cannot be written as JSON: {error}", seen=str(record.get("event", ""))) from error


def record_of(event: Event) -> dict[str, Any]:
    """Return what is kept of an event.

    Raises:
        RefuteError: its data uses a key that every record has (`LEDGER-EVENT`).
    """
    if taken := [name for name in _OURS if name in event.data]:
        raise refuse("LEDGER-EVENT", f"an event's data may not have the key {taken[0]!r}", seen=event.kind)
    return event.to_json()


def digest_of(previous: str, text: str) -> str:
    """Return the digest of a record.

    Args:
        previous: digest of the record before it, `GENESIS` for the first.
        text: the record's canonical text.
    """
    return sha256(f"{previous}\n{text}".encode()).hexdigest()
