"""How the two ends of a link talk: JSON Lines over a Unix socket, opened by a token.

The authority (a run) asks, the agent (whatever injects) answers by `id`; the agent may also send notices without one.

| asked | answered |
| --- | --- |
| `arm` {handles, ttl_s, off_limits: components that must not be touched} | {ok} |
| `renew` {ttl_s} | {ok, landings} |
| `disarm` {} | {ok, landings, verified} |
| anything else | what the agent's own handlers return |
"""

from __future__ import annotations

import json
from typing import Any

ADDRESS_VARIABLE = "REFUTE_LINK"
TOKEN_VARIABLE = "REFUTE_LINK_TOKEN"  # noqa: S105 - the variable's name, not a token
MAX_LINE_BYTES = 8 * 1024 * 1024

Message = dict[str, Any]


def encode(message: Message) -> bytes:
    """Return a message as one line."""
    return json.dumps(message, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def decode(line: bytes) -> Message:
    """Return the message on a line.

    Raises:
        ValueError: it is not a JSON object, or longer than `MAX_LINE_BYTES`.
    """
    if len(line) > MAX_LINE_BYTES:
        raise ValueError("line too long")
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError("not an object")  # noqa: TRY004 - malformed input, not a programmer's mistake
    return message
