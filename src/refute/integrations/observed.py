"""Ready-made indicators for observed services: `ratio: "refute.integrations.observed:succeeded"`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["answered", "succeeded"]

_SERVER_ERROR = 500
_ERROR = 400


def answered(_case: Any, answer: Mapping[str, Any]) -> bool:
    """Say whether a unit ended without an exception and without a server error.

    Args:
        answer: of the service: its `status`, where it has one.
    """
    return int(answer.get("status") or 0) < _SERVER_ERROR


def succeeded(_case: Any, answer: Mapping[str, Any]) -> bool:
    """Say whether a unit ended well, the client's own mistakes aside: without an exception, and with a status below 400.

    Args:
        answer: see `answered`.
    """
    return int(answer.get("status") or 0) < _ERROR
